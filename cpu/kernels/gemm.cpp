// The inner tile of the plain convolution. Compiled with contraction on: multiply and add fuse.
#include "cpu/kernels/declarations.h"
#include "cpu/kernels/vector.h"

namespace gs::cpu::GS_ISA {
namespace {

// Accumulators that fill the register file: 12 x 2 of 32 registers (AVX-512), 6 x 2 of 16, 4 x 2 of 16.
#if defined(__AVX512F__)
constexpr int kRows = 12;
#elif defined(__AVX__)
constexpr int kRows = 6;
#else
constexpr int kRows = 4;
#endif
constexpr int64_t kColumns = 2 * kLanes;

template <int kTileRows>
GS_INLINE void multiply(const GemmTile& tile, Vec (&acc)[kRows][2]) {
    const float *a = tile.a, *b = tile.b;
    const int64_t b_pitch = tile.b_pitch == 0 ? kColumns : tile.b_pitch;
    for (int64_t k = 0; k < tile.k; ++k, a += tile.k_pitch, b += b_pitch) {
        const Vec b0 = Full::load(b), b1 = Full::load(b + kLanes);
        for (int r = 0; r < kTileRows; ++r) {
            const Vec left = splat(a[r * tile.lda]);
            acc[r][0] += left * b0;
            acc[r][1] += left * b1;
        }
    }
}

template <class Lanes>
GS_INLINE void finish(const GemmTile& tile, float* c, int64_t column, Vec value, const Lanes& lanes) {
    if (tile.accumulate) value += lanes.load(c + column);
    if (tile.bias) value += lanes.load(tile.bias + column);
    with_activation(tile.activation, [&](auto tag) { lanes.store(c + column, activated<tag.value>(value)); });
}

template <int kTileRows>
void run_tile(const GemmTile& tile) {
    Vec acc[kRows][2] = {};
    multiply<kTileRows>(tile, acc);
    for (int r = 0; r < kTileRows; ++r) {
        float* c = tile.c + r * tile.ldc;
        for (int half = 0; half < 2; ++half) {
            const int64_t column = half * kLanes, left = tile.columns - column;
            if (left >= kLanes) {
                finish(tile, c, column, acc[r][half], Full{});
            } else if (left > 0) {
                finish(tile, c, column, acc[r][half], Part{left});
            }
        }
    }
}

// rows is a run-time number, the accumulators' count a compile-time one.
template <int kTileRows>
void dispatch_rows(const GemmTile& tile) {
    if (tile.rows == kTileRows) return run_tile<kTileRows>(tile);
    if constexpr (kTileRows > 1) dispatch_rows<kTileRows - 1>(tile);
}

}  // namespace

const int64_t gemm_rows = kRows;
const int64_t gemm_columns = kColumns;

void gemm_tile(const GemmTile& tile) {
    dispatch_rows<kRows>(tile);
}

}  // namespace gs::cpu::GS_ISA
