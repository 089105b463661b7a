#if defined(GRADSCORE_HAS_ONEDNN)

#include <compare>

#include "core/contract.h"
#include "core/recent.h"
#include "cpu/activate.h"
#include "cpu/convolution.h"
#include "cpu/onednn_primitives.h"

namespace gs::cpu {
namespace {

using namespace onednn;

class OnednnConvolution final : public Convolution {
  public:
    OnednnConvolution(std::shared_ptr<Context> context, const ConvSpec& spec, std::span<const float> weights,
                      std::span<const float> bias)
        : context_(std::move(context)),
          spec_(spec),
          weights_(weight_dims(), spec.groups > 1 ? Tag::goihw : Tag::oihw, weights),
          bias_(bias.begin(), bias.end()) {}

    void forward(View x, View y, Activation activation) override {
        contract::convolution_forward(spec_, x, y);
        if (y.shape.size() == 0) return;
        if (x.dtype == DType::F32 && y.dtype == DType::BF16) return forward_image(x, y, activation);
        if (!run({x, y, Pass::Forward}, x, y)) return plain().forward(x, y, activation);
        // oneDNN's own, behind the sums in registers, makes 0 of NaN: an overflow would pass for a score.
        if (activation != Activation::None) activate(*context_, y, activation, y);
    }

    void backward_data(View dy, View dx) override {
        contract::convolution_backward_data(spec_, dy, dx);
        if (dx.shape.size() == 0) return;
        if (!run({dx, dy, Pass::Data}, dy, dx)) plain().backward_data(dy, dx);
    }

    void backward_weights(View x, View dy, View dw) override {
        contract::convolution_backward_weights(spec_, x, dy, dw);
        if (!run({x, dy, Pass::Weights}, x, dy, dw)) plain().backward_weights(x, dy, dw);
    }

    std::vector<float> weights() override {
        return with_onednn([&](int) { return weights_.plain(); });
    }

    void set_weights(View weights, View bias) override {
        contract::set_weights(spec_, weights, bias, !bias_.empty());
        with_onednn([&](int) { weights_.set(weights.f32()); });
        if (bias) std::copy_n(bias.f32(), bias_.size(), bias_.begin());
        if (plain_) plain_->set_weights(weights, bias);
        halves_ = nullptr;
    }

  private:
    // A run has two batch sizes, forward and back, and again where memory made it halve the batch.
    static constexpr size_t kMostPrepared = 16;

    enum class Pass : uint8_t { Forward, Data, Weights };
    struct Key {
        int64_t n, h, w;  // of x
        DType x, y;
        Pass pass;
        int threads = 0;
        Key(const View& in, const View& out, Pass which)
            : n(in.shape.n), h(in.shape.h), w(in.shape.w), x(in.dtype), y(out.dtype), pass(which) {}
        auto operator<=>(const Key&) const = default;
    };

    memory::dims weight_dims() const {
        const int64_t in = spec_.in_channels / spec_.groups;
        if (spec_.groups > 1) return {spec_.groups, 1, in, spec_.kernel_h, spec_.kernel_w};
        return {spec_.out_channels, in, spec_.kernel_h, spec_.kernel_w};
    }

    onednn::ConvolutionShape shape_of(const Key& key) const {
        const Shape x{key.n, key.h, key.w, spec_.in_channels}, y = spec_.output_shape(x);
        onednn::ConvolutionShape shape;
        shape.x = {{x.n, x.c, x.h, x.w}, onednn::type_of(key.x), Tag::nhwc};
        shape.y = {{y.n, y.c, y.h, y.w}, onednn::type_of(key.y), Tag::nhwc};
        shape.weights = {weight_dims(), onednn::type_of(key.y), Tag::any};
        if (!bias_.empty()) shape.bias = {{spec_.out_channels}, kF32, Tag::x};
        shape.strides = {spec_.stride, spec_.stride};
        shape.pads = {spec_.pad, spec_.pad};
        return shape;
    }

