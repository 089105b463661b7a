// The inner tile of the plain convolution. Compiled with contraction on: multiply and add fuse.
#include "cpu/kernels/gemm.h"

#include "cpu/kernels/declarations.h"

namespace gs::cpu::GS_ISA {
namespace {

template <class Lanes>
GS_INLINE void finish(const GemmTile& tile, float* c, int64_t column, Vec value, const Lanes& lanes) {
    if (tile.accumulate) value += lanes.load(c + column);
    if (tile.bias) value += lanes.load(tile.bias + column);
    with_activation(tile.activation, [&](auto tag) { lanes.store(c + column, activated<tag.value>(value)); });
}

template <int kTileRows>
void run_tile(const GemmTile& tile) {
    Vec acc[kRows][2] = {};
    const int64_t b_pitch = tile.b_pitch == 0 ? kColumns : tile.b_pitch;
    multiply<kTileRows>(tile.a, tile.lda, tile.k_pitch, tile.b, b_pitch, tile.k, acc);
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
