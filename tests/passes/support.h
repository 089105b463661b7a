// Small nets of every family, requests that read all of them, and comparisons of evidence.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "passes/executor.h"
#include "tests/support/backends.h"
#include "tests/support/expect_close.h"
#include "tests/support/golden_net.h"
#include "tests/support/random.h"

namespace gs::test {

inline const Cotangent kUniform{Cotangent::Kind::UniformCrossEntropy, 1};
inline const Cotangent kMaxLogit{Cotangent::Kind::MaxLogit, 1};
inline const Cotangent kFeatureSum{Cotangent::Kind::FeatureSum, 1};
inline const Cotangent kPredicted{Cotangent::Kind::PredictedCrossEntropy, 1000};

inline const std::vector<std::string>& families() {
    static const std::vector<std::string> names = {"bit", "cifar_bottleneck", "option_a",
                                                   "wrn", "tv_basic",         "mobilenet"};
    return names;
}

inline Net family_net(Backend& backend, const std::string& name) {
    return GoldenNet(GoldenCase{name}).build(backend);
}

struct Images {
    int64_t n, h, w;
    std::vector<float> pixels;
    Images(int64_t count, int64_t height, int64_t width, uint64_t seed = 1)
        : n(count), h(height), w(width), pixels(random_values(n * h * w * 3, Fill::Normal, seed)) {}
    std::span<const float> first(int64_t count) const {
        return std::span(pixels).first(static_cast<size_t>(count * h * w * 3));
    }
};

inline Evidence run(Executor& executor, const Images& images) {
    return executor.run(images.pixels, images.n, images.h, images.w);
}
inline Evidence run(Backend& backend, const Net& net, const Request& request, const Images& images,
                    const ExecutorOptions& options = {}) {
    Executor executor(backend, net, request, options);
    return run(executor, images);
}

// Of every parameter of the net's second half.
inline std::vector<WeightNorm> norms_of_last_parameters(const Net& net) {
    std::vector<WeightNorm> norms;
    for (size_t i = net.nodes.size() / 2; i < net.nodes.size(); ++i)
        for (const std::string& parameter : net.nodes[i].parameters)
            for (const double p : {1.0, 2.0}) norms.push_back({parameter, p});
    return norms;
}

// Cotangents that end at different depths: the image, the first norm, the first stage, the last norms.
inline std::vector<Backward> backwards_of_all_depths(const Net& net) {
    Backward all{.cotangent = kMaxLogit}, last{.cotangent = kFeatureSum}, stages{.cotangent = kUniform};
    for (const std::string& norm : net.norms) {
        all.gradients.push_back({norm, Reduction::NonzeroShare});
        all.gradients.push_back({norm, Reduction::Sum});
    }
    for (size_t i = net.norms.size() * 2 / 3; i < net.norms.size(); ++i)
        last.gradients.push_back({net.norms[i], Reduction::Mean});
    for (const std::string& stage : net.stages) stages.gradients.push_back({stage, Reduction::Sum});
    stages.gradients.push_back({net.pooled, Reduction::Sum});
    stages.weight_norms = norms_of_last_parameters(net);
    const Backward image{
        .cotangent = kPredicted,
        .input_gradient = true,
        .second = {SecondPass{.epsilon = 0.01f}, SecondPass{.epsilon = 0.02f, .scale = {1, 2, 3}}}};
    return {last, stages, image, all};
}

inline Request everything(const Net& net) {
    Request request{.logits = true, .features = true, .backwards = backwards_of_all_depths(net)};
    for (const std::string& stage : net.stages) request.activations.push_back({stage, Reduction::Sum});
    request.activations.push_back({net.stages[0], Reduction::NonzeroShare});
    request.activations.push_back({net.pooled, Reduction::Mean});
    return request;
}

// Calls f(what, matrix) for every matrix of the evidence.
template <class F>
void for_each_matrix(const Evidence& e, const F& f) {
    const auto name = [](const Cotangent& c, const TapReduction& t) {
        return to_string(c) + " at " + t.tap + ", reduction " + std::to_string(static_cast<int>(t.reduction));
    };
    for (const auto& [key, m] : e.weight_norms)
        f("norm " + std::to_string(key.second.p) + " of " + key.second.parameter, m);
    f("logits", e.logits);
    f("features", e.features);
    for (const auto& [key, m] : e.activations) f("activation " + key.tap, m);
    for (const auto& [key, m] : e.gradients) f(name(key.first, key.second), m);
    for (const auto& [key, m] : e.input_gradients) f("input gradient of " + to_string(key), m);
    for (const auto& [key, m] : e.second_passes)
        f("second logits, epsilon " + std::to_string(key.second.epsilon), m);
}

template <class Compare>
void compare_evidence(const Evidence& got, const Evidence& want, const Compare& compare) {
    EXPECT_EQ(got.samples, want.samples);
    std::vector<std::pair<std::string, const Matrix*>> left, right;
    for_each_matrix(got, [&](const std::string& what, const Matrix& m) { left.emplace_back(what, &m); });
    for_each_matrix(want, [&](const std::string& what, const Matrix& m) { right.emplace_back(what, &m); });
    ASSERT_EQ(left.size(), right.size());
    for (size_t i = 0; i < left.size(); ++i) {
        ASSERT_EQ(left[i].first, right[i].first);
        EXPECT_EQ(left[i].second->rows, right[i].second->rows) << left[i].first;
        EXPECT_EQ(left[i].second->cols, right[i].second->cols) << left[i].first;
        compare(left[i].first, left[i].second->values, right[i].second->values);
    }
}

// What batches of other sizes, or stacks of other cotangents, have come to: the same bits, where convolutions
// add in one order.
inline void expect_same_in_any_batch(const Backend& backend, const std::string& name,
                                     const std::vector<float>& got, const std::vector<float>& want) {
    if (has_one_order(backend)) return expect_same_bits(name, got, want);
    constexpr float kTolerance = 1e-3f;  // float32's rounding, seen through ReLUs that it opens or closes
    float largest = 0;
    for (const float value : want) largest = std::max(largest, std::abs(value));
    ASSERT_EQ(got.size(), want.size()) << name;
    for (size_t i = 0; i < want.size(); ++i)
        ASSERT_NEAR(got[i], want[i], kTolerance * largest) << name << "[" << i << "]";
}

inline void expect_same_evidence(const Backend& backend, const Evidence& got, const Evidence& want) {
    compare_evidence(got, want, [&](const std::string& what, const auto& left, const auto& right) {
        expect_same_in_any_batch(backend, what, left, right);
    });
}

}  // namespace gs::test
