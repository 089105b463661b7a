#include <map>
#include <vector>

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

ConvSpec padded(const ConvSpec& spec, DType type) {
    ConvSpec wide = spec;
    wide.in_channels = padded(spec, spec.in_channels, type);
    wide.out_channels = padded(spec, spec.out_channels, type);
    return wide;
}

// [out][in][kh][kw] to [out'][kh][kw][in'], zeros in what is padded.
std::vector<float> device_order(const ConvSpec& spec, const ConvSpec& wide, std::span<const float> weights) {
    const int64_t taps = spec.kernel_h * spec.kernel_w;
    std::vector<float> result(static_cast<size_t>(wide.out_channels * taps * wide.in_channels));
    for (int64_t o = 0; o < spec.out_channels; ++o)
        for (int64_t c = 0; c < spec.in_channels; ++c)
            for (int64_t tap = 0; tap < taps; ++tap)
                result[static_cast<size_t>((o * taps + tap) * wide.in_channels + c)] =
                    weights[static_cast<size_t>((o * spec.in_channels + c) * taps + tap)];
    return result;
}

// The scratch copies of maps with padded channels, or of another type, of one call.
class Staged {
  public:
    Staged(Context& context, size_t bytes)
        : next_(static_cast<std::byte*>(context.scratch(Scratch::Padded, bytes))) {}
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
          weights_(weights.begin(), weights.end()),
          bias_(bias.begin(), bias.end()) {}

    void forward(View x, View y, Activation activation) override {
        require(x, y);
        if (y.shape.n == 0) return;
        const Maps maps(*this, x, y, y.dtype);
        if (maps.x.data != x.data) pad_channels(*context_, x, maps.x);
        const OfType& ready = of_type(y.dtype);
        const Activation fused = activation == Activation::Relu6 ? Activation::None : activation;
        engine_->forward(maps.spec, maps.x, ready.kernel(y.dtype), ready.bias(), fused, maps.y);
        if (maps.y.data != y.data) crop_channels(*context_, maps.y, y);
        if (activation != fused) activate(*context_, y, activation, y);
    }

    void backward_data(View dy, View dx) override {
        require(dx, dy);
        if (dy.shape.n == 0) return;
        const Maps maps(*this, dx, dy, dy.dtype);
        if (maps.y.data != dy.data) pad_channels(*context_, dy, maps.y);
        engine_->backward_data(maps.spec, maps.y, of_type(dy.dtype).kernel(dy.dtype), maps.x);
        if (maps.x.data != dx.data) crop_channels(*context_, maps.x, dx);
    }

    void backward_weights(View x, View dy, View dw) override {
        require(x, dy);
        GS_REQUIRE(dw.shape == weight_shape(spec_));
        if (x.shape.n == 0)
            return check(cudaMemsetAsync(dw.data, 0, dw.bytes(), context_->stream()), "weight gradient of no images");
        const Maps maps(*this, x, dy, dy.dtype);
        if (maps.x.data != x.data) pad_channels(*context_, x, maps.x);
        if (maps.y.data != dy.data) pad_channels(*context_, dy, maps.y);
        const int64_t taps = spec_.kernel_h * spec_.kernel_w;
        auto* made = context_->scratch<float>(Scratch::Gradient,
                                              maps.spec.out_channels * taps * maps.spec.in_channels);
        engine_->backward_weights(maps.spec, maps.x, maps.y, made);
        to_stored_order(*context_, made, maps.spec.in_channels, spec_.out_channels, spec_.in_channels, taps,
                        dw.f32());
    }

    std::vector<float> weights() override { return weights_; }

  private:
    // Weights and bias as convolutions of one type take them.
    struct OfType {
        DeviceMemory weights, biases;
        DeviceKernel kernel(DType type) const { return {weights.data(), type}; }
        const float* bias() const { return reinterpret_cast<const float*>(biases.data()); }
    };

    std::shared_ptr<Context> context_;
    std::shared_ptr<ConvolutionEngine> engine_;
    ConvSpec spec_;
    std::vector<float> weights_, bias_;
    std::map<DType, OfType> made_;

    // The maps that the engine works on: the caller's, or scratch.
    struct Maps {
        ConvSpec spec;
        View x, y;

        Maps(const DenseConvolution& self, const View& caller_x, const View& caller_y, DType type)
            : spec(padded(self.spec_, type)), x(caller_x), y(caller_y) {
            Shape wide_x = x.shape, wide_y = y.shape;
            wide_x.c = spec.in_channels;
            wide_y.c = spec.out_channels;
            const bool stage_x = wide_x != x.shape || x.dtype != type, stage_y = wide_y != y.shape;
            const View of_x{nullptr, wide_x, type}, of_y{nullptr, wide_y, type};
            if (!stage_x && !stage_y) return;
            Staged staged(*self.context_, (stage_x ? Staged::round_up(of_x.bytes()) : 0) +
                                              (stage_y ? Staged::round_up(of_y.bytes()) : 0));
            if (stage_x) x = staged.take(wide_x, type);
            if (stage_y) y = staged.take(wide_y, type);
        }
    };

    void require(const View& x, const View& y) const {
        GS_REQUIRE(x.shape.n == y.shape.n && x.shape.c == spec_.in_channels);
        GS_REQUIRE(y.shape.with_n(1) == spec_.output_shape(x.shape.with_n(1)));
        GS_REQUIRE(x.dtype == y.dtype || x.dtype == DType::F32);
    }

    const OfType& of_type(DType type) {
        const auto [it, is_new] = made_.try_emplace(type);
        if (!is_new) return it->second;
        OfType& made = it->second;
        const ConvSpec wide = padded(spec_, type);
        made.weights = upload_as(*context_, device_order(spec_, wide, weights_), type);
        if (!bias_.empty()) {
            std::vector<float> biases = bias_;
            biases.resize(static_cast<size_t>(wide.out_channels));
            made.biases = upload_as(*context_, biases, DType::F32);
        }
        return made;
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
