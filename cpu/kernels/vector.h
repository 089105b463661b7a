// One register of floats on the instruction set this file is compiled for (compiler vector extensions, so no
// intrinsics). Everything lives in the namespace GS_ISA: a copy made for AVX-512 can never be linked into the
// baseline. For the same reason these files call nothing of the standard library.
#pragma once

#include <cstdint>

#include "cpu/kernels/kernels.h"

namespace gs::cpu::GS_ISA {

#if defined(__AVX512F__)
constexpr int64_t kLanes = 16;
#elif defined(__AVX__)
constexpr int64_t kLanes = 8;
#else
constexpr int64_t kLanes = 4;
#endif

typedef float Vec __attribute__((vector_size(kLanes * 4)));
typedef int32_t Mask __attribute__((vector_size(kLanes * 4)));  // all bits of a lane set: true
typedef uint32_t Bits __attribute__((vector_size(kLanes * 4)));
typedef uint16_t Halves __attribute__((vector_size(kLanes * 2)));
typedef uint8_t Bytes __attribute__((vector_size(kLanes)));

#define GS_INLINE static inline __attribute__((always_inline))

GS_INLINE Vec splat(float value) {
    return value - Vec{};
}
GS_INLINE Vec keep(Vec v, Mask where) {
    return (Vec)((Mask)v & where);
}
GS_INLINE Vec select(Mask where, Vec a, Vec b) {
    return (Vec)(((Mask)a & where) | ((Mask)b & ~where));
}
// 1.0 where the lane is true.
GS_INLINE Vec ones(Mask where) {
    return keep(splat(1.0f), where);
}

// To bfloat16, in the low halves: to nearest, ties to even; NaN stays NaN (core/bfloat16.h).
GS_INLINE Bits rounded(Vec v) {
    const Bits all = (Bits)v;
    const Bits nearest = (all + (0x7fff + ((all >> 16) & 1))) >> 16, quiet = (all >> 16) | 0x40;
    return v == v ? nearest : quiet;
}
GS_INLINE Vec widened(Bits low_halves) {
    return (Vec)(low_halves << 16);
}

// How a body reads and writes lanes: all of them, or the first `count` at the end of a row. `put` stores, and
// returns what is stored.
struct Full {
    GS_INLINE Vec load(const float* p) {
        Vec v;
        __builtin_memcpy(&v, p, sizeof v);
        return v;
    }
    GS_INLINE Vec load(const Bf16* p) {
        Halves halves;
        __builtin_memcpy(&halves, p, sizeof halves);
        return widened(__builtin_convertvector(halves, Bits));
    }
    GS_INLINE void store(float* p, Vec v) { __builtin_memcpy(p, &v, sizeof v); }
    GS_INLINE void store(Bf16* p, Vec v) { put(p, v); }
    GS_INLINE Vec put(float* p, Vec v) {
        store(p, v);
        return v;
    }
    GS_INLINE Vec put(Bf16* p, Vec v) {
        const Bits bits = rounded(v);
        const Halves halves = __builtin_convertvector(bits, Halves);
        __builtin_memcpy(static_cast<void*>(p), &halves, sizeof halves);
        return widened(bits);
    }
    GS_INLINE Mask load(const uint8_t* p) {
        Bytes bytes;
        __builtin_memcpy(&bytes, p, sizeof bytes);
        return __builtin_convertvector(bytes, Mask);
    }
    GS_INLINE void store(uint8_t* p, Mask v) {
        const Bytes bytes = __builtin_convertvector(v, Bytes);
        __builtin_memcpy(p, &bytes, sizeof bytes);
    }
};
struct Part {
    int64_t count;
    inline Vec load(const float* p) const {
        Vec v{};
        for (int64_t i = 0; i < count; ++i) v[i] = p[i];
        return v;
    }
    inline Vec load(const Bf16* p) const {
        Bits bits{};
        for (int64_t i = 0; i < count; ++i) bits[i] = p[i].bits;
        return widened(bits);
    }
    inline void store(float* p, Vec v) const {
        for (int64_t i = 0; i < count; ++i) p[i] = v[i];
    }
    inline void store(Bf16* p, Vec v) const { put(p, v); }
    inline Vec put(float* p, Vec v) const {
        store(p, v);
        return v;
    }
    inline Vec put(Bf16* p, Vec v) const {
        const Bits bits = rounded(v);
        for (int64_t i = 0; i < count; ++i) p[i].bits = static_cast<uint16_t>(bits[i]);
        return widened(bits);
    }
    inline Mask load(const uint8_t* p) const {
        Mask v{};
        for (int64_t i = 0; i < count; ++i) v[i] = p[i];
        return v;
    }
    inline void store(uint8_t* p, Mask v) const {
        for (int64_t i = 0; i < count; ++i) p[i] = static_cast<uint8_t>(v[i]);
    }
};

// body(i, lanes) for i = 0, kLanes, … below count.
template <class Body>
GS_INLINE void for_lanes(int64_t count, const Body& body) {
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) body(i, Full{});
    if (i < count) body(i, Part{count - i});
}

// NaN passes through, as in PyTorch.
template <Activation kActivation>
GS_INLINE Vec activated(Vec v) {
    if constexpr (kActivation != Activation::None) v = keep(v, ~(Mask)(v < splat(0.0f)));
    if constexpr (kActivation == Activation::Relu6) v = select(v > splat(6.0f), splat(6.0f), v);
    return v;
}
// Where the activation lets a gradient through; `v` may be its input or its output.
template <Activation kActivation>
GS_INLINE Mask open(Vec v) {
    if constexpr (kActivation == Activation::Relu) return v > splat(0.0f);
    if constexpr (kActivation == Activation::Relu6) return (v > splat(0.0f)) & (v < splat(6.0f));
    return ~Mask{};
}

template <Activation kActivation>
struct ActivationTag {
    static constexpr Activation value = kActivation;
};
// body(ActivationTag<activation>): the run-time value as a compile-time one.
template <class Body>
GS_INLINE void with_activation(Activation activation, const Body& body) {
    switch (activation) {
        case Activation::None:
            return body(ActivationTag<Activation::None>{});
        case Activation::Relu:
            return body(ActivationTag<Activation::Relu>{});
        case Activation::Relu6:
            return body(ActivationTag<Activation::Relu6>{});
    }
}

template <class T, class Lanes>
GS_INLINE Vec sum_of_terms(const GradientTerms<T>& dy, int64_t offset, const Lanes& lanes) {
    Vec sum = lanes.load(dy.terms[0] + dy.offset + offset);
    for (int64_t t = 1; t < dy.count; ++t) sum += lanes.load(dy.terms[t] + dy.offset + offset);
    return sum;
}

GS_INLINE float value_of(float value) {
    return value;
}
GS_INLINE float value_of(Bf16 value) {
    const uint32_t bits = static_cast<uint32_t>(value.bits) << 16;
    float result;
    __builtin_memcpy(&result, &bits, sizeof result);
    return result;
}

GS_INLINE void clear(float* values, int64_t count) {
    for (int64_t i = 0; i < count; ++i) values[i] = 0.0f;
}

}  // namespace gs::cpu::GS_ISA
