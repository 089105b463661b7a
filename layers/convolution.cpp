#include "layers/convolution.h"

#include <cmath>

namespace gs {

std::vector<double> FrozenStatistics::scale() const {
    GS_REQUIRE(gamma.size() == var.size() && beta.size() == var.size() && mean.size() == var.size());
    std::vector<double> scale(gamma.size());
    for (size_t c = 0; c < scale.size(); ++c)
        scale[c] = gamma[c] / std::sqrt(static_cast<double>(var[c]) + eps);
    return scale;
}

std::vector<float> FrozenStatistics::shift(const std::vector<double>& scale) const {
    std::vector<float> shift(scale.size());
    for (size_t c = 0; c < scale.size(); ++c) shift[c] = static_cast<float>(beta[c] - mean[c] * scale[c]);
    return shift;
}

namespace {

void fold(ConvolutionWeights& conv, const FrozenStatistics& norm, const std::vector<double>& scale) {
    GS_REQUIRE(scale.size() == static_cast<size_t>(conv.spec.out_channels));
    const size_t fan_in = conv.weights.size() / scale.size();
    std::vector<float> bias = norm.shift(scale);
    for (size_t o = 0; o < scale.size(); ++o) {
        for (size_t k = 0; k < fan_in; ++k) {
            float& w = conv.weights[o * fan_in + k];
            w = static_cast<float>(w * scale[o]);
        }
        if (!conv.bias.empty()) bias[o] = static_cast<float>(bias[o] + conv.bias[o] * scale[o]);
    }
    conv.bias = std::move(bias);
}

}  // namespace

Conv2d::Conv2d(Backend& backend, ConvolutionWeights weights)
    : spec_(weights.spec), convolution_(backend.make_convolution(spec_, weights.weights, weights.bias)) {}

Conv2d::Conv2d(Backend& backend, ConvolutionWeights weights, const FrozenStatistics& norm)
    : spec_(weights.spec), scale_(norm.scale()) {
    fold(weights, norm, scale_);
    convolution_ = backend.make_convolution(spec_, weights.weights, weights.bias);
}

std::string Conv2d::kind() const {
    std::string kind = (spec_.groups > 1 ? "depthwise " : "conv ") + std::to_string(spec_.kernel_h) + "x" +
                       std::to_string(spec_.kernel_w);
    if (spec_.stride > 1) kind += "/" + std::to_string(spec_.stride);
    return kind;
}

void Conv2d::forward(Backend&, const LayerForward& args) const {
    convolution_->forward(args.x[0], args.y, args.activation);
}

void Conv2d::backward(Backend&, const LayerBackward& args) const {
    GS_REQUIRE(args.terms.size() == 1 && args.sinks.empty() && !args.addend);
    convolution_->backward_data(args.terms[0], args.dx);
}

std::vector<float> standardise_weights(std::span<const float> weights, int64_t out_channels) {
    const size_t fan_in = weights.size() / static_cast<size_t>(out_channels);
    std::vector<float> standardised(weights.size());
    for (size_t o = 0; o < static_cast<size_t>(out_channels); ++o) {
        const auto row = weights.subspan(o * fan_in, fan_in);
        double mean = 0, var = 0;
        for (const float w : row) mean += w;
        mean /= static_cast<double>(fan_in);
        for (const float w : row) var += (w - mean) * (w - mean);
        var /= static_cast<double>(fan_in);
        const double rstd = 1 / std::sqrt(var + 1e-10);
        for (size_t k = 0; k < fan_in; ++k)
            standardised[o * fan_in + k] = static_cast<float>((row[k] - mean) * rstd);
    }
    return standardised;
}

}  // namespace gs
