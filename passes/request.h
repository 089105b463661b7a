// What a score needs from each sample. Requests of several scores are merged, planned once, and answered by
// one Evidence. Source of the idea: design, section 4.
#pragma once

#include <compare>
#include <string>
#include <vector>

#include "core/backend.h"

namespace gs {

// A reduction at a named tap: of the activation, or of the gradient. A norm's tap under a fused activation
// has a gradient only; asking for its activation keeps the two apart (passes/fuse.h).
struct TapReduction {
    std::string tap;
    Reduction reduction = Reduction::Sum;
    auto operator<=>(const TapReduction&) const = default;
};

// What is back-propagated. Logit seeds go through the head; FeatureSum puts ones on the pooled features.
struct Cotangent {
    enum class Kind : uint8_t { UniformCrossEntropy, MaxLogit, PredictedCrossEntropy, FeatureSum };
    Kind kind = Kind::UniformCrossEntropy;
    float temperature = 1;  // of the cross entropies
    auto operator<=>(const Cotangent&) const = default;
};
std::string to_string(const Cotangent& cotangent);

// A second forward pass on x - epsilon * sgn(dL/dx) / scale[c] (ODIN; scores.md section 4); its logits are
// collected.
struct SecondPass {
    float epsilon = 0;
    std::vector<float> scale{};  // one value a channel of the image, or empty: 1
    auto operator<=>(const SecondPass&) const = default;
};

// sum |gradient|^p of one weight, of each sample (the largest |gradient| for p = infinity); the gradient is
// that of the stored weight and never exists in memory (core/backend.h, WeightGradientNorm).
struct WeightNorm {
    std::string weight;  // "layer1.0.conv1.weight"
    double p = 1;
    auto operator<=>(const WeightNorm&) const = default;
};

struct Backward {
    Cotangent cotangent;
    std::vector<TapReduction> gradients{};
    bool input_gradient = false;  // the whole map, (n,h,w,3)
    std::vector<SecondPass> second{};
    std::vector<WeightNorm> weight_norms{};
};

struct Request {
    bool logits = false;
    bool features = false;
    std::vector<TapReduction> activations{};
    std::vector<Backward> backwards{};

    // Union: equal cotangents become one backward pass, equal reductions one.
    void merge(const Request& other);
    bool needs_net() const { return logits || features || !activations.empty() || !backwards.empty(); }
};

}  // namespace gs
