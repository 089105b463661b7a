// Elementwise helpers of other operations.
#pragma once

#include "cuda/context.h"

namespace gs::cuda {

// to[i] = from[i], rounded to the type of `to`. Each of F32 or BF16; as many values.
void convert(Context& context, View from, View to);
void convert(Context& context, const Bf16* from, float* to, int64_t count);
// y = act(x). y may be x.
void activate(Context& context, View x, Activation activation, View y);
// x (n,h,w,c) of F32 or BF16 into y (n,h,w,c') with c' >= c, the further channels 0.
void pad_channels(Context& context, View x, View y);
// The first c channels of y (n,h,w,c') into x (n,h,w,c).
void crop_channels(Context& context, View y, View x);

// An image x (n,h,w,c), float32, as the sum of two bfloat16: channels [0, c) and [c, 2c) of y (n,h,w,c'), the
// further ones 0. Keeps 16 bits of the values.
void split_image(Context& context, View x, View y);

}  // namespace gs::cuda
