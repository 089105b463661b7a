#include "layers/convolution.h"

#include <cmath>

#include "core/sums.h"

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

Conv2d::Conv2d(Backend& backend, ConvolutionWeights weights, Standardised)
    : spec_(weights.spec), standardised_(true) {
    const std::vector<float> run = standardise_weights(weights.weights, spec_.out_channels, &scale_);
    convolution_ = backend.make_convolution(spec_, run, weights.bias);
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

void Conv2d::upload_for_norms(Backend& backend) const {
    if (!scale_.empty() && device_scale_.bytes() == 0)
        device_scale_ = backend.upload(std::vector<float>(scale_.begin(), scale_.end()));
    if (!standardised_ || device_weights_.bytes() != 0) return;
    const std::vector<float> weights = convolution_->weights();
    const int64_t taps = spec_.kernel_h * spec_.kernel_w, in = spec_.in_channels;
    std::vector<float> by_tap(weights.size());
    for (int64_t o = 0; o < spec_.out_channels; ++o)
        for (int64_t c = 0; c < in; ++c)
            for (int64_t t = 0; t < taps; ++t)
                by_tap[static_cast<size_t>((o * taps + t) * in + c)] =
                    weights[static_cast<size_t>((o * in + c) * taps + t)];
    device_weights_ = backend.upload(by_tap);
}

void Conv2d::weight_gradient_norm(Backend& backend, View x, View dy, double p, View out) const {
    upload_for_norms(backend);
    const int64_t taps = spec_.kernel_h * spec_.kernel_w;
    backend.weight_gradient_norm(
        {.spec = spec_,
         .x = x,
         .dy = dy,
         .scale = scale_.empty() ? View{} : device_scale_.view({1, 1, 1, spec_.out_channels}),
         .standardised =
             standardised_ ? device_weights_.view({1, spec_.out_channels, taps, spec_.in_channels}) : View{},
         .p = p,
         .out = out});
}

std::vector<float> standardise_weights(std::span<const float> weights, int64_t out_channels,
                                       std::vector<double>* rstd) {
    if (rstd != nullptr) rstd->resize(static_cast<size_t>(out_channels));
    const size_t fan_in = weights.size() / static_cast<size_t>(out_channels);
    std::vector<float> standardised(weights.size());
    for (size_t o = 0; o < static_cast<size_t>(out_channels); ++o) {
        const auto row = weights.subspan(o * fan_in, fan_in);
        const double count = static_cast<double>(fan_in);
        const double mean = lane_sum(row, [](float w) { return w; }) / count;
        const double var = lane_sum(row, [mean](float w) { return (w - mean) * (w - mean); }) / count;
        const double scale = 1 / std::sqrt(var + 1e-10);
        if (rstd != nullptr) (*rstd)[o] = scale;
        for (size_t k = 0; k < fan_in; ++k)
            standardised[o * fan_in + k] = static_cast<float>((row[k] - mean) * scale);
    }
    return standardised;
}

}  // namespace gs
