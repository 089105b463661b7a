// Convolutions as layers see them: weights in the order and type that the device multiplies, channels padded
// to what its engines take, activations that it does not fuse.
#pragma once

#include <memory>
#include <span>

#include "core/backend.h"
#include "cuda/context.h"
#include "cuda/convolution_engine.h"

namespace gs::cuda {

std::unique_ptr<Convolution> make_dense_convolution(std::shared_ptr<Context> context,
                                                    std::shared_ptr<ConvolutionEngine> engine,
                                                    const ConvSpec& spec, std::span<const float> weights,
                                                    std::span<const float> bias);
std::unique_ptr<Convolution> make_depthwise_convolution(std::shared_ptr<Context> context,
                                                        const ConvSpec& spec, std::span<const float> weights,
                                                        std::span<const float> bias);

}  // namespace gs::cuda
