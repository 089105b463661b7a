// A build without CUDA.
#include "core/devices.h"

namespace gs {

CudaDevices find_cuda_devices() {
    return {.built = false, .devices = {}, .reason = "built without CUDA"};
}

}  // namespace gs
