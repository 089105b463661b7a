// Layers that only nets in training have.
#pragma once

#include <string>
#include <vector>

#include "core/training.h"
#include "layers/convolution.h"
#include "layers/layer.h"

namespace gs {

// BatchNorm with the statistics of the batch: y = act(norm(x0) + x1), x1 a residual net's other branch where
// there is a second input. The state is (1,1,2,c): mean and reciprocal deviation. Every forward pass moves
// the running statistics as PyTorch's (momentum 0.1, unbiased variance).
class BatchNorm : public Layer {
  public:
    BatchNorm(Backend& backend, const FrozenStatistics& norm);
    std::string kind() const override { return "batch norm"; }
    Shape output_shape(std::span<const Shape> x) const override;
    Shape state_shape(const Shape& x) const override { return {1, 1, 2, x.c}; }
    bool fuses_activation() const override { return true; }
    bool joins_terms() const override { return true; }
    bool adds_to_dx() const override { return true; }
    BackwardReads backward_reads(Activation) const override {
        return {.input = true, .output = false, .state = true};
    }
    void forward(Backend& backend, const LayerForward& args) const override;
    // There is none but train_backward: gradients depend on the whole batch.
    void backward(Backend& backend, const LayerBackward& args) const override;
    std::vector<Parameter> parameters() const override { return norm_parameters(channels_); }
    void set_parameters(Backend& backend, std::span<const View> values) override;
    // With a second input args.y and args.g must be there. mode is Overwrite.
    void train_backward(Backend& backend, const LayerTraining& args) const override;

    View running_mean() const { return channels(mean_); }  // (1,1,1,c)
    View running_var() const { return channels(var_); }

  private:
    int64_t channels_;
    float eps_;
    Buffer gamma_, beta_, mean_, var_;

    View channels(const Buffer& buffer) const { return buffer.view({1, 1, 1, channels_}); }
};

// Zeros a share `rate` of the values and scales up the others; which ones, args.draw says (core/training.h).
class DropoutLayer : public Layer {
  public:
    explicit DropoutLayer(float rate) : rate_(rate) {}
    std::string kind() const override { return "dropout"; }
    Shape output_shape(std::span<const Shape> x) const override { return x[0]; }
    bool runs_in_place() const override { return true; }
    BackwardReads backward_reads(Activation) const override { return {}; }
    void forward(Backend& backend, const LayerForward& args) const override;
    void backward(Backend& backend, const LayerBackward& args) const override;  // none but train_backward
    void train_backward(Backend& backend, const LayerTraining& args) const override;

  private:
    float rate_;
};

}  // namespace gs
