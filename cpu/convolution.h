// The ways to convolve on a CPU: our own kernels, oneDNN's, and what is built on either. All take weights in
// PyTorch's order and keep what they need of them.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "core/backend.h"
#include "cpu/context.h"

namespace gs::cpu {

// im2col and a blocked matrix product of our own; depthwise as sweeps. Need no library.
std::unique_ptr<Convolution> make_gemm_convolution(std::shared_ptr<Context> context, const ConvSpec& spec,
                                                   std::span<const float> weights,
                                                   std::span<const float> bias);

std::unique_ptr<Convolution> make_depthwise_convolution(std::shared_ptr<Context> context,
                                                        const ConvSpec& spec, std::span<const float> weights,
                                                        std::span<const float> bias);

using MakeConvolution = decltype(&make_gemm_convolution);

// Maps of bfloat16, and of both types, with `direct`'s float32 convolution: they are converted before and
// after.
std::unique_ptr<Convolution> make_converting_convolution(std::shared_ptr<Context> context,
                                                         const ConvSpec& spec, std::span<const float> weights,
                                                         std::span<const float> bias, MakeConvolution direct);

// What needs no library, for the context's maps.
std::unique_ptr<Convolution> make_plain_convolution(std::shared_ptr<Context> context, const ConvSpec& spec,
                                                    std::span<const float> weights,
                                                    std::span<const float> bias);

// Winograd's algorithm forward, `direct` backward: for 3x3 convolutions of stride 1 that are wide enough.
std::unique_ptr<Convolution> make_winograd_convolution(std::shared_ptr<Context> context, const ConvSpec& spec,
                                                       std::span<const float> weights,
                                                       std::span<const float> bias, MakeConvolution direct);
bool winograd_pays(const ConvSpec& spec);

#if defined(GRADSCORE_HAS_ONEDNN)
// oneDNN's direct convolutions; a shape for which it has only its reference code takes the plain way.
std::unique_ptr<Convolution> make_onednn_convolution(std::shared_ptr<Context> context, const ConvSpec& spec,
                                                     std::span<const float> weights,
                                                     std::span<const float> bias);
std::string onednn_version();
// Whether the processor multiplies bfloat16; else oneDNN does it in float32, more slowly than that.
bool onednn_has_bf16();
#endif

}  // namespace gs::cpu
