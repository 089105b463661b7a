#pragma once

#include "core/backend.h"

namespace gs::cuda {

// Whether the kernel by wgmma (sm90a/) makes a layer's norms, on a device that has it. Depends on the layer,
// and on the alignment that every map of a backend has: not on the batch.
bool can_use_wgmma(const WeightGradientNorm& args);

}  // namespace gs::cuda