    // What function(number of threads) returns, with oneDNN's threads ours and its errors the project's.
    template <class Function>
    std::invoke_result_t<Function, int> with_onednn(const Function& function) {
        try {
            const ThreadCount threads(context_->threads);
            return function(threads.get());
        } catch (const dnnl::error& error) {
            rethrow(error);
        }
    }

    // Views as the pass's function has them. False where oneDNN has only reference code.
    template <class... Views>
    bool run(Key key, const Views&... views) {
        return with_onednn([&](int threads) {
            key.threads = threads;
            std::optional<Prepared>& prepared = prepared_.get(key, [&] { return prepare(key); });
            if (!prepared) return false;
            if constexpr (sizeof...(Views) == 3) {
                run_weights(*prepared, views...);
            } else {
                prepared->run(context_->convolution, {views.data...});
            }
            return true;
        });
    }

    // oneDNN sums in a format of its own.
    void run_weights(Prepared& product, View x, View dy, View dw) {
        const memory::desc own = product.desc(2), wanted = weights_.plain_desc();
        if (own == wanted) return product.run(context_->convolution, {x.data, dy.data, dw.f32()});
        auto* sums = context_->weight_gradient.get<std::byte>(own.get_size());
        product.run(context_->convolution, {x.data, dy.data, sums});
        if (!from_sums_ || from_sums_->first != own) from_sums_.emplace(own, Reorder(own, wanted));
        from_sums_->second.run(sums, dw.f32());
    }

    std::optional<Prepared> prepare(const Key& key) {
        switch (key.pass) {
            case Pass::Forward:
                return prepare_forward(key);
            case Pass::Data:
                return prepare_backward(key);
            case Pass::Weights:
                return prepare_weights(key);
        }
        return std::nullopt;
    }

    std::optional<Prepared> prepare_forward(const Key& key) {
        const auto find = [&](const auto& accepts) {
            return onednn::forward_desc(library().engine, shape_of(key), accepts);
        };
        const Shape y = spec_.output_shape({1, key.h, key.w, spec_.in_channels});
        const bool few = key.x == DType::F32 && spec_.stride > 1 && y.pixels() < kFewPositions;
        auto desc = few ? find(is_optimised_of_few_positions) : find(is_optimised);
        if (!desc) return std::nullopt;
        if (key.x == DType::BF16 && spec_.in_channels <= kFewChannels)
            if (const auto packed = find(is_packed)) desc = packed;
        Prepared made(*desc, dnnl::convolution_forward(*desc));
        made.add(DNNL_ARG_SRC, desc->src_desc(), nullptr);
        made.add(DNNL_ARG_DST, desc->dst_desc(), nullptr);
        made.add(DNNL_ARG_WEIGHTS, desc->weights_desc(), weights_.get(desc->weights_desc()));
        if (!bias_.empty()) made.add(DNNL_ARG_BIAS, desc->bias_desc(), bias_.data());
        return made;
    }

    std::optional<Prepared> prepare_backward(const Key& key) {
        const auto desc = onednn::backward_data_desc(library().engine, shape_of(key), is_optimised);
        if (!desc) return std::nullopt;
        Prepared made(*desc, dnnl::convolution_backward_data(*desc));
        made.add(DNNL_ARG_DIFF_DST, desc->diff_dst_desc(), nullptr);
        made.add(DNNL_ARG_DIFF_SRC, desc->diff_src_desc(), nullptr);
        made.add(DNNL_ARG_WEIGHTS, desc->weights_desc(), weights_.get(desc->weights_desc()));
        return made;
    }

