// Pooling layers.
#pragma once

#include <string>

#include "layers/layer.h"

namespace gs {

// The state is each window's winner (u8), so that backward needs neither x nor y.
class MaxPool : public Layer {
  public:
    explicit MaxPool(const PoolSpec& spec) : spec_(spec) {}
    std::string kind() const override { return "max pool"; }
    bool fits(const Shape& x) const override { return spec_.fits(x); }
    Shape output_shape(std::span<const Shape> x) const override { return spec_.output_shape(x[0]); }
    Shape state_shape(const Shape& x) const override { return spec_.output_shape(x); }
    DType state_type() const override { return DType::U8; }
    BackwardReads backward_reads(Activation) const override {
        return {.input = false, .output = false, .state = true};
    }
    void forward(Backend& backend, const LayerForward& args) const override;
    void backward(Backend& backend, const LayerBackward& args) const override;

  private:
    PoolSpec spec_;
};

// Mean over the whole map, or over its top-left window: `avg_pool2d(x, 4)` of the CIFAR ResNets reads only
// the top-left 4x4 of a larger map (docs/methods/gaia-a.md).
class AveragePool : public Layer {
  public:
    explicit AveragePool(int64_t window = 0) : window_(window) {}  // 0: global
    int64_t window() const { return window_; }
    std::string kind() const override { return "average pool"; }
    bool changes_type() const override { return true; }
    bool fits(const Shape& x) const override;
    Shape output_shape(std::span<const Shape> x) const override;
    BackwardReads backward_reads(Activation) const override { return {}; }
    void forward(Backend& backend, const LayerForward& args) const override;
    void backward(Backend& backend, const LayerBackward& args) const override;

  private:
    int64_t window_;
    int64_t extent(int64_t size) const { return window_ == 0 ? size : window_; }
};

}  // namespace gs
