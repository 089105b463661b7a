#include "cuda/context.h"

namespace gs::cuda {

DeviceProperties properties_of(int ordinal) {
    int count = 0;
    if (const cudaError_t error = cudaGetDeviceCount(&count); error != cudaSuccess)
        throw Error(ErrorKind::Device,
                    "--device cuda:" + std::to_string(ordinal) + ": no GPU can be used: " + reason_of(error));
    if (ordinal < 0 || ordinal >= count)
        throw Error(ErrorKind::Device,
                    "--device cuda:" + std::to_string(ordinal) + ": there " +
                        (count == 1 ? "is 1 device" : "are " + std::to_string(count) + " devices") +
                        ", counted from 0");
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, ordinal), "cudaGetDeviceProperties");
    return {.ordinal = ordinal,
            .name = properties.name,
            .compute_capability = properties.major * 10 + properties.minor,
            .multiprocessors = properties.multiProcessorCount,
            .total_bytes = properties.totalGlobalMem};
}

Context::Context(const CudaOptions& options)
    : options_(options),
      device_(properties_of(options.device)),
      current_(options.device),
      stream_(make_stream()) {
    if (options.wgmma_norms && device_.compute_capability != 90)
        throw Error(ErrorKind::Device, "norms by wgmma need compute capability 9.0; " + device_.name +
                                           " has " + std::to_string(device_.compute_capability / 10) + "." +
                                           std::to_string(device_.compute_capability % 10));
}

void* Context::scratch(Scratch purpose, size_t bytes) {
    DeviceMemory& memory = scratch_[static_cast<size_t>(purpose)];
    if (memory.bytes() < bytes) {
        check(cudaStreamSynchronize(stream()), "growing of scratch memory");
        ++generation_;
        memory = DeviceMemory();  // the old one first: never both at once
        memory = DeviceMemory(bytes);
    }
    return memory.data();
}

}  // namespace gs::cuda
