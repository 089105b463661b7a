#include <vector>

#include "cuda/convolution.h"
#include "cuda/kernels/depthwise.h"
#include "cuda/kernels/weights.h"
#include "cuda/transfer.h"

namespace gs::cuda {
namespace {

class DepthwiseConvolution final : public Convolution {
  public:
    DepthwiseConvolution(std::shared_ptr<Context> context, const ConvSpec& spec,
                         std::span<const float> weights, std::span<const float> bias)
        : context_(std::move(context)),
          spec_(spec),
          weights_(weights.begin(), weights.end()),
          by_tap_(upload_as(*context_, tap_order(), DType::F32)) {
        if (!bias.empty()) bias_ = upload_as(*context_, bias, DType::F32);
    }

    void forward(View x, View y, Activation activation) override {
        depthwise_forward(*context_, spec_, x, floats(by_tap_), floats(bias_), activation, y);
    }
    void backward_data(View dy, View dx) override {
        depthwise_backward_data(*context_, spec_, dy, floats(by_tap_), dx);
    }
    void backward_weights(View x, View dy, View dw) override {
        GS_REQUIRE(dw.shape == weight_shape(spec_) && x.shape.n == dy.shape.n);
        const float* of_rows = depthwise_weight_gradients(*context_, spec_, x, dy);
        sum_depthwise_rows(*context_, of_rows, dy.shape.n, taps(), spec_.groups, dw.f32());
    }
    std::vector<float> weights() override { return weights_; }

  private:
    std::shared_ptr<Context> context_;
    ConvSpec spec_;
    std::vector<float> weights_;  // [channels][taps]
    DeviceMemory by_tap_, bias_;

    static const float* floats(const DeviceMemory& memory) {
        return reinterpret_cast<const float*>(memory.data());
    }
    int64_t taps() const { return spec_.kernel_h * spec_.kernel_w; }
    std::vector<float> tap_order() const {
        std::vector<float> result(weights_.size());
        for (int64_t c = 0; c < spec_.groups; ++c)
            for (int64_t tap = 0; tap < taps(); ++tap)
                result[static_cast<size_t>(tap * spec_.groups + c)] =
                    weights_[static_cast<size_t>(c * taps() + tap)];
        return result;
    }
};

}  // namespace

std::unique_ptr<Convolution> make_depthwise_convolution(std::shared_ptr<Context> context,
                                                        const ConvSpec& spec, std::span<const float> weights,
                                                        std::span<const float> bias) {
    return std::make_unique<DepthwiseConvolution>(std::move(context), spec, weights, bias);
}

}  // namespace gs::cuda
