// What kernels are made of: accesses of several channels, activations, sums over a block.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "core/backend.h"
#include "core/bfloat16.h"

// Dynamic shared memory as an array of T.
#if defined(__CUDACC__)
#define GS_DYNAMIC_SHARED(T, name)                                    \
    extern __shared__ __align__(128) unsigned char gs_shared_bytes[]; \
    T* const name = reinterpret_cast<T*>(gs_shared_bytes)
#else
#define GS_DYNAMIC_SHARED(T, name) T* const name = static_cast<T*>(gs::emulated::dynamic_shared())
#endif
#if defined(__CUDA_ARCH__)
#define GS_UNROLL _Pragma("unroll")
#define GS_ROLLED _Pragma("unroll 1")  // a body that would need too many registers side by side
#else
#define GS_UNROLL
#define GS_ROLLED
#endif

namespace gs::cuda {

// W neighbouring values in registers, as float32.
template <int W>
struct Values {
    float v[W];

    GS_HOST_DEVICE float& operator[](int i) { return v[i]; }
    GS_HOST_DEVICE float operator[](int i) const { return v[i]; }
    GS_HOST_DEVICE static Values filled(float value) {
        Values result;
        GS_UNROLL
        for (int i = 0; i < W; ++i) result.v[i] = value;
        return result;
    }
};

// 16 bytes at once where W values are that many (the address is then a multiple of 16), else one by one.
template <int W, class T>
__device__ Values<W> load(const T* from) {
    Values<W> result;
    if constexpr (W * sizeof(T) == 16) {
        const uint4 bits = *reinterpret_cast<const uint4*>(from);
        const unsigned words[4] = {bits.x, bits.y, bits.z, bits.w};
        if constexpr (sizeof(T) == 4) {
            GS_UNROLL
            for (int i = 0; i < 4; ++i) result.v[i] = std::bit_cast<float>(words[i]);
        } else {
            GS_UNROLL
            for (int i = 0; i < 4; ++i) {
                result.v[2 * i] = std::bit_cast<float>(words[i] << 16);
                result.v[2 * i + 1] = std::bit_cast<float>(words[i] & 0xffff0000u);
            }
        }
    } else {
        GS_UNROLL
        for (int i = 0; i < W; ++i) result.v[i] = static_cast<float>(from[i]);
    }
    return result;
}

template <int W, class T>
__device__ void store(T* to, const Values<W>& values) {
    if constexpr (W * sizeof(T) == 16) {
        unsigned words[4];
        if constexpr (sizeof(T) == 4) {
            GS_UNROLL
            for (int i = 0; i < 4; ++i) words[i] = std::bit_cast<unsigned>(values.v[i]);
        } else {
            GS_UNROLL
            for (int i = 0; i < 4; ++i)
                words[i] = static_cast<unsigned>(Bf16(values.v[2 * i]).bits) |
                           static_cast<unsigned>(Bf16(values.v[2 * i + 1]).bits) << 16;
        }
        *reinterpret_cast<uint4*>(to) = uint4{words[0], words[1], words[2], words[3]};
    } else {
        GS_UNROLL
        for (int i = 0; i < W; ++i) to[i] = static_cast<T>(values.v[i]);
    }
}

// What a stored value will read as.
template <class T>
GS_HOST_DEVICE float as_stored(float value) {
    return static_cast<float>(static_cast<T>(value));
}

// x * scale + shift in two roundings, never fused: the CPU's kernels round so, and where a value lies at a
// ReLU's kink both then see it on the same side.
GS_HOST_DEVICE inline float scaled(float x, float scale, float shift) {
#if defined(__CUDA_ARCH__)
    return __fadd_rn(__fmul_rn(x, scale), shift);
#else
    return x * scale + shift;
#endif
}

// The larger of x and 0, in one instruction; NaN stays.
GS_HOST_DEVICE inline float positive_part(float x) {
#if defined(__CUDA_ARCH__)
    float larger;
    asm("max.NaN.f32 %0, %1, 0f00000000;" : "=f"(larger) : "f"(x));
    return larger;
#else
    return x < 0.0f ? 0.0f : x;
#endif
}

// NaN passes through, as in PyTorch.
GS_HOST_DEVICE inline float activated(float x, Activation activation) {
    if (activation == Activation::None) return x;
    const float positive = positive_part(x);
    return activation == Activation::Relu6 && positive > 6.0f ? 6.0f : positive;
}

// By the activation's output.
GS_HOST_DEVICE inline bool is_open(float y, Activation activation) {
    return activation == Activation::None || (y > 0.0f && (activation == Activation::Relu || y < 6.0f));
}

// Adds the values of all threads of one lane (threadIdx.x); the result is there for every thread of the lane.
// For blocks of kSweepBlock threads with blockDim.y a power of two, all of which must call it. Halves fold
// onto each other: the order is fixed.
constexpr int kSweepBlock = 256;
template <int W>
__device__ Values<W> sum_over_y(const Values<W>& mine) {
    __shared__ float folded[W * kSweepBlock];
    const unsigned at = threadIdx.y * blockDim.x + threadIdx.x;
    GS_UNROLL
    for (int i = 0; i < W; ++i) folded[i * kSweepBlock + at] = mine[i];
    for (unsigned half = blockDim.y / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.y < half) {
            GS_UNROLL
            for (int i = 0; i < W; ++i)
                folded[i * kSweepBlock + at] += folded[i * kSweepBlock + at + half * blockDim.x];
        }
    }
    __syncthreads();
    Values<W> total;
    GS_UNROLL
    for (int i = 0; i < W; ++i) total[i] = folded[i * kSweepBlock + threadIdx.x];
    __syncthreads();  // before the next call writes
    return total;
}

// The sum over a block of up to 1024 threads, in a fixed order, for every thread.
template <class T>
__device__ T sum_over_block(T value) {
    __shared__ T warps[32];
    const unsigned at = threadIdx.x, lane = at % 32, warp = at / 32, count = (blockDim.x + 31) / 32;
    GS_UNROLL
    for (int mask = 16; mask > 0; mask /= 2) value += __shfl_xor_sync(0xffffffffu, value, mask);
    __syncthreads();
    if (lane == 0) warps[warp] = value;
    __syncthreads();
    T total{};
    for (unsigned w = 0; w < count; ++w) total += warps[w];
    return total;
}

template <class T>
__device__ T max_over_block(T value) {
    __shared__ T warps[32];
    const unsigned at = threadIdx.x, lane = at % 32, warp = at / 32, count = (blockDim.x + 31) / 32;
    GS_UNROLL
    for (int mask = 16; mask > 0; mask /= 2) {
        const T other = __shfl_xor_sync(0xffffffffu, value, mask);
        value = other > value ? other : value;
    }
    __syncthreads();
    if (lane == 0) warps[warp] = value;
    __syncthreads();
    T largest = warps[0];
    for (unsigned w = 1; w < count; ++w) largest = warps[w] > largest ? warps[w] : largest;
    return largest;
}

}  // namespace gs::cuda
