// The product of a tile in registers: the plain convolution's and the weight gradient's.
#pragma once

#include "cpu/kernels/vector.h"

namespace gs::cpu::GS_ISA {

// Accumulators that fill the register file: 12 x 2 of 32 registers (AVX-512), 6 x 2 of 16, 4 x 2 of 16.
#if defined(__AVX512F__)
constexpr int kRows = 12;
#elif defined(__AVX__)
constexpr int kRows = 6;
#else
constexpr int kRows = 4;
#endif
constexpr int64_t kColumns = 2 * kLanes;

// acc[r] += sum_k a[r * lda + k * a_pitch] * b[k * b_pitch]
template <int kTileRows>
GS_INLINE void multiply(const float* a, int64_t lda, int64_t a_pitch, const float* b, int64_t b_pitch,
                        int64_t k, Vec (&acc)[kRows][2]) {
    for (; k > 0; --k, a += a_pitch, b += b_pitch) {
        const Vec b0 = Full::load(b), b1 = Full::load(b + kLanes);
        for (int r = 0; r < kTileRows; ++r) {
            const Vec left = splat(a[r * lda]);
            acc[r][0] += left * b0;
            acc[r][1] += left * b1;
        }
    }
}

}  // namespace gs::cpu::GS_ISA
