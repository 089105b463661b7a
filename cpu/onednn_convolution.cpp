#if defined(GRADSCORE_HAS_ONEDNN)

#include <array>
#include <compare>
#include <map>
#include <optional>
#include <vector>

#include "cpu/convolution.h"
#include "cpu/onednn.h"

namespace gs::cpu {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

constexpr auto kF32 = memory::data_type::f32;

// One engine and stream for the process: neither has any state of ours.
struct Library {
    dnnl::engine engine{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream{engine};
};
const Library& library() {
    static const Library instance;
    return instance;
}

[[noreturn]] void rethrow(const dnnl::error& error) {
    const bool memory_is_out = error.status == dnnl_out_of_memory;
    throw Error(memory_is_out ? ErrorKind::Device : ErrorKind::Internal,
                std::string("cpu: oneDNN: ") + error.what() +
                    (memory_is_out ? "; use a smaller --batch or a smaller image" : ""));
}

// The weights in every format that some shape asked for. The copy in PyTorch's order is given up as soon as
// another exists: formats are turned into each other without loss.
class WeightFormats {
  public:
    WeightFormats(const memory::dims& dims, Tag plain, std::span<const float> weights)
        : plain_(dims, kF32, plain) {
        Copy copy{plain_, allocate_aligned(weights.size_bytes())};
        std::copy(weights.begin(), weights.end(), static_cast<float*>(copy.buffer.data()));
        copies_.push_back(std::move(copy));
    }
    void* get(const memory::desc& wanted) {
        for (const Copy& copy : copies_) {
            if (copy.desc == wanted) return copy.buffer.data();
        }
        Copy made{wanted, allocate_aligned(wanted.get_size())};
        const auto& [engine, stream] = library();
        memory from(copies_.front().desc, engine, copies_.front().buffer.data());
        memory to(wanted, engine, made.buffer.data());
        dnnl::stream running = stream;
        dnnl::reorder(from, to).execute(running, from, to);
        running.wait();
        if (copies_.front().desc == plain_) copies_.clear();
        copies_.push_back(std::move(made));
        return copies_.back().buffer.data();
    }
    // A copy for the caller; none that only this call needed stays behind.
    std::vector<float> plain() {
        const size_t before = copies_.size();
        const auto* data = static_cast<const float*>(get(plain_));
        std::vector<float> weights(data, data + plain_.get_size() / sizeof(float));
        if (copies_.size() > before) copies_.pop_back();
        return weights;
    }

  private:
    struct Copy {
        memory::desc desc;
        Buffer buffer;
    };
    memory::desc plain_;
    std::vector<Copy> copies_;
};

// A primitive with its arguments; running it allocates nothing of ours.
class Prepared {
  public:
    template <class Desc>
    Prepared(const Desc& desc, const dnnl::primitive& primitive)
        : primitive_(primitive), scratch_bytes_(desc.scratchpad_desc().get_size()) {
        add(DNNL_ARG_SCRATCHPAD, desc.scratchpad_desc(), nullptr);
    }
    void add(int name, const memory::desc& desc, void* data) {
        memories_.emplace_back(desc, library().engine, data);
        arguments_.push_back({name, memories_.back().get()});
    }
    void run(Scratch& scratch, void* source, void* destination) {
        set(0, scratch.get<std::byte>(scratch_bytes_));
        set(1, source);
        set(2, destination);
        dnnl::error::wrap_c_api(
            dnnl_primitive_execute(primitive_.get(), library().stream.get(),
                                   static_cast<int>(arguments_.size()), arguments_.data()),
            "could not run a convolution");
        dnnl::error::wrap_c_api(dnnl_stream_wait(library().stream.get()), "could not wait");
    }

  private:
    void set(size_t argument, void* data) { memories_[argument].set_data_handle(data); }

    dnnl::primitive primitive_;
    size_t scratch_bytes_;
    std::vector<memory> memories_;  // scratchpad, source, destination, then the constants
    std::vector<dnnl_exec_arg_t> arguments_;
};

template <class Desc>
bool is_reference(const Desc& desc) {
    return std::string_view(desc.impl_info_str()).starts_with("ref");
}

// The first implementation that is not oneDNN's reference code, or nothing.
template <class Make>
auto best_implementation(const Make& make) -> std::optional<decltype(make())> {
    try {
        auto desc = make();
        while (is_reference(desc)) {
            if (!desc.next_impl()) return std::nullopt;
        }
        return desc;
    } catch (const dnnl::error& error) {
        if (error.status == dnnl_unimplemented) return std::nullopt;
        throw;
    }
}

class OnednnConvolution final : public Convolution {
  public:
    OnednnConvolution(std::shared_ptr<Context> context, const ConvSpec& spec, std::span<const float> weights,
                      std::span<const float> bias)
        : context_(std::move(context)),
          spec_(spec),
          weights_(weight_dims(), spec.groups > 1 ? Tag::goihw : Tag::oihw, weights),
          bias_(bias.begin(), bias.end()) {}

