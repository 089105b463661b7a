#pragma once

#include "core/backend.h"

namespace gs::cuda {

// Whether the kernel by wgmma (sm90a/) makes a layer's norms, on a device that has it. Depends on the layer
// alone.
bool can_use_wgmma(const WeightGradientNorm& args);

}  // namespace gs::cuda
