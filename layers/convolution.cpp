#include "layers/convolution.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/standardise.h"

namespace gs {

std::vector<double> FrozenStatistics::rstd() const {
    GS_REQUIRE(gamma.size() == var.size() && beta.size() == var.size() && mean.size() == var.size());
    std::vector<double> rstd(var.size());
    for (size_t c = 0; c < rstd.size(); ++c) rstd[c] = 1 / std::sqrt(static_cast<double>(var[c]) + eps);
    return rstd;
}

std::vector<double> FrozenStatistics::scale() const {
    std::vector<double> scale = rstd();
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

// Whether folded weights have lost what the stored ones were: zeros, or too small for all digits.
bool loses_digits(std::span<const float> weights, double scale) {
    return std::any_of(weights.begin(), weights.end(), [scale](float w) {
        return w != 0 && !(std::abs(w * scale) >= std::numeric_limits<float>::min());
    });
}

}  // namespace

Conv2d::Conv2d(Backend& backend, ConvolutionWeights weights)
    : spec_(weights.spec),
      biased_(!weights.bias.empty()),
      convolution_(backend.make_convolution(spec_, weights.weights, weights.bias)) {}

Conv2d::Conv2d(Backend& backend, ConvolutionWeights weights, const FrozenStatistics& norm)
    : spec_(weights.spec), biased_(!weights.bias.empty()), scale_(norm.scale()) {
    GS_REQUIRE(scale_.size() == static_cast<size_t>(spec_.out_channels));
    folded_ = Folded{.rstd = norm.rstd(), .shift = {}, .lost = {}};
    const size_t fan_in = weights.weights.size() / scale_.size();
    for (size_t o = 0; o < scale_.size(); ++o) {
        const double bias = biased_ ? static_cast<double>(weights.bias[o]) : 0.0;
        folded_->shift.push_back(static_cast<float>(folded_->rstd[o] * (bias - norm.mean[o])));
        const auto row = std::span(weights.weights).subspan(o * fan_in, fan_in);
        if (loses_digits(row, scale_[o])) folded_->lost[o].assign(row.begin(), row.end());
    }
    fold(weights, norm, scale_);
    convolution_ = backend.make_convolution(spec_, weights.weights, weights.bias);
}

Conv2d::Conv2d(Backend& backend, ConvolutionWeights weights, Standardised)
    : spec_(weights.spec), standardised_(true), biased_(!weights.bias.empty()) {
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

std::vector<float> standardise_weights(std::span<const float> weights, int64_t out_channels,
                                       std::vector<double>* rstd) {
    if (rstd != nullptr) rstd->resize(static_cast<size_t>(out_channels));
    const size_t fan_in = weights.size() / static_cast<size_t>(out_channels);
    std::vector<float> standardised(weights.size());
    for (size_t o = 0; o < static_cast<size_t>(out_channels); ++o) {
        const double scale = standardise_row(weights.subspan(o * fan_in, fan_in),
                                             std::span(standardised).subspan(o * fan_in, fan_in));
        if (rstd != nullptr) (*rstd)[o] = scale;
    }
    return standardised;
}

}  // namespace gs
