// Normalisation layers that stand alone (frozen BatchNorm behind a convolution is folded,
// layers/convolution.h).
#pragma once

#include <string>
#include <vector>

#include "layers/convolution.h"
#include "layers/layer.h"

namespace gs {

// BatchNorm at inference where nothing can be folded: pre-activation nets (WideResNet). Statistics are
// constants:
//   y = a[c] x + b[c],   a = gamma / sqrt(var + eps),   b = beta - a mean;      dx = a[c] dy
class FrozenNorm : public Layer {
  public:
    FrozenNorm(Backend& backend, const FrozenStatistics& norm);
    std::string kind() const override { return "frozen norm"; }
    Shape output_shape(std::span<const Shape> x) const override;
    bool fuses_activation() const override { return true; }
    bool runs_in_place() const override { return true; }
    bool joins_terms() const override { return true; }
    bool adds_to_dx() const override { return true; }
    BackwardReads backward_reads(Activation activation) const override {
        return {.input = false, .output = activation != Activation::None, .state = false};
    }
    void forward(Backend& backend, const LayerForward& args) const override;
    void backward(Backend& backend, const LayerBackward& args) const override;
    std::vector<Parameter> parameters() const override { return norm_parameters(channels_); }
    int64_t backward_weights_workspace(int64_t n) const override;
    void backward_weights(Backend& backend, const LayerBackwardWeights& args) const override;
    void gradient_norms(Backend& backend, const LayerGradientNorms& args) const override;

  private:
    int64_t channels_;
    Buffer scale_, shift_, mean_, rstd_;

    NormalisedSum gamma_sum(View x, View out) const;
};

// Group normalisation; the state is (n,1,groups,2): mean and reciprocal deviation.
class GroupNorm : public Layer {
  public:
    GroupNorm(Backend& backend, int64_t groups, float eps, std::span<const float> gamma,
              std::span<const float> beta);
    std::string kind() const override { return "group norm"; }
    Shape output_shape(std::span<const Shape> x) const override;
    Shape state_shape(const Shape& x) const override { return {x.n, 1, groups_, 2}; }
    bool recomputes_output() const override { return true; }
    bool fuses_activation() const override { return true; }
    bool runs_in_place() const override { return true; }
    bool joins_terms() const override { return true; }
    bool adds_to_dx() const override { return true; }
    BackwardReads backward_reads(Activation) const override {
        return {.input = true, .output = false, .state = true};
    }
    void forward(Backend& backend, const LayerForward& args) const override;
    void backward(Backend& backend, const LayerBackward& args) const override;
    std::vector<Parameter> parameters() const override { return norm_parameters(channels_); }
    int64_t backward_weights_workspace(int64_t n) const override;
    void backward_weights(Backend& backend, const LayerBackwardWeights& args) const override;
    void gradient_norms(Backend& backend, const LayerGradientNorms& args) const override;
    void set_parameters(Backend& backend, std::span<const View> values) override;
    void train_backward(Backend& backend, const LayerTraining& args) const override;
    GroupNormParams params() const;

  private:
    int64_t groups_, channels_;
    float eps_;
    Buffer gamma_, beta_;
};

}  // namespace gs
