// Norms of vectors, lane by lane, and the sum of a register's lanes.
#pragma once

#include "cpu/kernels/vector.h"

namespace gs::cpu::GS_ISA {

GS_INLINE double total(Vec v) {
    double partial[4] = {};
    for (int64_t i = 0; i < kLanes; ++i) partial[i % 4] += static_cast<double>(v[i]);
    return (partial[0] + partial[1]) + (partial[2] + partial[3]);
}
GS_INLINE Vec absolute(Vec v) {
    return (Vec)((Mask)v & 0x7fffffff);
}

template <RowNorm kKind>
GS_INLINE Vec combine(Vec acc, Vec v) {
    if constexpr (kKind == RowNorm::Absolute) return acc + absolute(v);
    if constexpr (kKind == RowNorm::Square) return acc + v * v;
    // Once there is a NaN it stays.
    const Vec a = absolute(v);
    return select((a <= acc) | (acc != acc), acc, a);
}

// The result so far and one register of lanes.
template <RowNorm kKind>
GS_INLINE double fold(double result, Vec lanes) {
    if constexpr (kKind != RowNorm::Largest) return result + total(lanes);
    for (int64_t i = 0; i < kLanes; ++i)
        result = lanes[i] <= result || result != result ? result : static_cast<double>(lanes[i]);
    return result;
}

}  // namespace gs::cpu::GS_ISA
