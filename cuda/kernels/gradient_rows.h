// Small kernels of the norms of weight gradients: rows that lie in memory (partial sums over slices of
// positions, depthwise gradients), and sums of what blocks left.
#pragma once

#include "cuda/context.h"
#include "cuda/kernels/norm_plan.h"
#include "cuda/kernels/power.cuh"

namespace gs::cuda {

struct RowArguments {
    float* g;  // value (o, k) at o * stride_o + k * stride_k of its row's per_row values, slice after slice;
               // those of the first slice become the sum of all
    int64_t stride_o, stride_k, per_row, slices, outputs, k, first;
    RowOrder order;
    const float *row_scale, *standardised;       // or null
    const float *gamma_weights, *shift, *dbeta;  // where dgamma is there
    float* dgamma;                               // [rows][outputs], or null
    Exponents exponents;
    double* partial;  // [rows][exponents][outputs]
};

// Norms of the rows at places [first, first + rows) of the order, a block for each output channel.
void launch_gradient_rows(Context& context, const RowArguments& args, int64_t rows);

struct NormOutputs {
    float* of[kMostNorms];
};

// outs[n][row] = the sum, or the largest, of partial [rows][exponents][count].
void combine_partial_norms(Context& context, const double* partial, int64_t rows, int64_t count,
                           const Exponents& exponents, const NormOutputs& outs);

// args.gamma.out from the row sums of tiles (gradient_tiles.h).
void sum_gamma(Context& context, const float* row_sums, int64_t tiles_k, const FoldedGamma& gamma);

}  // namespace gs::cuda
