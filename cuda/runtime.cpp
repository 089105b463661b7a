#include "cuda/runtime.h"

#include <cstdio>
#include <map>
#include <mutex>

namespace gs::cuda {
namespace {

bool is_the_machines(cudaError_t status) {
    return status == cudaErrorMemoryAllocation || status == cudaErrorNoDevice ||
           status == cudaErrorInvalidDevice || status == cudaErrorInsufficientDriver;
}

std::string mebibytes(size_t bytes) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / (1 << 20));
    return text;
}

template <class Allocate>
void* allocate(size_t bytes, const char* where, const Allocate& call) {
    void* data = nullptr;
    const cudaError_t status = call(&data, bytes);
    if (status == cudaErrorMemoryAllocation) {
        cudaGetLastError();  // reported here; later calls are not to find it
        size_t free = 0, total = 0;
        cudaMemGetInfo(&free, &total);
        throw Error(ErrorKind::Device, std::string("cuda: out of ") + where + " memory: " + mebibytes(bytes) +
                                           " asked for, " + mebibytes(free) + " of " + mebibytes(total) +
                                           " on the device free; use a smaller --batch or smaller images");
    }
    check(status, std::string("allocation of ") + mebibytes(bytes) + " of " + where + " memory");
    return data;
}

Event event_with(unsigned flags) {
    cudaEvent_t event = nullptr;
    check(cudaEventCreateWithFlags(&event, flags), "cudaEventCreate");
    return Event(event);
}

}  // namespace

void check(cudaError_t status, const std::string& what) {
    if (status == cudaSuccess) return;
    int device = -1;
    cudaGetDevice(&device);
    cudaGetLastError();
    throw Error(is_the_machines(status) ? ErrorKind::Device : ErrorKind::Internal,
                "cuda:" + std::to_string(device) + ": " + what + ": " + cudaGetErrorString(status));
}

std::string reason_of(cudaError_t status) {
    if (status == cudaErrorInsufficientDriver)
        return "there is no NVIDIA driver, or one older than this build's CUDA";
    return cudaGetErrorString(status);
}

void allow_shared_memory(const void* kernel, int device, size_t bytes, const char* name) {
    static std::mutex mutex;
    static std::map<std::pair<const void*, int>, size_t> allowed;
    const std::lock_guard<std::mutex> guard(mutex);
    size_t& most = allowed[{kernel, device}];
    if (bytes <= most) return;
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
          name);
    most = bytes;
}

Stream make_stream() {
    cudaStream_t stream = nullptr;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
    return Stream(stream);
}

Event make_event() {
    return event_with(cudaEventDisableTiming);
}

Event make_timer() {
    return event_with(cudaEventDefault);
}

DeviceMemory::DeviceMemory(size_t bytes)
    : data_(allocate(bytes, "device", [](void** data, size_t size) { return cudaMalloc(data, size); })),
      bytes_(bytes) {}

PinnedMemory::PinnedMemory(size_t bytes)
    : data_(allocate(bytes, "pinned host",
                     [](void** data, size_t size) { return cudaMallocHost(data, size); })),
      bytes_(bytes) {}

}  // namespace gs::cuda
