#include "cuda/context.h"

#include <atomic>

#include "cuda/kernels/code.h"

namespace gs::cuda {
namespace {

// Before anything runs: a launch that fails would be taken for a fault of gradscore's.
void require_code(const DeviceProperties& device) {
    const cudaError_t found = find_code();
    if (found != cudaErrorNoKernelImageForDevice) return check(found, "search for kernels");
    cudaGetLastError();
    const std::string advice =
        device.compute_capability < 80
            ? "8.0 or later is needed"
            : "use make cuda-release, or make build CMAKE_FLAGS=-DGRADSCORE_CUDA_ARCHITECTURES=" +
                  std::to_string(device.compute_capability);
    throw Error(ErrorKind::Device, "--device cuda:" + std::to_string(device.ordinal) +
                                       ": this build has no code for " + device.name +
                                       ", of compute capability " + device.capability_text() + "; " + advice);
}

// By device. Never destroyed: a backend may be a static of the program that ends.
constexpr size_t kMostDevices = 64;
std::atomic<bool> waiting_taken[kMostDevices];

bool is_shared_by_mps(int device) {
    constexpr auto kMpsEnabled =
        static_cast<cudaDeviceAttr>(133);  // cudaDevAttrMpsEnabled, unknown to CUDA 12.0
    int enabled = 0;
    if (cudaDeviceGetAttribute(&enabled, kMpsEnabled, device) == cudaSuccess) return enabled != 0;
    cudaGetLastError();
    return false;
}

}  // namespace

WaitingRight::WaitingRight(int device) : device_(static_cast<size_t>(device)) {
    if (device_ >= kMostDevices || is_shared_by_mps(device)) return;
    held_ = !waiting_taken[device_].exchange(true);
}

WaitingRight::~WaitingRight() {
    if (held_) waiting_taken[device_] = false;
}

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

std::string DeviceProperties::capability_text() const {
    return std::to_string(compute_capability / 10) + "." + std::to_string(compute_capability % 10);
}

Context::Context(const CudaOptions& options)
    : options_(options), device_(properties_of(options.device)), waiting_(options.device) {
    make_current();
    require_code(device_);
    if (options.wgmma_norms && device_.compute_capability != 90)
        throw Error(ErrorKind::Device, "norms by wgmma need compute capability 9.0; " + device_.name +
                                           " has " + device_.capability_text());
    stream_ = make_stream();
}

void Context::make_current() const {
    const cudaError_t status = cudaSetDevice(device_.ordinal);
    if (status != cudaSuccess) check(status, "cudaSetDevice(" + std::to_string(device_.ordinal) + ")");
}

void* Context::scratch(ScratchUse use, size_t bytes) {
    DeviceMemory& memory = scratch_[static_cast<size_t>(use)];
    if (memory.bytes() < bytes) {
        check(cudaStreamSynchronize(stream()), "growing of scratch memory");
        forget_recordings();
        memory = DeviceMemory();  // the old one first: never both at once
        memory = this->memory(bytes);
    }
    return memory.data();
}

}  // namespace gs::cuda
