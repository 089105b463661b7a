// The Gram matrix of the weight gradients of a sample's cotangents, K[a][b] = <D_a, D_b>, from float32
// products and in float64 from there.
#pragma once

#include <span>

#include "core/backend.h"
#include "cpu/context.h"
#include "cpu/norm_route.h"

namespace gs::cpu {

// Gram matrices over positions where they cost less than the gradients' tiles. They are for float32 maps, and
// with standardised weights want the output.
NormRoute cheapest_gram_route(const WeightGradientNorm& args);

// grams: [sample][cotangents][cotangents] of samples [first, first + count), all of each matrix, overwritten;
// from tiles of the gradients, which stay in cache.
void gram_by_tiles(Context& context, const WeightGradientNorm& args, int64_t first, int64_t count,
                   std::span<double> grams);
// Of all samples, from Gram matrices over positions. `taken`: what the projection of weight standardisation
// has taken from each value; zeros without.
void gram_by_positions(Context& context, const WeightGradientNorm& args, NormRoute route,
                       std::span<double> grams, std::span<double> taken);

}  // namespace gs::cpu
