// Depthwise convolutions: bound by memory, on the CUDA cores.
#pragma once

#include "cuda/context.h"

namespace gs::cuda {

// weights: float32 [kernel_h][kernel_w][channels], bias [channels] or null. Maps of one type, or x (dx) an
// image.
void depthwise_forward(Context& context, const ConvSpec& spec, View x, const float* weights,
                       const float* bias, Activation activation, View y);
void depthwise_backward_data(Context& context, const ConvSpec& spec, View dy, const float* weights, View dx);

// The weight gradient of each row of dy: [rows][taps][channels], in scratch memory (Gradient), until that is
// used again. Row r reads sample r % x.shape.n.
float* depthwise_weight_gradients(Context& context, const ConvSpec& spec, View x, View dy);

}  // namespace gs::cuda
