// oneDNN 2.6 and 3.x behind one face: what differs between the two is here and nowhere else.
#pragma once

#if defined(GRADSCORE_HAS_ONEDNN)

#include <dnnl.hpp>
#include <optional>
#include <string>

#include "core/backend.h"

namespace gs::cpu::onednn {

inline dnnl::memory::dims dims_of(const dnnl::memory::desc& desc) {
#if DNNL_VERSION_MAJOR >= 3
    return desc.get_dims();
#else
    return desc.dims();
#endif
}

inline dnnl::memory::data_type type_of(const dnnl::memory::desc& desc) {
#if DNNL_VERSION_MAJOR >= 3
    return desc.get_data_type();
#else
    return desc.data_type();
#endif
}

struct ConvolutionShape {
    dnnl::memory::desc x, weights, bias, y;  // bias may be empty
    dnnl::memory::dims strides, pads;

    // Of a backward pass's hint, a forward pass: all of the weights' type, no bias.
    ConvolutionShape hint() const {
        const auto as_weights = [&](const dnnl::memory::desc& map) {
            return dnnl::memory::desc(dims_of(map), type_of(weights), dnnl::memory::format_tag::nhwc);
        };
        return {as_weights(x), weights, {}, as_weights(y), strides, pads};
    }
};

inline dnnl::primitive_attr attributes() {
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    return attr;
}

// Nothing where oneDNN has no implementation.
template <class Find>
auto where_implemented(const Find& find) -> decltype(find()) {
    try {
        return find();
    } catch (const dnnl::error& error) {
        if (error.status == dnnl_unimplemented) return std::nullopt;
        throw;
    }
}

template <class Desc, class Accepts>
std::optional<Desc> first_accepted(Desc desc, const Accepts& accepts) {
    while (!accepts(desc)) {
        if (!desc.next_impl()) return std::nullopt;
    }
    return desc;
}

// The first implementation that `accepts(desc)`, or nothing. oneDNN 2 goes from one to the next by pointers
// to the operation and to the hint, which it does not keep: both stay in place here until one is accepted.
template <class Accepts>
std::optional<dnnl::convolution_forward::primitive_desc> forward_desc(const dnnl::engine& engine,
                                                                      const ConvolutionShape& s,
                                                                      const Accepts& accepts) {
    const dnnl::primitive_attr attr = attributes();
    using Desc = dnnl::convolution_forward::primitive_desc;
    const auto prop = dnnl::prop_kind::forward_inference;
    const auto direct = dnnl::algorithm::convolution_direct;
    const bool biased = s.bias.get_size() > 0;
    return where_implemented([&]() -> std::optional<Desc> {
#if DNNL_VERSION_MAJOR >= 3
        return first_accepted(
            biased ? Desc(engine, prop, direct, s.x, s.weights, s.bias, s.y, s.strides, s.pads, s.pads, attr)
                   : Desc(engine, prop, direct, s.x, s.weights, s.y, s.strides, s.pads, s.pads, attr),
            accepts);
#else
        using Operation = dnnl::convolution_forward::desc;
        const Operation operation =
            biased ? Operation(prop, direct, s.x, s.weights, s.bias, s.y, s.strides, s.pads, s.pads)
                   : Operation(prop, direct, s.x, s.weights, s.y, s.strides, s.pads, s.pads);
        return first_accepted(Desc(operation, attr, engine), accepts);
#endif
    });
}

// The hint of a backward pass.
inline std::optional<dnnl::convolution_forward::primitive_desc> hint_of(const dnnl::engine& engine,
                                                                        const ConvolutionShape& s) {
    return forward_desc(engine, s.hint(), [](const auto&) { return true; });
}

template <class Accepts>
std::optional<dnnl::convolution_backward_data::primitive_desc> backward_data_desc(const dnnl::engine& engine,
                                                                                  const ConvolutionShape& s,
                                                                                  const Accepts& accepts) {
    using Desc = dnnl::convolution_backward_data::primitive_desc;
    const auto direct = dnnl::algorithm::convolution_direct;
    const dnnl::primitive_attr attr = attributes();
    const auto hint = hint_of(engine, s);
    if (!hint) return std::nullopt;
    return where_implemented([&]() -> std::optional<Desc> {
#if DNNL_VERSION_MAJOR >= 3
        return first_accepted(
            Desc(engine, direct, s.x, s.weights, s.y, s.strides, s.pads, s.pads, *hint, attr), accepts);
#else
        const dnnl::convolution_backward_data::desc operation(direct, s.x, s.weights, s.y, s.strides, s.pads,
                                                              s.pads);
        return first_accepted(Desc(operation, attr, engine, *hint), accepts);
#endif
    });
}

template <class Accepts>
std::optional<dnnl::convolution_backward_weights::primitive_desc> backward_weights_desc(
    const dnnl::engine& engine, const ConvolutionShape& s, const Accepts& accepts) {
    using Desc = dnnl::convolution_backward_weights::primitive_desc;
    const auto direct = dnnl::algorithm::convolution_direct;
    const dnnl::primitive_attr attr = attributes();
    const auto hint = hint_of(engine, s);
    if (!hint) return std::nullopt;
    const dnnl::memory::desc sums(dims_of(s.weights), dnnl::memory::data_type::f32,
                                  dnnl::memory::format_tag::any);
    return where_implemented([&]() -> std::optional<Desc> {
#if DNNL_VERSION_MAJOR >= 3
        return first_accepted(Desc(engine, direct, s.x, sums, s.y, s.strides, s.pads, s.pads, *hint, attr),
                              accepts);
#else
        const dnnl::convolution_backward_weights::desc operation(direct, s.x, sums, s.y, s.strides, s.pads,
                                                                 s.pads);
        return first_accepted(Desc(operation, attr, engine, *hint), accepts);
#endif
    });
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