    std::optional<Prepared> prepare_weights(const Key& key) {
        if (key.n == 0) return std::nullopt;
        // oneDNN 2.6.3 reads beyond a bfloat16 map that is smaller than the kernel.
        if (key.x == DType::BF16 && (key.h < spec_.kernel_h || key.w < spec_.kernel_w)) return std::nullopt;
        const auto desc = onednn::backward_weights_desc(library().engine, shape_of(key), is_optimised);
        if (!desc) return std::nullopt;
        Prepared made(*desc, dnnl::convolution_backward_weights(*desc));
        made.add(DNNL_ARG_SRC, desc->src_desc(), nullptr);
        made.add(DNNL_ARG_DIFF_DST, desc->diff_dst_desc(), nullptr);
        made.add(DNNL_ARG_DIFF_WEIGHTS, desc->diff_weights_desc(), nullptr);
        return made;
    }

    Convolution& plain() {
        if (!plain_) plain_ = make_plain_convolution(context_, spec_, weights(), bias_);
        return *plain_;
    }

    // With few channels AMX's own kernel unrolls a row of the kernel into its tiles; the one that oneDNN
    // prefers takes twice the time.
    static constexpr int64_t kFewChannels = 8;
    static constexpr auto is_packed = [](const auto& desc) {
        return std::string_view(desc.impl_info_str()).starts_with("jit:avx512_core_amx");
    };

    // An image's value is the sum of two bfloat16, its rounded value and the rounded rest: twice the
    // channels, with the same weights for both.
    void forward_image(View x, View y, Activation activation) {
        if (spec_.groups > 1) return plain().forward(x, y, activation);
        const Shape halves = {x.shape.n, x.shape.h, x.shape.w, 2 * x.shape.c};
        Bf16* split = context_->halves.get<Bf16>(static_cast<size_t>(halves.size()));
        parallel_for(context_->threads, x.shape.n * x.shape.h, [&](int64_t row) {
            const float* from = x.f32() + row * x.shape.w * x.shape.c;
            split_pixels(from, x.shape.w, x.shape.c, split + row * x.shape.w * halves.c);
        });
        if (!halves_) halves_ = make_halves();
        halves_->forward({split, halves, DType::BF16}, y, activation);
    }
    static void split_pixels(const float* x, int64_t pixels, int64_t c, Bf16* to) {
        for (int64_t p = 0; p < pixels; ++p, x += c, to += 2 * c)
            for (int64_t i = 0; i < c; ++i) {
                to[i] = Bf16(x[i]);
                to[c + i] = Bf16(x[i] - static_cast<float>(to[i]));
            }
    }
    std::unique_ptr<Convolution> make_halves() {
        ConvSpec spec = spec_;
        spec.in_channels *= 2;
        const std::vector<float> weights = this->weights();
        const size_t each = weights.size() / static_cast<size_t>(spec_.out_channels);
        std::vector<float> twice;
        for (size_t o = 0; o < weights.size(); o += each)
            for (int half = 0; half < 2; ++half)
                twice.insert(twice.end(), weights.begin() + static_cast<std::ptrdiff_t>(o),
                             weights.begin() + static_cast<std::ptrdiff_t>(o + each));
        return std::make_unique<OnednnConvolution>(context_, spec, twice, bias_);
    }

    std::shared_ptr<Context> context_;
    ConvSpec spec_;
    WeightFormats weights_;
    std::vector<float> bias_;
    std::optional<std::pair<memory::desc, Reorder>> from_sums_;     // of a weight gradient
    Recent<Key, std::optional<Prepared>> prepared_{kMostPrepared};  // nothing: oneDNN has only reference code
    std::unique_ptr<Convolution> plain_;
    std::unique_ptr<Convolution> halves_;  // of an image
};

}  // namespace

std::unique_ptr<Convolution> make_onednn_convolution(std::shared_ptr<Context> context, const ConvSpec& spec,
                                                     std::span<const float> weights,
                                                     std::span<const float> bias) {
    return std::make_unique<OnednnConvolution>(std::move(context), spec, weights, bias);
}

bool onednn_has_bf16() {
    return onednn::has_bf16();
}

std::string onednn_version() {
    return onednn::version();
}

}  // namespace gs::cpu

#endif
