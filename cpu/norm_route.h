// The ways to the squared norm of a weight gradient (what they cost: core/norm_cost.h).
#pragma once

#include "core/backend.h"

namespace gs::cpu {

enum class NormRoute : uint8_t {
    Direct,    // the gradient's tiles
    Ghost,     // Gram matrices over pairs of positions, of the gradients and of the unfolded input
    PixelGram  // the latter as sums of shifted copies of the Gram matrix of pixels; stride 1, output as large
               // as input
};

// Of a kernel whose pixels' Gram matrix is shifted: a sum over taps lists them all (PositionGram).
inline constexpr int64_t kMostTaps = 64;

// The cheapest route to a squared norm on the CPU, where other work than multiply-adds is counted by asking
// for less than 0.7 or 0.5 of them.
NormRoute cheapest_route(const ConvSpec& spec, const Shape& x);

}  // namespace gs::cpu
