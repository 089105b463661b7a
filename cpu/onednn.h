// oneDNN 2.6 and 3.x behind one face: what differs between the two is here and nowhere else.
#pragma once

#if defined(GRADSCORE_HAS_ONEDNN)

#include <dnnl.hpp>
#include <string>

#include "core/backend.h"

namespace gs::cpu::onednn {

struct ConvolutionShape {
    dnnl::memory::desc x, weights, bias, y;  // bias may be empty
    dnnl::memory::dims strides, pads;

    // Of a backward pass's hint, a forward pass: all of the weights' type, no bias.
    ConvolutionShape hint() const {
        const auto as_weights = [&](const dnnl::memory::desc& map) {
            return dnnl::memory::desc(map.dims(), weights.data_type(), dnnl::memory::format_tag::nhwc);
        };
        return {as_weights(x), weights, {}, as_weights(y), strides, pads};
    }
};

inline dnnl::primitive_attr attributes(Activation activation) {
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    if (activation == Activation::None) return attr;
    const bool clipped = activation == Activation::Relu6;
    const auto kind = clipped ? dnnl::algorithm::eltwise_clip : dnnl::algorithm::eltwise_relu;
    dnnl::post_ops ops;
#if DNNL_VERSION_MAJOR >= 3
    ops.append_eltwise(kind, 0.0f, clipped ? 6.0f : 0.0f);
#else
    ops.append_eltwise(1.0f, kind, 0.0f, clipped ? 6.0f : 0.0f);
#endif
    attr.set_post_ops(ops);
    return attr;
}

inline dnnl::convolution_forward::primitive_desc forward_desc(const dnnl::engine& engine,
                                                              const ConvolutionShape& s,
                                                              const dnnl::primitive_attr& attr) {
    const auto prop = dnnl::prop_kind::forward_inference;
    const auto direct = dnnl::algorithm::convolution_direct;
    const bool biased = s.bias.get_size() > 0;
    using Desc = dnnl::convolution_forward::primitive_desc;
#if DNNL_VERSION_MAJOR >= 3
    return biased ? Desc(engine, prop, direct, s.x, s.weights, s.bias, s.y, s.strides, s.pads, s.pads, attr)
                  : Desc(engine, prop, direct, s.x, s.weights, s.y, s.strides, s.pads, s.pads, attr);
#else
    return biased ? Desc({prop, direct, s.x, s.weights, s.bias, s.y, s.strides, s.pads, s.pads}, attr, engine)
                  : Desc({prop, direct, s.x, s.weights, s.y, s.strides, s.pads, s.pads}, attr, engine);
#endif
}

inline dnnl::convolution_backward_data::primitive_desc backward_data_desc(const dnnl::engine& engine,
                                                                          const ConvolutionShape& s) {
    const auto direct = dnnl::algorithm::convolution_direct;
    const dnnl::primitive_attr attr = attributes(Activation::None);
    const auto hint = forward_desc(engine, s.hint(), attr);
    using Desc = dnnl::convolution_backward_data::primitive_desc;
#if DNNL_VERSION_MAJOR >= 3
    return Desc(engine, direct, s.x, s.weights, s.y, s.strides, s.pads, s.pads, hint, attr);
#else
    return Desc({direct, s.x, s.weights, s.y, s.strides, s.pads, s.pads}, attr, engine, hint);
#endif
}

inline dnnl::convolution_backward_weights::primitive_desc backward_weights_desc(const dnnl::engine& engine,
                                                                                ConvolutionShape s) {
    const auto direct = dnnl::algorithm::convolution_direct;
    const dnnl::primitive_attr attr = attributes(Activation::None);
    const auto hint = forward_desc(engine, s.hint(), attr);
    s.weights = {s.weights.dims(), dnnl::memory::data_type::f32, dnnl::memory::format_tag::any};
    using Desc = dnnl::convolution_backward_weights::primitive_desc;
#if DNNL_VERSION_MAJOR >= 3
    return Desc(engine, direct, s.x, s.weights, s.y, s.strides, s.pads, s.pads, hint, attr);
#else
    return Desc({direct, s.x, s.weights, s.y, s.strides, s.pads, s.pads}, attr, engine, hint);
#endif
}

inline bool has_bf16() {
    const auto bf16 = static_cast<unsigned>(dnnl::cpu_isa::avx512_core_bf16);
    return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & bf16) == bf16;
}

inline std::string version() {
    const dnnl_version_t* v = dnnl_version();
    return std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
}

}  // namespace gs::cpu::onednn

#endif
