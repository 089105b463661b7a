// The softmax family on one row of logits, in float64 from float32 logits. m = max z; lse = m + log sum exp(z
// - m); log p = z - lse; log softmax is never formed from a rounded softmax (docs/methods.md).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>

namespace gs {

inline double sigmoid(double t) {
    return t >= 0 ? 1 / (1 + std::exp(-t)) : std::exp(t) / (1 + std::exp(t));
}

// log(1 + exp(t))
inline double softplus(double t) {
    return std::max(t, 0.0) + std::log1p(std::exp(-std::abs(t)));
}

// NaN where any logit is NaN, as in PyTorch.
inline double max_logit(std::span<const float> z) {
    float m = z[0];
    for (const float v : z)
        if (!(v <= m)) m = std::isnan(m) ? m : v;
    return m;
}

// log of the largest softmax(z / T), as -log1p of the other classes' exp: beside the largest one's 1 they
// would be rounded away for a confident net. NaN where the largest logit is not finite, as in PyTorch.
inline double log_max_softmax(std::span<const float> z, double temperature = 1) {
    const auto top = std::max_element(z.begin(), z.end());
    const double m = *top;
    double others = m - m;
    for (auto v = z.begin(); v != z.end(); ++v)
        if (v != top) others += std::exp((*v - m) / temperature);
    return -std::log1p(others);
}

// log sum exp(z / T)
inline double log_sum_exp(std::span<const float> z, double temperature = 1) {
    return max_logit(z) / temperature - log_max_softmax(z, temperature);
}

inline int64_t argmax(std::span<const float> z) {
    return std::max_element(z.begin(), z.end()) - z.begin();
}

// The class that a head in groups predicts (docs/methods/mos.md): the best class of each group's slice, whose
// first logit is "others", and the best of those; by log p, for exp rounds small ones to the same 0. Classes
// count through the groups; the first of equals.
inline int64_t argmax_of_groups(std::span<const float> z, std::span<const int64_t> sizes) {
    int64_t first = 0, best = 0;
    double best_log = -std::numeric_limits<double>::infinity();
    for (const int64_t size : sizes) {
        const std::span<const float> slice = z.first(static_cast<size_t>(size + 1));
        const int64_t at = argmax(slice.subspan(1));
        const double log_p = slice[static_cast<size_t>(at + 1)] - log_sum_exp(slice);
        if (log_p > best_log) {
            best_log = log_p;
            best = first + at;
        }
        first += size;
        z = z.subspan(slice.size());
    }
    return best;
}

}  // namespace gs