    void forward(View x, View y, Activation activation) override {
        GS_REQUIRE(y.shape == spec_.output_shape(x.shape));
        if (y.shape.size() == 0) return;
        run({x.shape.n, x.shape.h, x.shape.w, true, activation}, x, y);
    }

    void backward_data(View dy, View dx) override {
        GS_REQUIRE(dy.shape == spec_.output_shape(dx.shape));
        if (dx.shape.size() == 0) return;
        run({dx.shape.n, dx.shape.h, dx.shape.w, false, Activation::None}, dy, dx);
    }

    std::vector<float> weights() override { return weights_.plain(); }

  private:
    struct Key {
        int64_t n, h, w;  // of x
        bool forward;
        Activation activation;
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
        shape.x = {{x.n, x.c, x.h, x.w}, kF32, Tag::nhwc};
        shape.y = {{y.n, y.c, y.h, y.w}, kF32, Tag::nhwc};
        shape.weights = {weight_dims(), kF32, Tag::any};
        if (!bias_.empty()) shape.bias = {{spec_.out_channels}, kF32, Tag::x};
        shape.strides = {spec_.stride, spec_.stride};
        shape.pads = {spec_.pad, spec_.pad};
        return shape;
    }

    void run(const Key& key, View from, View to) {
        try {
            const ThreadCount threads(context_->threads);
            auto found = prepared_.find(key);
            if (found == prepared_.end()) found = prepared_.emplace(key, prepare(key)).first;
            if (found->second) {
                found->second->run(context_->convolution, from.f32(), to.f32());
            } else if (key.forward) {
                plain().forward(from, to, key.activation);
            } else {
                plain().backward_data(from, to);
            }
        } catch (const dnnl::error& error) {
            rethrow(error);
        }
    }

    std::optional<Prepared> prepare(const Key& key) {
        return key.forward ? prepare_forward(key) : prepare_backward(key);
    }

    std::optional<Prepared> prepare_forward(const Key& key) {
        const auto desc = best_implementation([&] {
            return onednn::forward_desc(library().engine, shape_of(key), onednn::attributes(key.activation));
        });
        if (!desc) return std::nullopt;
        Prepared made(*desc, dnnl::convolution_forward(*desc));
        made.add(DNNL_ARG_SRC, desc->src_desc(), nullptr);
        made.add(DNNL_ARG_DST, desc->dst_desc(), nullptr);
        made.add(DNNL_ARG_WEIGHTS, desc->weights_desc(), weights_.get(desc->weights_desc()));
        if (!bias_.empty()) made.add(DNNL_ARG_BIAS, desc->bias_desc(), bias_.data());
        return made;
    }

    std::optional<Prepared> prepare_backward(const Key& key) {
        const auto desc =
            best_implementation([&] { return onednn::backward_data_desc(library().engine, shape_of(key)); });
        if (!desc) return std::nullopt;
        Prepared made(*desc, dnnl::convolution_backward_data(*desc));
        made.add(DNNL_ARG_DIFF_DST, desc->diff_dst_desc(), nullptr);
        made.add(DNNL_ARG_DIFF_SRC, desc->diff_src_desc(), nullptr);
        made.add(DNNL_ARG_WEIGHTS, desc->weights_desc(), weights_.get(desc->weights_desc()));
        return made;
    }

    Convolution& plain() {
        if (!plain_) plain_ = make_gemm_convolution(context_, spec_, weights_.plain(), bias_);
        return *plain_;
    }

    std::shared_ptr<Context> context_;
    ConvSpec spec_;
    WeightFormats weights_;
    std::vector<float> bias_;
    std::map<Key, std::optional<Prepared>> prepared_;  // nothing: oneDNN has only reference code
    std::unique_ptr<Convolution> plain_;
};

}  // namespace

std::unique_ptr<Convolution> make_onednn_convolution(std::shared_ptr<Context> context, const ConvSpec& spec,
                                                     std::span<const float> weights,
                                                     std::span<const float> bias) {
    return std::make_unique<OnednnConvolution>(std::move(context), spec, weights, bias);
}

std::string onednn_version() {
    return onednn::version();
}

}  // namespace gs::cpu

#endif
