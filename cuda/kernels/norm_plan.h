// How the norms of a layer's per-sample weight gradients are made: tiles, slices of positions, and who knows
// a row's sums when. Depends on the layer and the device alone, never on the batch: a sample's norm is the
// same bits in any. Needs no CUDA.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/bfloat16.h"  // GS_HOST_DEVICE

namespace gs::cuda {

// Of one operation's intermediate results, 32 MiB: most of it stays in the second-level cache. Rows that need
// more are worked on one group after the other.
constexpr int64_t kNormScratchFloats = int64_t{8} << 20;

struct NormPlan {
    // The projection of standardised weights needs two sums over each whole row of G before |.|^p.
    enum class RowSums : uint8_t {
        None,
        OfTile,    // a tile has whole rows
        Together,  // tiles of a row wait for each other's sums, their values in registers
        Twice,     // more tiles than the device holds blocks: one pass for the sums, one for the norm
        Gathered,  // the split over positions puts whole rows together anyway
    };

    int tile_o = 128, tile_k = 128;  // 128 x 128, 64 x 128 or 128 x 64; by wgmma 128 x 256
    int tiles_o = 1, tiles_k = 1;
    int walk = 1, parts_k = 1;  // tiles along k that a block makes in turn; blocks for a row of tiles
    // Of `slice` positions each, a multiple of kSliceStep; the last may be shorter.
    int slices = 1, slice = 0;
    RowSums row_sums = RowSums::None;
    bool wgmma = false;

    static constexpr int kSliceStep = 32;  // positions, whole chunks of every kernel
    static constexpr int kLongRow = 4096;  // positions from which on they are split
    static constexpr int kLeastSlice = 1792;
    static constexpr int kEnoughTiles = 32;  // a sample
    static constexpr int kLongWalk = 512;    // positions, over all tiles that a block makes in turn

    // outputs, k: of G; positions: what it sums over. one_by_one: a block makes one tile (general exponents
    // need the memory that the next one's operands would be in). by_wgmma: the layer suits it
    // (can_use_wgmma). waiting_blocks: how many may wait for each other (Context).
    NormPlan(int64_t outputs, int64_t k, int64_t positions, bool standardised, bool one_by_one,
             int waiting_blocks, bool by_wgmma = false)
        : wgmma(by_wgmma) {
        if (wgmma)
            tile_k = 256;
        else if (outputs <= 64)
            tile_o = 64;
        else if (k <= 64)
            tile_k = 64;
        const auto parts = [](int64_t whole, int64_t part) {
            return static_cast<int>((whole + part - 1) / part);
        };
        tiles_o = parts(outputs, tile_o);
        tiles_k = parts(k, tile_k);
        if (!standardised && !one_by_one && !wgmma)
            walk = std::clamp(static_cast<int>(kLongWalk / positions), 1, tiles_k);
        parts_k = parts(tiles_k, walk);
        walk = parts(tiles_k, parts_k);
        slice = static_cast<int>(positions);
        if (positions >= kLongRow) {
            const int wanted =
                std::min(parts(positions, kLeastSlice), parts(kEnoughTiles, tiles_o * tiles_k));
            slice = parts(parts(positions, wanted), kSliceStep) * kSliceStep;
            slices = parts(positions, slice);
        }
        if (!standardised)
            row_sums = RowSums::None;
        else if (slices > 1)
            row_sums = RowSums::Gathered;
        else if (tiles_k == 1)
            row_sums = RowSums::OfTile;
        else
            row_sums = tiles_k <= waiting_blocks ? RowSums::Together : RowSums::Twice;
    }
};

// In which order rows are worked on: the cotangents of a sample one after the other, so that all but the
// first find its input in the cache. Row r is cotangent r / samples of sample r % samples.
struct RowOrder {
    int64_t samples = 1, cotangents = 1;

    GS_HOST_DEVICE int64_t row(int64_t place) const {
        return place % cotangents * samples + place / cotangents;
    }
};

}  // namespace gs::cuda
