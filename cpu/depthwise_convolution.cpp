// Depthwise convolution with no library: sweeps with vectors over channels.
#include <vector>

#include "core/contract.h"
#include "cpu/convolution.h"

namespace gs::cpu {
namespace {

class DepthwiseConvolution final : public Convolution {
  public:
    DepthwiseConvolution(std::shared_ptr<Context> context, const ConvSpec& spec,
                         std::span<const float> weights, std::span<const float> bias)
        : context_(std::move(context)),
          spec_(spec),
          weights_(weights.size()),
          bias_(bias.begin(), bias.end()) {
        pack(weights.data());
    }

    void forward(View x, View y, Activation activation) override {
        contract::convolution_forward(spec_, x, y);
        const DepthwiseShape shape = shape_of(x.shape, y.shape);
        parallel_for(context_->threads, x.shape.n * y.shape.h, [&](int64_t unit) {
            const int64_t n = unit / y.shape.h;
            context_->kernels.depthwise(x.f32() + n * x.shape.per_sample(), weights_.data(),
                                        bias_.empty() ? nullptr : bias_.data(), shape, unit % y.shape.h,
                                        activation, y.f32() + n * y.shape.per_sample());
        });
    }

    void backward_data(View dy, View dx) override {
        contract::convolution_backward_data(spec_, dy, dx);
        const DepthwiseShape shape = shape_of(dx.shape, dy.shape);
        parallel_for(context_->threads, dx.shape.n * dx.shape.h, [&](int64_t unit) {
            const int64_t n = unit / dx.shape.h;
            context_->kernels.depthwise_backward(dy.f32() + n * dy.shape.per_sample(), weights_.data(), shape,
                                                 unit % dx.shape.h, dx.f32() + n * dx.shape.per_sample());
        });
    }

    // A block of channels at a time. Rows of the map are summed in float32, their sums in float64.
    void backward_weights(View x, View dy, View dw) override {
        contract::convolution_backward_weights(spec_, x, dy, dw);
        const DepthwiseShape shape = shape_of(x.shape, dy.shape);
        // Of a worker: sums, and a row of the map's. Workers allocate nothing: they must not throw.
        const int64_t each = 2 * taps_of(spec_) * kChannels;
        double* sums = context_->weight_gradient.get<double>(static_cast<size_t>(context_->threads * each));
        parallel_for(context_->threads, div_up(shape.c, kChannels), [&](int64_t block, int worker) {
            sum_channels(x, dy, shape, block * kChannels, std::min(kChannels, shape.c - block * kChannels),
                         sums + worker * each, dw);
        });
    }

    std::vector<float> weights() override {
        const size_t channels = static_cast<size_t>(spec_.in_channels), taps = weights_.size() / channels;
        std::vector<float> plain(weights_.size());
        for (size_t c = 0; c < channels; ++c)
            for (size_t t = 0; t < taps; ++t) plain[c * taps + t] = weights_[t * channels + c];
        return plain;
    }

    void set_weights(View weights, View bias) override {
        contract::set_weights(spec_, weights, bias, !bias_.empty());
        pack(weights.f32());
        if (bias) std::copy_n(bias.f32(), spec_.out_channels, bias_.begin());
    }

  private:
    static constexpr int64_t kChannels = 64;

    void pack(const float* weights) {
        const size_t channels = static_cast<size_t>(spec_.in_channels), taps = weights_.size() / channels;
        for (size_t c = 0; c < channels; ++c)
            for (size_t t = 0; t < taps; ++t) weights_[t * channels + c] = weights[c * taps + t];
    }

    void sum_channels(const View& x, const View& dy, const DepthwiseShape& shape, int64_t first,
                      int64_t count, double* sums, const View& dw) const {
        const int64_t taps = taps_of(spec_), values = taps * count;
        float* row = reinterpret_cast<float*>(sums + values);
        std::fill_n(sums, values, 0.0);
        for (int64_t unit = 0; unit < x.shape.n * shape.oh; ++unit) {
            const int64_t n = unit / shape.oh;
            context_->kernels.depthwise_weights(x.f32() + n * x.shape.per_sample() + first,
                                                dy.f32() + n * dy.shape.per_sample() + first, shape,
                                                unit % shape.oh, count, row);
            for (int64_t i = 0; i < values; ++i) sums[i] += static_cast<double>(row[i]);
        }
        for (int64_t c = 0; c < count; ++c)
            for (int64_t t = 0; t < taps; ++t)
                dw.f32()[(first + c) * taps + t] = static_cast<float>(sums[t * count + c]);
    }

    DepthwiseShape shape_of(const Shape& x, const Shape& y) const {
        return {x.h, x.w, x.c, y.h, y.w, spec_.kernel_h, spec_.kernel_w, spec_.stride, spec_.pad};
    }

    std::shared_ptr<Context> context_;
    ConvSpec spec_;
    std::vector<float> weights_;  // [kernel_h][kernel_w][c]
    std::vector<float> bias_;
};

}  // namespace

std::unique_ptr<Convolution> make_depthwise_convolution(std::shared_ptr<Context> context,
                                                        const ConvSpec& spec, std::span<const float> weights,
                                                        std::span<const float> bias) {
    return std::make_unique<DepthwiseConvolution>(std::move(context), spec, weights, bias);
}

}  // namespace gs::cpu
