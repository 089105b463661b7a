// Layers without weights that work value by value: ReLU, residual add, and the option A shortcut.
#pragma once

#include <string>

#include "layers/layer.h"

namespace gs {

class Relu : public Layer {
  public:
    explicit Relu(Activation activation = Activation::Relu) : activation_(activation) {}
    Activation activation() const { return activation_; }
    std::string kind() const override { return activation_ == Activation::Relu6 ? "relu6" : "relu"; }
    Shape output_shape(std::span<const Shape> x) const override { return x[0]; }
    bool runs_in_place() const override { return true; }
    bool joins_terms() const override { return true; }
    bool adds_to_dx() const override { return true; }
    BackwardReads backward_reads(Activation) const override {
        return {.input = false, .output = true, .state = false};
    }
    void forward(Backend& backend, const LayerForward& args) const override;
    void backward(Backend& backend, const LayerBackward& args) const override;

  private:
    Activation activation_;
};

// y = a + b. Can leave the group statistics of y for the norm that reads it, in the same sweep.
class Add : public Layer {
  public:
    std::string kind() const override { return "add"; }
    Shape output_shape(std::span<const Shape> x) const override;
    bool fuses_activation() const override { return true; }
    bool runs_in_place() const override { return true; }
    bool passes_gradient() const override { return true; }
    BackwardReads backward_reads(Activation activation) const override {
        return {.input = false, .output = activation != Activation::None, .state = false};
    }
    void forward(Backend& backend, const LayerForward& args) const override;
    void backward(Backend& backend,
                  const LayerBackward& args) const override;  // never called: passes_gradient
};

// He et al.'s parameter-free shortcut ("option A"): subsample, and pad the channels with zeros on both sides.
class PadSubsample : public Layer {
  public:
    PadSubsample(int64_t stride, int64_t out_channels) : stride_(stride), out_channels_(out_channels) {}
    std::string kind() const override { return "pad and subsample"; }
    Shape output_shape(std::span<const Shape> x) const override;
    BackwardReads backward_reads(Activation) const override { return {}; }
    void forward(Backend& backend, const LayerForward& args) const override;
    void backward(Backend& backend, const LayerBackward& args) const override;

  private:
    int64_t stride_, out_channels_;
};

}  // namespace gs
