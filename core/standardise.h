// Weight standardisation of one output's weights: host code that the layers and the CPU backend share.
#pragma once

#include <cmath>
#include <span>

#include "core/sums.h"
#include "core/training.h"

namespace gs {

// standardised[k] = (w[k] - mean) * scale with scale = 1 / sqrt(var + kStandardiseEps), biased variance, in
// float64. Returns the scale.
inline double standardise_row(std::span<const float> w, std::span<float> standardised) {
    const double count = static_cast<double>(w.size());
    const double mean = lane_sum(w, [](float v) { return v; }) / count;
    const double var = lane_sum(w, [mean](float v) { return (v - mean) * (v - mean); }) / count;
    const double scale = 1 / std::sqrt(var + kStandardiseEps);
    for (size_t k = 0; k < w.size(); ++k) standardised[k] = static_cast<float>((w[k] - mean) * scale);
    return scale;
}

}  // namespace gs
