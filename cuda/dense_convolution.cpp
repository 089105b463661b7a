#include <map>
#include <vector>

#include "core/contract.h"
#include "cuda/convolution.h"
#include "cuda/kernels/pointwise.h"
#include "cuda/kernels/weights.h"
#include "cuda/transfer.h"

namespace gs::cuda {
namespace {

bool is_product(const ConvSpec& spec) {
    return spec.kernel_h == 1 && spec.kernel_w == 1 && spec.stride == 1 && spec.pad == 0;
}

// Engines read channels 16 bytes at a time; a plain product of float32 does not mind.
int64_t padded(const ConvSpec& spec, int64_t channels, DType type) {
    if (is_product(spec) && type == DType::F32) return channels;
    const int64_t step = type == DType::BF16 ? 8 : 4;
    return (channels + step - 1) / step * step;
}

KernelForm form_of(const ConvSpec& spec, DType type, bool twice, bool rounded) {
    return {.outputs = padded(spec, spec.out_channels, type),
            .inputs = padded(spec, twice ? 2 * spec.in_channels : spec.in_channels, type),
            .type = type,
            .rounded = rounded,
            .twice = twice};
}

// The scratch copies of maps with padded channels, or of another type, of one call.
class Staged {
  public:
    Staged(Context& context, size_t bytes)
        : next_(static_cast<std::byte*>(context.scratch(ScratchUse::Padded, bytes))) {}
    View take(const Shape& shape, DType type) {
        const View view{next_, shape, type};
        next_ += round_up(view.bytes());
        return view;
    }
    static size_t round_up(size_t bytes) { return (bytes + 255) / 256 * 256; }

  private:
    std::byte* next_;
};

class DenseConvolution final : public Convolution {
  public:
    DenseConvolution(std::shared_ptr<Context> context, std::shared_ptr<ConvolutionEngine> engine,
                     const ConvSpec& spec, std::span<const float> weights, std::span<const float> bias)
        : context_(std::move(context)),
          engine_(std::move(engine)),
          spec_(spec),
          stored_(upload_as(*context_, weights, DType::F32)) {
        if (bias.empty()) return;
        std::vector<float> wide(bias.begin(), bias.end());
        wide.resize(static_cast<size_t>((spec.out_channels + 7) / 8 * 8));
        bias_ = upload_as(*context_, wide, DType::F32);
    }

    void forward(View x, View y, Activation activation) override {
        contract::convolution_forward(spec_, x, y);
        if (y.shape.n == 0) return;
        const Use use = x.dtype != y.dtype ? Use::Image : Use::Maps;
        const Form& form = form_for(y.dtype, use);
        const Maps maps(*this, form.form, x, y);
        put_input(form.form, x, maps.x);
        const Activation fused = activation == Activation::Relu6 ? Activation::None : activation;
        engine_->forward(maps.spec, maps.x, form.kernel(), floats(bias_), fused, maps.y);
        if (maps.y.data != y.data) crop_channels(*context_, maps.y, y);
        if (activation != fused) activate(*context_, y, activation, y);
    }

    // An image's gradient is float32, and so is the product that makes it.
    void backward_data(View dy, View dx) override {
        contract::convolution_backward_data(spec_, dy, dx);
        if (dy.shape.n == 0) return;
        const Use use = dx.dtype != dy.dtype ? Use::ImageGradient : Use::Maps;
        const Form& form = form_for(dx.dtype, use);
        const Maps maps(*this, form.form, dx, dy);
        if (maps.y.data != dy.data) pad_channels(*context_, dy, maps.y);
        engine_->backward_data(maps.spec, maps.y, form.kernel(), maps.x);
        if (maps.x.data != dx.data) crop_channels(*context_, maps.x, dx);
    }

    void backward_weights(View x, View dy, View dw) override {
        contract::convolution_backward_weights(spec_, x, dy, dw);
        if (x.shape.n == 0)
            return check(cudaMemsetAsync(dw.data, 0, dw.bytes(), context_->stream()),
                         "weight gradient of no images");
        const KernelForm form = form_of(spec_, dy.dtype, x.dtype != dy.dtype, false);
        const Maps maps(*this, form, x, dy);
        put_input(form, x, maps.x);
        if (maps.y.data != dy.data) pad_channels(*context_, dy, maps.y);
        auto* made = context_->scratch<float>(ScratchUse::Gradient, form.outputs * taps() * form.inputs);
        engine_->backward_weights(maps.spec, maps.x, maps.y, made);
        to_stored_order(*context_, made, form, spec_.out_channels, spec_.in_channels, taps(), dw.f32());
    }

