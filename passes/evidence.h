// What running a plan on a batch gives: small arrays on the host, one row a sample. A score is a pure
// function of it.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "passes/request.h"

namespace gs {

struct Matrix {
    int64_t rows = 0, cols = 0;
    std::vector<float> values{};

    std::span<const float> row(int64_t i) const {
        GS_REQUIRE(i >= 0 && i < rows);
        return std::span(values).subspan(static_cast<size_t>(i * cols), static_cast<size_t>(cols));
    }
    void append(std::span<const float> more, int64_t columns);
};

struct Evidence {
    int64_t samples = 0;
    Matrix logits;                                                   // [n][classes]
    Matrix features;                                                 // [n][features]
    std::map<TapReduction, Matrix> activations;                      // [n][channels]
    std::map<std::pair<Cotangent, TapReduction>, Matrix> gradients;  // [n][channels]
    std::map<Cotangent, Matrix> input_gradients;                     // [n][h * w * 3]
    std::map<std::pair<Cotangent, SecondPass>, Matrix>
        second_passes;  // [n][classes], or [n][channels] of a tap

    std::map<std::pair<Cotangent, WeightNorm>, Matrix> weight_norms;  // [n][1]

    // The arrays a score asked for; throws Error(Internal) where the request did not hold them.
    const Matrix& activation(const TapReduction& reduction) const;
    const Matrix& gradient(const Cotangent& cotangent, const TapReduction& reduction) const;
    const Matrix& weight_norms_of(const Cotangent& cotangent, const WeightNorm& norm) const;
    double weight_norm(const Cotangent& cotangent, const WeightNorm& norm, int64_t sample) const;
    const Matrix& second(const Cotangent& cotangent, const SecondPass& pass) const;
};

}  // namespace gs
