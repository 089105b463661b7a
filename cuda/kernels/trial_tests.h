// What the trials of algorithms look for in what one has written (engine/trial.h).
#pragma once

#include "cuda/context.h"

namespace gs::cuda {

// dx (n,h,w,c) of F32 or BF16. True where the first `rows` x `columns` pixels of the first sample have a
// value that is not 0, and nothing else has one; NaN is not 0, -0 is. Waits for the stream.
bool is_zero_outside(Context& context, View dx, int64_t rows, int64_t columns);

// Whether every value is NaN. Waits for the stream.
bool is_nan_everywhere(Context& context, View y);

}  // namespace gs::cuda
