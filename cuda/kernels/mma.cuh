// Tensor-core products of a warp, and the loads that feed them: mma.sync, ldmatrix, cp.async and cvt.rna of
// PTX (ISA 8.0, sm_80 and later). On the emulated device the same functions follow the same fragment layouts
// (tests/emulated_cuda/tensor_core.h).
//
// Fragments of a product D(16,8) += A(16,depth) B(depth,8), by lane: g = lane / 4, t = lane % 4
//   bfloat16, depth 16, two values a register, the lower depth in the lower half:
//     a[r]: row g + 8 (r % 2), depth 2 t + 8 (r / 2) + {0,1}     b[r]: depth 2 t + 8 r + {0,1}, column g
//   tf32, depth 8:
//     a[r]: row g + 8 (r % 2), depth t + 4 (r / 2)               b[r]: depth t + 4 r, column g
//   d[i]: row g + 8 (i / 2), column 2 t + i % 2
#pragma once

#include "cuda/kernels/device.cuh"

namespace gs::cuda {

constexpr int kWarpSize = 32;

GS_HOST_DEVICE constexpr int accumulator_row(int lane, int i) {
    return lane / 4 + 8 * (i / 2);
}
GS_HOST_DEVICE constexpr int accumulator_column(int lane, int i) {
    return 2 * (lane % 4) + i % 2;
}

enum class MmaType : uint8_t { Bf16, Tf32 };
constexpr int mma_depth(MmaType type) {
    return type == MmaType::Bf16 ? 16 : 8;
}

// d[m][n] += a[m] b[n], all products of a warp's M x N fragments. Every lane of the warp must call it.
template <MmaType type, int M, int N>
__device__ void multiply(float (&d)[M][N][4], const uint32_t (&a)[M][4], const uint32_t (&b)[N][2]) {
#if defined(__CUDACC__)
    GS_UNROLL
    for (int m = 0; m < M; ++m) {
        GS_UNROLL
        for (int n = 0; n < N; ++n) {
            if constexpr (type == MmaType::Bf16)
                asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                    "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                    : "+f"(d[m][n][0]), "+f"(d[m][n][1]), "+f"(d[m][n][2]), "+f"(d[m][n][3])
                    : "r"(a[m][0]), "r"(a[m][1]), "r"(a[m][2]), "r"(a[m][3]), "r"(b[n][0]), "r"(b[n][1]));
            else
                asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
                    "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                    : "+f"(d[m][n][0]), "+f"(d[m][n][1]), "+f"(d[m][n][2]), "+f"(d[m][n][3])
                    : "r"(a[m][0]), "r"(a[m][1]), "r"(a[m][2]), "r"(a[m][3]), "r"(b[n][0]), "r"(b[n][1]));
        }
    }
#else
    emulated::multiply(type == MmaType::Bf16, &d[0][0][0], &a[0][0], &b[0][0], M, N);
#endif
}

__device__ inline uint32_t shared_address(const void* shared) {
#if defined(__CUDACC__)
    return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
#else
    return emulated::shared_address(shared);
#endif
}

// Four 8 x 8 matrices of 16 bits, transposed: lane i names row i % 8 of matrix i / 8 (16 bytes, aligned) and
// receives of matrix r the rows 2 t and 2 t + 1 at column g in its register r.
__device__ inline void load_transposed(uint32_t (&r)[4], const void* row) {
#if defined(__CUDACC__)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
#else
    emulated::load_transposed(r, row);
#endif
}

// Copies from global to shared memory that this thread started become visible to it, group by group, where it
// waits for them. kBytes 4, 8 or 16, both addresses multiples of it; zeros where nothing exists.
template <int kBytes>
__device__ void copy_async(void* shared, const void* global, bool exists) {
#if defined(__CUDACC__)
    const int bytes = exists ? kBytes : 0;
    if constexpr (kBytes == 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)),
                     "l"(__cvta_generic_to_global(global)), "r"(bytes)
                     : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(shared)),
                     "l"(__cvta_generic_to_global(global)), "n"(kBytes), "r"(bytes)
                     : "memory");
#else
    emulated::copy_async(shared, global, kBytes, exists);
#endif
}
__device__ inline void commit_copies() {
#if defined(__CUDACC__)
    asm volatile("cp.async.commit_group;" ::: "memory");
#else
    emulated::commit_copies();
#endif
}
// Until at most the last kLeft groups are under way.
template <int kLeft>
__device__ void wait_for_copies() {
#if defined(__CUDACC__)
    asm volatile("cp.async.wait_group %0;" ::"n"(kLeft) : "memory");
#else
    emulated::wait_for_copies(kLeft);
#endif
}

// To 10 bits of mantissa, to nearest, ties away from zero; the 13 bits below are anything. The product itself
// would cut them off, which makes every norm 7e-4 too small.
__device__ inline uint32_t rounded_to_tf32(float value) {
#if defined(__CUDACC__)
    uint32_t bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
    return bits;
#else
    return emulated::rounded_to_tf32(value);
#endif
}
GS_HOST_DEVICE inline float tf32_value(uint32_t bits) {
    return std::bit_cast<float>(bits & ~0x1fffu);
}

}  // namespace gs::cuda
