// What scores need of a row of logits beyond core/softmax.h, and p-norms.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <span>

#include "core/softmax.h"

namespace gs {

// The largest softmax probability as the published scripts hold it, in float32 throughout: 1 over the sum of
// exp(z - m). The sum is PyTorch's on a GPU, bit for bit up to 1024 classes but for its exp
// (aten/src/ATen/native/cuda/PersistentSoftmax.cuh): a warp's lanes take every 32nd class and are added in
// pairs. What the others add to 1 is rounded there: the probability is 1 where they are below 2^-24, and its
// neighbours are 2^-23 apart.
inline double float_max_softmax(std::span<const float> z) {
    const auto m = static_cast<float>(max_logit(z));
    std::array<float, 32> lanes{};
    const size_t count = std::min(std::bit_ceil(z.size()), lanes.size());
    for (size_t k = 0; k < z.size(); ++k) lanes[k % count] += std::exp(z[k] - m);
    for (size_t half = count / 2; half > 0; half /= 2)
        for (size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
    return 1 / lanes[0];
}

// log(C max p) = -log of the mean of exp((z - m) / T), which is close to 1 near the uniform distribution.
inline double log_ratio_to_uniform(std::span<const float> z, double temperature = 1) {
    const double m = max_logit(z);
    double below = 0;
    for (const float v : z) below += std::expm1((v - m) / temperature);
    below /= static_cast<double>(z.size());
    if (below > -0.5) return -std::log1p(below);
    return std::log(static_cast<double>(z.size())) + log_max_softmax(z, temperature);
}

// Calls f((C p_k - 1) / T) for every class: the gradient of sum_c -log softmax(z / T)_c at the logits. C p -
// 1 as expm1(log p + log C), with log p from z - max z: exact to rounding near the uniform distribution,
// where C p - 1 would cancel, and for large logits.
template <class F>
void for_each_uniform_gradient(std::span<const float> z, double temperature, const F& f) {
    const double m = max_logit(z), shift = log_ratio_to_uniform(z, temperature);
    for (const float v : z) f(std::expm1((v - m) / temperature + shift) / temperature);
}

// sum^(1/p) of a sum of |v|^p; p = inf: of the largest |v|
inline double root_of_power_sum(double sum, double p) {
    return std::isinf(p) ? sum : std::pow(sum, 1 / p);
}

// (sum |v|^p)^(1/p) of the values added, p in (0, inf]
class NormAccumulator {
  public:
    explicit NormAccumulator(double p) : p_(p) {}
    void add(double v) {
        const double a = std::abs(v);
        if (std::isinf(p_)) {
            sum_ = std::max(sum_, a);
        } else {
            sum_ += p_ == 1 ? a : p_ == 2 ? a * a : std::pow(a, p_);
        }
    }
    double value() const { return p_ == 1 ? sum_ : p_ == 2 ? std::sqrt(sum_) : root_of_power_sum(sum_, p_); }

  private:
    double p_, sum_ = 0;
};

}  // namespace gs
