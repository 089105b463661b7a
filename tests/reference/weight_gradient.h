// The weight gradient of a convolution, one row at a time, and the norms of what it means for the stored
// weight.
//   G[o,c,kh,kw] = sum_s dy[s,o] x[s * stride - pad + (kh,kw), c]
//   stored:  scale[o] * G, or with weight standardisation scale[o] * (G - mean G - w * mean(G * w)) over each
//   output
#pragma once

#include <cmath>
#include <vector>

#include "core/backend.h"
#include "tests/reference/tensor.h"

namespace gs::ref {

// [o][kh][kw][c / groups], of row `r` of dy and sample r % samples of x.
inline std::vector<double> weight_gradient(const ConvSpec& spec, const Tensor<double>& x,
                                           const Tensor<double>& dy, int64_t r) {
    const int64_t n = r % x.shape.n, in = spec.in_channels / spec.groups,
                  out = spec.out_channels / spec.groups;
    std::vector<double> g;
    for (int64_t o = 0; o < spec.out_channels; ++o)
        for (int64_t kh = 0; kh < spec.kernel_h; ++kh)
            for (int64_t kw = 0; kw < spec.kernel_w; ++kw)
                for (int64_t c = 0; c < in; ++c) {
                    double sum = 0;
                    for (int64_t h = 0; h < dy.shape.h; ++h)
                        for (int64_t w = 0; w < dy.shape.w; ++w) {
                            const int64_t ih = h * spec.stride - spec.pad + kh,
                                          iw = w * spec.stride - spec.pad + kw;
                            if (!x.has(ih, iw)) continue;
                            sum += dy.at(r, h, w, o) * x.at(n, ih, iw, o / out * in + c);
                        }
                    g.push_back(sum);
                }
    return g;
}

inline std::vector<double> stored_gradient(std::vector<double> g, int64_t outputs,
                                           const std::vector<float>& scale,
                                           const std::vector<float>& standardised) {
    const size_t fan_in = g.size() / static_cast<size_t>(outputs);
    for (size_t o = 0; o < static_cast<size_t>(outputs); ++o) {
        double* row = g.data() + o * fan_in;
        double mean = 0, dot = 0;
        for (size_t k = 0; k < fan_in && !standardised.empty(); ++k) {
            mean += row[k] / static_cast<double>(fan_in);
            dot += row[k] * standardised[o * fan_in + k] / static_cast<double>(fan_in);
        }
        for (size_t k = 0; k < fan_in; ++k) {
            if (!standardised.empty()) row[k] -= mean + standardised[o * fan_in + k] * dot;
            if (!scale.empty()) row[k] *= scale[o];
        }
    }
    return g;
}

inline double power_sum(const std::vector<double>& values, double p) {
    double sum = 0;
    for (const double v : values)
        sum = std::isinf(p) ? std::max(sum, std::abs(v)) : sum + std::pow(std::abs(v), p);
    return sum;
}

}  // namespace gs::ref
