// Convolutions as the nets use them: plain, with a frozen BatchNorm folded in, or weight-standardised. The
// linear layer is a 1x1 convolution on (n,1,1,c).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "layers/layer.h"

namespace gs {

// BatchNorm with running statistics (evaluation mode): y = gamma (x - mean) / sqrt(var + eps) + beta.
struct FrozenStatistics {
    std::vector<float> gamma, beta, mean, var;  // one value a channel
    float eps = 1e-5f;

    std::vector<double> rstd() const;                                  // 1 / sqrt(var + eps)
    std::vector<double> scale() const;                                 // gamma / sqrt(var + eps)
    std::vector<float> shift(const std::vector<double>& scale) const;  // beta - mean * scale
};

// gamma and beta of a norm: PREFIX + "weight", PREFIX + "bias".
std::vector<Parameter> norm_parameters(int64_t channels, const std::string& prefix = "");

struct ConvolutionWeights {
    ConvSpec spec;
    std::vector<float> weights;  // [out][in / groups][kernel_h][kernel_w]
    std::vector<float> bias;     // [out], or empty
};

// Weights as the device runs them, and the factor to the gradient of the stored ones: with w' = s_o w the
// gradient with respect to w is s_o times that with respect to w'.
class Conv2d : public Layer {
  public:
    // A convolution without a norm.
    Conv2d(Backend& backend, ConvolutionWeights weights);
    // norm(conv(x)) as one convolution. The folding is done in float64.
    Conv2d(Backend& backend, ConvolutionWeights weights, const FrozenStatistics& norm);
    // A weight-standardised convolution; `weights` are the stored ones.
    struct Standardised {};
    Conv2d(Backend& backend, ConvolutionWeights weights, Standardised);

    std::string kind() const override;
    bool fits(const Shape& x) const override { return spec_.fits(x); }
    Shape output_shape(std::span<const Shape> x) const override { return spec_.output_shape(x[0]); }
    double flops(std::span<const Shape> x) const override { return spec_.flops(x[0]); }
    bool fuses_activation() const override { return true; }
    bool changes_type() const override { return true; }
    BackwardReads backward_reads(Activation activation) const override {
        return {.input = false, .output = activation != Activation::None, .state = false};
    }
    void forward(Backend& backend, const LayerForward& args) const override;
    void backward(Backend& backend, const LayerBackward& args) const override;

    // weight; bias; norm.weight and norm.bias: those there are.
    std::vector<Parameter> parameters() const override;
    int64_t backward_weights_workspace(int64_t n) const override;
    void backward_weights(Backend& backend, const LayerBackwardWeights& args) const override;

    void gradient_norms(Backend& backend, const LayerGradientNorms& args) const override;
    bool norms_read_output(const Backend& backend, const Shape& x) const override;
    bool combines_gradients(const Backend& backend) const override;
    // Not of one with a folded norm.
    void set_parameters(Backend& backend, std::span<const View> values) override;

    const ConvSpec& spec() const { return spec_; }

  private:
    // What is left of a folded norm.
    struct Folded {
        std::vector<double> rstd;
        std::vector<float> shift;  // rstd * (bias - mean)
        // Stored weights of the outputs whose scale, 0 or nearly, leaves too little of them.
        std::map<size_t, std::vector<float>> lost;
    };
    // On the device, made at the first that asks.
    struct DeviceWeights {
        Buffer scale, shift;
        Buffer unit, unit_by_tap;  // [o][c][tap], [o][tap][c]
        Buffer unit_squares;       // sums over an output's
    };
    struct Scratch;

    ConvSpec spec_;
    bool standardised_ = false, biased_ = false;
    // Of the run weights' gradient to that of the stored ones, an output channel each; empty: 1. As at load.
    std::vector<double> scale_;
    std::optional<Folded> folded_;
    std::unique_ptr<Convolution> convolution_;
    mutable DeviceWeights device_;

    View channels(const Buffer& buffer) const { return buffer.view({1, 1, 1, spec_.out_channels}); }
    View scale(Backend& backend) const;
    View shift(Backend& backend) const;
    // The weights whose convolution is the normalised map: standardised ones, or rstd times the stored ones
    // of a folded norm.
    std::vector<float> unit_weights() const;
    View unit(Backend& backend) const;
    View unit_by_tap(Backend& backend) const;
    View unit_squares(Backend& backend) const;
};

// Weight standardisation (BiT's StdConv2d): (w - mean) / sqrt(var + 1e-10) for each output channel, biased
// variance over the fan-in, in float64; done once, at load. gradnorm_ood resnetv2.py StdConv2d.
// `rstd`, where given, receives 1 / sqrt(var + 1e-10) of each output channel.
std::vector<float> standardise_weights(std::span<const float> weights, int64_t out_channels,
                                       std::vector<double>* rstd = nullptr);

}  // namespace gs
