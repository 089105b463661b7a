// What a convolution's library did not add.
#pragma once

#include "cuda/context.h"

namespace gs::cuda {

// y = act(y + bias[c]), in place; y (n,h,w,c) of F32 or BF16, bias float32 [c] or null: 0.
void add_bias(Context& context, View y, const float* bias, Activation activation);

}  // namespace gs::cuda
