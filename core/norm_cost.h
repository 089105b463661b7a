// What is the same for the norms of a weight gradient on every backend: which of them have a shorter way, and
// what the squared norm costs by Gram matrices over pairs of positions (docs/gradient-norms.md), arithmetic
// of the layer alone. Which cost is low enough is the backends' to say.
#pragma once

#include "core/backend.h"

namespace gs {

// One position, and the gradient as it is: the outer product of a row of dy and a row of x.
bool is_outer_product(const WeightGradientNorm& args);
// One squared norm, and nothing besides.
bool is_square_alone(const WeightGradientNorm& args);

// Whether outputs and input have the same pixels, each in the middle of its window: <X_s, X_t> is then a sum
// of shifted copies of the pixels' Gram matrix.
bool keeps_size(const ConvSpec& spec);

// Multiply-adds of the Gram matrices of gradients and inputs (half of each: they are symmetric) over those of
// the gradient; inputs unfolded, or as pixels, for layers that keep the size.
double ghost_cost(const ConvSpec& spec, const Shape& x);
double pixel_gram_cost(const ConvSpec& spec, const Shape& x);

}  // namespace gs
