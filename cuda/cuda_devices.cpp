#include <cuda_runtime.h>

#include <cstdio>

#include "core/devices.h"
#include "cuda/runtime.h"

namespace gs {

CudaDevices find_cuda_devices() {
    CudaDevices found{.built = true, .devices = {}, .reason = {}};
    int count = 0;
    if (const cudaError_t error = cudaGetDeviceCount(&count); error != cudaSuccess) {
        found.reason = cuda::reason_of(error);
        return found;
    }
    if (count == 0) found.reason = "no device";
    for (int i = 0; i < count; ++i) {
        cudaDeviceProp properties{};
        if (const cudaError_t error = cudaGetDeviceProperties(&properties, i); error != cudaSuccess) {
            found.devices.push_back(std::to_string(i) + ": " + cudaGetErrorString(error));
            continue;
        }
        char text[512];
        std::snprintf(text, sizeof text, "%d: %s, %.1f GiB, compute capability %d.%d", i, properties.name,
                      static_cast<double>(properties.totalGlobalMem) / (1 << 30), properties.major,
                      properties.minor);
        found.devices.emplace_back(text);
    }
    return found;
}

}  // namespace gs
