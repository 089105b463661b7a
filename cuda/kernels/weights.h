// Gradients of weights on their way from the order kernels make them in to PyTorch's.
#pragma once

#include "cuda/context.h"

namespace gs::cuda {

// from: [out'][taps][in'], to: [out][in][taps], with out <= out' and in <= in'.
void to_stored_order(Context& context, const float* from, int64_t from_inputs, int64_t outputs,
                     int64_t inputs, int64_t taps, float* to);
// from: [rows][taps][channels], summed over the rows in float64 into to: [channels][taps].
void sum_depthwise_rows(Context& context, const float* from, int64_t rows, int64_t taps, int64_t channels,
                        float* to);

}  // namespace gs::cuda
