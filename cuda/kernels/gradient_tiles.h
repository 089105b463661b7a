// Tiles of per-sample weight gradients and what becomes of them; the kernels are in gradient_tile.cuh and
// gradient_epilogue.cuh.
#pragma once

#include "cuda/context.h"
#include "cuda/kernels/norm_plan.h"
#include "cuda/kernels/power.cuh"

namespace gs::cuda {

// Sums over a row of G that are wanted: of its values, of their products with standardised weights, and with
// those of a folded gamma.
enum RowSum : int { kSumOfRow, kSlope, kGammaDot, kRowSums };

struct TileEnding {
    const float* row_scale;      // [outputs], or null: 1
    const float* standardised;   // [outputs][k], or null
    const float* gamma_weights;  // [outputs][k], or null
    float* row_sums;             // [rows][tiles_k][kRowSums][outputs], or null
    unsigned* arrived;           // [rows * tiles_o], or null: no tile waits for others
    bool writes_row_sums, projects;
    Exponents exponents;
    double* partial;  // [rows][exponents][tiles_o * parts_k]
};

// Work on places [first, first + count) of the rows' order.
struct TileRun {
    RowOrder order{};
    int64_t first = 0, count = 0;
    unsigned* next_ticket = nullptr;  // null: blocks are in no order
    // [count][slices][outputs][k]: partial tiles are stored there, in float32; null: whole tiles end as
    // `ending` says.
    float* slice_sums = nullptr;
    TileEnding ending{};
};
void launch_gradient_tiles(Context& context, const WeightGradientNorm& args, const NormPlan& plan,
                           const TileRun& run);
// The same by wgmma, for plans of that kind (wgmma_layers.h).
void launch_gradient_tiles_by_wgmma(Context& context, const WeightGradientNorm& args, const NormPlan& plan,
                                    const TileRun& run);

}  // namespace gs::cuda
