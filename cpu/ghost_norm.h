// The squared norm of a weight gradient without the gradient: ||G||^2 = sum over pairs of positions of <dy_s,
// dy_t> <X_s, X_t>, which is cheap where there are few positions. Both Gram matrices are made strip by strip
// and multiplied while a strip is in cache.
#pragma once

#include <span>

#include "cpu/position_sweep.h"

namespace gs::cpu {

// The squared norm (p = 2) of each row's gradient; -1 where the projection of weight standardisation leaves
// less than PositionSweep::kLeastKept of it. The result stays valid until the context's `coefficients` are
// used again.
std::span<const double> ghost_norms(Context& context, const WeightGradientNorm& args, NormRoute route);

}  // namespace gs::cpu
