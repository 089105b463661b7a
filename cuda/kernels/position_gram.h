// Squared norms of weight gradients without the gradient, from Gram matrices over pairs of positions
// (docs/gradient-norms-cuda.md).
#pragma once

#include "cuda/context.h"
#include "cuda/kernels/norm_plan.h"

namespace gs::cuda {

// Whether p = 2 alone is asked for, of a layer whose norm is likely to be cheaper this way. Depends on the
// layer, its maps' types and what is asked for: not on the batch.
bool can_use_position_grams(const WeightGradientNorm& args);
void squared_norms_by_positions(Context& context, const WeightGradientNorm& args);

}  // namespace gs::cuda
