// What a score needs from each sample. Requests of several scores are merged, planned once, and answered by
// one Evidence.
#pragma once

#include <compare>
#include <memory>
#include <span>
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

// A loss that the host differentiates, of the spatial mean of a tap or of the logits (Mahalanobis distances,
// losses of true labels). Called from one thread.
class HostLoss {
  public:
    virtual ~HostLoss() = default;
    virtual std::string name() const = 0;  // for people: "distance at block4"
    virtual std::string tap() const = 0;   // empty: the logits
    // value: the tap's spatial mean [channels], or the logits [classes]; gradient of the loss with respect to
    // it, overwritten. `sample` counts from the first image of Executor::run.
    virtual void gradient(int64_t sample, std::span<const float> value, std::span<float> gradient) const = 0;
};

// What is back-propagated. Logit seeds go through the head; FeatureSum puts ones on the pooled features; Host
// is the gradient of `loss`, at a tap spread evenly over its positions.
struct Cotangent {
    enum class Kind : uint8_t {
        UniformCrossEntropy,
        MaxLogit,
        PredictedCrossEntropy,
        ClassCrossEntropy,        // CE(z / T, target)
        ClassBinaryCrossEntropy,  // sum_j softplus(z_j / T) - z_target / T
        FeatureSum,
        Host
    };
    Kind kind = Kind::UniformCrossEntropy;
    float temperature = 1;                   // of the cross entropies
    int64_t target = -1;                     // class of the Class… kinds; of Host where its loss has one
    std::shared_ptr<const HostLoss> loss{};  // of Host; equal where it is the same object
    auto operator<=>(const Cotangent&) const = default;

    // The tap it starts at, or empty: at the logits or the pooled features.
    std::string start() const { return kind == Kind::Host ? loss->tap() : std::string(); }
};
std::string to_string(const Cotangent& cotangent);
// The same without the class: "cross entropy, T 1".
std::string family_of(const Cotangent& cotangent);

// A second forward pass on x - epsilon * sgn(dL/dx) / scale[c] (ODIN; docs/methods/odin.md), of which the
// logits are collected, or the spatial mean of a tap; it ends there.
struct SecondPass {
    float epsilon = 0;
    std::vector<float> scale{};  // one value a channel of the image, or empty: 1
    std::string tap{};           // empty: the logits
    auto operator<=>(const SecondPass&) const = default;
};

// sum |gradient|^p of one parameter, of each sample (the largest |gradient| for p = infinity); the gradient
// is that of the stored weight and never exists in memory (core/backend.h, WeightGradientNorm).
struct WeightNorm {
    std::string parameter;  // "layer1.0.conv1.weight", "layer1.0.bn1.bias"
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
    // Taps whose activation is read: by reductions, by losses of the host, by second passes.
    std::vector<std::string> activation_taps() const;
};

}  // namespace gs
