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
                                                                          ConvolutionShape s) {
    const auto direct = dnnl::algorithm::convolution_direct;
    const dnnl::primitive_attr attr = attributes(Activation::None);
    s.bias = {};
    const auto hint = forward_desc(engine, s, attr);
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
    s.bias = {};
    const auto hint = forward_desc(engine, s, attr);
    using Desc = dnnl::convolution_backward_weights::primitive_desc;
#if DNNL_VERSION_MAJOR >= 3
    return Desc(engine, direct, s.x, s.weights, s.y, s.strides, s.pads, s.pads, hint, attr);
#else
    return Desc({direct, s.x, s.weights, s.y, s.strides, s.pads, s.pads}, attr, engine, hint);
#endif
}

inline std::string version() {
    const dnnl_version_t* v = dnnl_version();
    return std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
}

}  // namespace gs::cpu::onednn

#endif
