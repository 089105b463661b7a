// Weights between the order files and layers have them in, PyTorch's, and those that convolutions multiply
// in.
#pragma once

#include "cuda/context.h"

namespace gs::cuda {

// How a dense convolution wants its weights: [outputs][taps][inputs] of a type, zeros beyond those there are.
struct KernelForm {
    int64_t outputs = 0, inputs = 0;  // padded
    DType type = DType::F32;
    bool rounded = false;  // float32 with the values of bfloat16
    bool twice = false;    // the input comes as two addends, channels [0, c) and [c, 2c): weights for both
};
// from: [outputs][inputs][taps]
void to_kernel_order(Context& context, const float* from, int64_t outputs, int64_t inputs, int64_t taps,
                     const KernelForm& form, void* to);
// The way back of a gradient. from: [form.outputs][taps][form.inputs], float32; to: [outputs][inputs][taps].
// Of an input in two addends the gradient is the sum of both.
void to_stored_order(Context& context, const float* from, const KernelForm& form, int64_t outputs,
                     int64_t inputs, int64_t taps, float* to);

// Depthwise. from: [channels][taps], to: [taps][channels]; rounded: to the values of bfloat16.
void to_tap_order(Context& context, const float* from, int64_t channels, int64_t taps, bool rounded,
                  float* to);
// from: [rows][taps][channels], summed over the rows in float64 into to: [channels][taps].
void sum_depthwise_rows(Context& context, const float* from, int64_t rows, int64_t taps, int64_t channels,
                        float* to);

}  // namespace gs::cuda
