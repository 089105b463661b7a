// What is folded into a convolution's weights, straight from the definitions.
//   standardised  (w - mean) / sqrt(var + 1e-10) of each output channel, biased variance over its fan-in
//   frozen norm   gamma[c] (x - mean[c]) / sqrt(var[c] + eps) + beta[c]
#pragma once

#include <cmath>
#include <vector>

#include "tests/reference/tensor.h"

namespace gs::ref {

template <class T>
std::vector<T> standardised(std::vector<T> weights, int64_t outputs) {
    using std::sqrt;
    const int64_t fan_in = static_cast<int64_t>(weights.size()) / outputs;
    for (int64_t o = 0; o < outputs; ++o) {
        T* row = weights.data() + o * fan_in;
        T mean = T(0), var = T(0);
        for (int64_t k = 0; k < fan_in; ++k) mean += row[k] / number<T>(fan_in);
        for (int64_t k = 0; k < fan_in; ++k) var += (row[k] - mean) * (row[k] - mean) / number<T>(fan_in);
        for (int64_t k = 0; k < fan_in; ++k) row[k] = (row[k] - mean) / sqrt(var + T(1e-10));
    }
    return weights;
}

template <class T>
Tensor<T> frozen_norm(const Tensor<T>& x, const std::vector<T>& gamma, const std::vector<T>& beta,
                      const std::vector<float>& mean, const std::vector<float>& var, double eps) {
    Tensor<T> y(x.shape);
    for_each_element(x.shape, [&](int64_t n, int64_t h, int64_t w, int64_t channel) {
        const auto c = static_cast<size_t>(channel);
        const T rstd = T(1 / std::sqrt(static_cast<double>(var[c]) + eps));
        y.at(n, h, w, channel) = gamma[c] * (x.at(n, h, w, channel) - T(mean[c])) * rstd + beta[c];
    });
    return y;
}

}  // namespace gs::ref
