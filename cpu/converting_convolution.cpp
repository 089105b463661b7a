// Convolution of bfloat16 maps in float32: what is stored as bfloat16 is converted before and after, weights
// are rounded once. For machines without a library; slower than float32 maps.
#include <algorithm>
#include <vector>

#include "core/contract.h"
#include "cpu/convolution.h"

namespace gs::cpu {
namespace {

class ConvertingConvolution final : public Convolution {
  public:
    ConvertingConvolution(std::shared_ptr<Context> context, const ConvSpec& spec,
                          std::span<const float> weights, std::span<const float> bias,
                          MakeConvolution make_direct)
        : context_(std::move(context)),
          spec_(spec),
          weights_(weights.begin(), weights.end()),
          bias_(bias.begin(), bias.end()),
          make_direct_(make_direct) {}

    void forward(View x, View y, Activation activation) override {
        contract::convolution_forward(spec_, x, y);
        const View out = to_write(y);
        direct(x, y).forward(as_floats(x, context_->input), out, activation);
        round(out, y);
    }

    void backward_data(View dy, View dx) override {
        contract::convolution_backward_data(spec_, dy, dx);
        const View out = to_write(dx);
        direct(dy, dx).backward_data(as_floats(dy, context_->input), out);
        round(out, dx);
    }

    void backward_weights(View x, View dy, View dw) override {
        contract::convolution_backward_weights(spec_, x, dy, dw);
        direct(x, dy).backward_weights(as_floats(x, context_->input), as_floats(dy, context_->output), dw);
    }

    std::vector<float> weights() override { return weights_; }

    void set_weights(View weights, View bias) override {
        contract::set_weights(spec_, weights, bias, !bias_.empty());
        std::copy_n(weights.f32(), weights_.size(), weights_.begin());
        if (bias) std::copy_n(bias.f32(), bias_.size(), bias_.begin());
        exact_.reset();
        rounded_.reset();
    }

  private:
    // With the weights as they are between two tensors of float32, else rounded.
    Convolution& direct(const View& a, const View& b) {
        const bool exact = a.dtype == DType::F32 && b.dtype == DType::F32;
        std::unique_ptr<Convolution>& made = exact ? exact_ : rounded_;
        if (made) return *made;
        std::vector<float> run = weights_;
        if (!exact)
            for (float& w : run) w = static_cast<float>(Bf16(w));
        made = make_direct_(context_, spec_, run, bias_);
        return *made;
    }

    static float* floats(const View& map, Scratch& scratch) {
        return scratch.get<float>(static_cast<size_t>(map.shape.size()));
    }
    View as_floats(const View& map, Scratch& scratch) const {
        if (map.dtype == DType::F32) return map;
        float* converted = floats(map, scratch);
        in_chunks(context_->threads, map.shape.size(), [&](int64_t at, int64_t count) {
            context_->kernels.widen(map.bf16() + at, count, converted + at);
        });
        return {converted, map.shape};
    }
    View to_write(const View& map) const {
        return map.dtype == DType::F32 ? map : View{floats(map, context_->output), map.shape};
    }
    void round(const View& from, const View& map) const {
        if (map.dtype == DType::F32) return;
        in_chunks(context_->threads, map.shape.size(), [&](int64_t at, int64_t count) {
            context_->kernels.narrow(from.f32() + at, count, map.bf16() + at);
        });
    }

    std::shared_ptr<Context> context_;
    ConvSpec spec_;
    std::vector<float> weights_, bias_;
    MakeConvolution make_direct_;
    std::unique_ptr<Convolution> exact_, rounded_;
};

}  // namespace

std::unique_ptr<Convolution> make_converting_convolution(std::shared_ptr<Context> context,
                                                         const ConvSpec& spec, std::span<const float> weights,
                                                         std::span<const float> bias,
                                                         MakeConvolution direct) {
    return std::make_unique<ConvertingConvolution>(std::move(context), spec, weights, bias, direct);
}

std::unique_ptr<Convolution> make_plain_convolution(std::shared_ptr<Context> context, const ConvSpec& spec,
                                                    std::span<const float> weights,
                                                    std::span<const float> bias) {
    if (context->map_type == DType::F32)
        return make_gemm_convolution(std::move(context), spec, weights, bias);
    return make_converting_convolution(std::move(context), spec, weights, bias, make_gemm_convolution);
}

}  // namespace gs::cpu
