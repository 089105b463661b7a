// Maps as the tensor memory accelerator (TMA, compute capability 9.0 and later) sees them.
#pragma once

#include <cuda.h>

#include "core/tensor.h"

namespace gs::cuda {

constexpr int kTmaChannels = 64;  // of a box: the 128 bytes of one row of its swizzle

// Boxes of kTmaChannels channels, box_w x box_h pixels and one sample of a bfloat16 map (n,h,w,c): 128-byte
// swizzled rows of channels, a pixel each; zeros outside the map. Coordinates are (c, w, h, n). c is a
// multiple of 8, the data are 16-byte aligned.
CUtensorMap make_tensor_map(const View& map, int box_h, int box_w);

}  // namespace gs::cuda
