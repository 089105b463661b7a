// A build without CUDA.
#include "core/backend.h"
#include "core/devices.h"

namespace gs {

CudaDevices find_cuda_devices() {
    return {.built = false, .devices = {}, .reason = "built without CUDA"};
}

std::unique_ptr<Backend> make_cuda_backend(const CudaOptions& options) {
    throw Error(ErrorKind::Device,
                "--device cuda:" + std::to_string(options.device) + ": built without CUDA");
}

}  // namespace gs
