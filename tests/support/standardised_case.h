// Standardised weights of a convolution, and what it makes of an input.
#pragma once

#include <vector>

#include "core/standardise.h"
#include "tests/reference/convolution.h"
#include "tests/support/random.h"

namespace gs::test {

struct StandardisedCase {
    std::vector<float> run;      // [o][c][tap]: mean 0, variance 1
    std::vector<float> by_tap;   // the same, [o][tap][c]
    std::vector<float> squares;  // [o]: sum of squares
    ref::Tensor<float> output;   // of x, without bias

    StandardisedCase(const ConvSpec& spec, const ref::Tensor<float>& x, uint32_t seed = 4) {
        const Shape shape = weight_shape(spec);
        const int64_t in = shape.h, taps = spec.kernel_h * spec.kernel_w, fan_in = in * taps;
        const std::vector<float> stored = random_values(shape.size(), Fill::Normal, seed);
        run.resize(stored.size());
        by_tap.resize(stored.size());
        for (int64_t o = 0; o < spec.out_channels; ++o) {
            const auto row = [&](auto& all) {
                return std::span(all).subspan(static_cast<size_t>(o * fan_in), static_cast<size_t>(fan_in));
            };
            standardise_row(row(stored), row(run));
            double sum = 0;
            for (int64_t k = 0; k < fan_in; ++k) {
                const float w = row(run)[static_cast<size_t>(k)];
                row(by_tap)[static_cast<size_t>(k % taps * in + k / taps)] = w;
                sum += static_cast<double>(w) * w;
            }
            squares.push_back(static_cast<float>(sum));
        }
        output = ref::cast<float>(ref::convolution<double>(
            spec, ref::cast<double>(x), std::vector<double>(run.begin(), run.end()), {}, Activation::None));
    }
};

}  // namespace gs::test