    std::vector<float> weights() override { return download_floats(*context_, stored_); }

    void set_weights(View weights, View bias) override {
        contract::set_weights(spec_, weights, bias, bias_.bytes() > 0);
        copy_on_device(*context_, weights, stored_.data());
        if (bias) copy_on_device(*context_, bias, bias_.data());
        for (auto& [key, form] : forms_) prepare(form);
    }

  private:
    // What a form of the weights is for. Image: x float32, y bfloat16; ImageGradient: the way back, in
    // float32.
    enum class Use : uint8_t { Maps, Image, ImageGradient };

    // Weights and bias as one kind of call takes them.
    struct Form {
        KernelForm form;
        DeviceMemory weights, rounded_bias;
        DeviceKernel kernel() const {
            return {weights.data(), form.type, reinterpret_cast<const Bf16*>(rounded_bias.data())};
        }
    };

    std::shared_ptr<Context> context_;
    std::shared_ptr<ConvolutionEngine> engine_;
    ConvSpec spec_;
    DeviceMemory stored_, bias_;  // float32: PyTorch's order; the outputs, zeros up to a multiple of 8
    std::map<std::pair<DType, Use>, Form> forms_;

    // The maps that the engine works on: the caller's, or scratch where channels or the type differ.
    struct Maps {
        ConvSpec spec;
        View x, y;

        Maps(const DenseConvolution& self, const KernelForm& form, const View& caller_x, const View& caller_y)
            : spec(self.spec_), x(caller_x), y(caller_y) {
            spec.in_channels = form.inputs;
            spec.out_channels = form.outputs;
            View wide_x = x, wide_y = y;
            wide_x.shape.c = form.inputs;
            wide_y.shape.c = form.outputs;
            wide_x.dtype = wide_y.dtype = form.type;
            const bool stage_x = wide_x.shape != x.shape || x.dtype != form.type,
                       stage_y = wide_y.shape != y.shape || y.dtype != form.type;
            if (!stage_x && !stage_y) return;
            Staged staged(*self.context_, (stage_x ? Staged::round_up(wide_x.bytes()) : 0) +
                                              (stage_y ? Staged::round_up(wide_y.bytes()) : 0));
            if (stage_x) x = staged.take(wide_x.shape, form.type);
            if (stage_y) y = staged.take(wide_y.shape, form.type);
        }
    };

    int64_t taps() const { return taps_of(spec_); }

    void put_input(const KernelForm& form, const View& x, const View& to) const {
        if (form.twice)
            split_image(*context_, x, to);
        else if (to.data != x.data)
            pad_channels(*context_, x, to);
    }

    // Made at the first call that needs it, and kept once it is whole: memory may run out on the way.
    const Form& form_for(DType type, Use use) {
        const std::pair key{type, use};
        if (const auto found = forms_.find(key); found != forms_.end()) return found->second;
        Form made;
        made.form = form_of(spec_, type, use == Use::Image, use == Use::ImageGradient);
        made.weights = context_->memory(static_cast<size_t>(made.form.outputs * taps() * made.form.inputs) *
                                        size_of(type));
        if (type == DType::BF16 && bias_.bytes() > 0) made.rounded_bias = context_->memory(bias_.bytes() / 2);
        prepare(made);
        return forms_.emplace(key, std::move(made)).first->second;
    }

    void prepare(Form& form) {
        to_kernel_order(*context_, floats(stored_), spec_.out_channels, spec_.in_channels, taps(), form.form,
                        form.weights.data());
        if (form.rounded_bias.bytes() == 0) return;
        const Shape outputs{1, 1, 1, static_cast<int64_t>(bias_.bytes() / sizeof(float))};
        convert(*context_, {bias_.data(), outputs, DType::F32},
                {form.rounded_bias.data(), outputs, DType::BF16});
    }
};

}  // namespace

std::unique_ptr<Convolution> make_dense_convolution(std::shared_ptr<Context> context,
                                                    std::shared_ptr<ConvolutionEngine> engine,
                                                    const ConvSpec& spec, std::span<const float> weights,
                                                    std::span<const float> bias) {
    return std::make_unique<DenseConvolution>(std::move(context), std::move(engine), spec, weights, bias);
}

}  // namespace gs::cuda
