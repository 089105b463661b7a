#include <map>
#include <vector>

#include "core/contract.h"
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
        : context_(std::move(context)), spec_(spec), stored_(upload_as(*context_, weights, DType::F32)) {
        if (!bias.empty()) bias_ = upload_as(*context_, bias, DType::F32);
    }

    void forward(View x, View y, Activation activation) override {
        contract::convolution_forward(spec_, x, y);
        depthwise_forward(*context_, spec_, x, by_tap(y.dtype), floats(bias_), activation, y);
    }
    void backward_data(View dy, View dx) override {
        contract::convolution_backward_data(spec_, dy, dx);
        depthwise_backward_data(*context_, spec_, dy, by_tap(dy.dtype), dx);
    }
    void backward_weights(View x, View dy, View dw) override {
        contract::convolution_backward_weights(spec_, x, dy, dw);
        const float* of_rows = depthwise_weight_gradients(*context_, spec_, x, dy);
        sum_depthwise_rows(*context_, of_rows, dy.shape.n, taps(), spec_.groups, dw.f32());
    }
    std::vector<float> weights() override { return download_floats(*context_, stored_); }

    void set_weights(View weights, View bias) override {
        contract::set_weights(spec_, weights, bias, bias_.bytes() > 0);
        copy_on_device(*context_, weights, stored_.data());
        if (bias) copy_on_device(*context_, bias, bias_.data());
        for (auto& [type, made] : by_tap_) prepare(type, made);
    }

  private:
    std::shared_ptr<Context> context_;
    ConvSpec spec_;
    DeviceMemory stored_, bias_;            // [channels][taps]
    std::map<DType, DeviceMemory> by_tap_;  // of maps of a type: [taps][channels], float32, rounded to it

    int64_t taps() const { return taps_of(spec_); }

    // Kept once it is whole: memory may run out on the way.
    const float* by_tap(DType type) {
        if (const auto found = by_tap_.find(type); found != by_tap_.end()) return floats(found->second);
        DeviceMemory made = context_->memory(stored_.bytes());
        prepare(type, made);
        return floats(by_tap_.emplace(type, std::move(made)).first->second);
    }
    void prepare(DType type, DeviceMemory& to) {
        to_tap_order(*context_, floats(stored_), spec_.groups, taps(), type == DType::BF16,
                     reinterpret_cast<float*>(to.data()));
    }
};

}  // namespace

std::unique_ptr<Convolution> make_depthwise_convolution(std::shared_ptr<Context> context,
                                                        const ConvSpec& spec, std::span<const float> weights,
                                                        std::span<const float> bias) {
    return std::make_unique<DepthwiseConvolution>(std::move(context), spec, weights, bias);
}

}  // namespace gs::cuda
