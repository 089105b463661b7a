// Whether this build can run on a device at all.
#pragma once

#include <cuda_runtime.h>

namespace gs::cuda {

// cudaErrorNoKernelImageForDevice where the build holds no code for the current device.
cudaError_t find_code();

}  // namespace gs::cuda
