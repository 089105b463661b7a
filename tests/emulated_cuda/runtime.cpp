// The runtime of the emulated device: memory, streams that run at once, graphs that replay.
#include <cuda_runtime.h>

#include <chrono>
#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

using Work = std::vector<std::function<void()>>;
struct EmulatedStream {
    int device = 0;
    bool capturing = false;
    Work captured;
};
struct EmulatedEvent {
    int device = 0;
    std::chrono::steady_clock::time_point at;
};
struct EmulatedGraph {
    Work work;
};
struct EmulatedGraphExec {
    Work work;
};

namespace gs::emulated {
namespace {

constexpr size_t kDeviceBytes = size_t{8} << 30;

size_t device_bytes() {
    const char* value = std::getenv("GRADSCORE_EMULATED_MIB");
    return value == nullptr ? kDeviceBytes : static_cast<size_t>(std::atoi(value)) << 20;
}

struct Allocation {
    size_t bytes;
    int device;
};
struct Memory {
    std::mutex mutex;
    std::map<void*, Allocation> allocations;
    std::map<std::pair<const void*, int>, int> shared;  // of kernels, by device
    size_t used = 0, limit = device_bytes();
    size_t launches = 0;
    int multiprocessors = 132, capability = 90;
    bool mps = false;
    unsigned grid_height = 65535;
    cudaError_t last = cudaSuccess;
};
Memory& memory() {
    static Memory* instance =
        new Memory;  // never destroyed: backends of static storage free theirs at the end
    return *instance;
}

thread_local int current_device = 0;

cudaError_t failed(cudaError_t error) {
    memory().last = error;
    return error;
}

}  // namespace

cudaError_t enqueue(cudaStream_t stream, std::function<void()> work) {
    if (stream != nullptr && stream->device != current_device) return failed(cudaErrorInvalidResourceHandle);
    if (stream != nullptr && stream->capturing) {
        stream->captured.push_back(std::move(work));
    } else {
        work();
    }
    return cudaSuccess;
}

cudaError_t allow_shared(const void* kernel, int bytes) {
    if (bytes > 227 * 1024) return failed(cudaErrorInvalidValue);
    std::lock_guard lock(memory().mutex);
    memory().shared[{kernel, current_device}] = bytes;
    return cudaSuccess;
}
size_t allowed_shared(const void* kernel) {
    std::lock_guard lock(memory().mutex);
    const auto found = memory().shared.find({kernel, current_device});
    return found == memory().shared.end() ? 48 * 1024 : static_cast<size_t>(found->second);
}

cudaError_t launch(const cudaLaunchConfig_t& config, size_t allowed, std::function<void()> thread) {
    const dim3 &g = config.gridDim, &b = config.blockDim;
    const bool fits = b.x * b.y * b.z >= 1 && b.x * b.y * b.z <= 1024 && b.z <= 64 && g.x >= 1 &&
                      g.x < (1u << 31) && g.y >= 1 && g.y <= memory().grid_height && g.z >= 1 &&
                      g.z <= memory().grid_height && config.dynamicSmemBytes <= allowed;
    if (!fits) return failed(cudaErrorInvalidValue);
    ++memory().launches;
    return enqueue(config.stream, [config, thread = std::move(thread)] {
        run(config.gridDim, config.blockDim, config.dynamicSmemBytes, thread);
    });
}

void limit_memory(size_t bytes) {
    memory().limit = bytes;
}
void limit_grid(unsigned blocks) {
    memory().grid_height = blocks;
}
size_t allocated_bytes() {
    return memory().used;
}
size_t allocated_bytes_of(int device) {
    size_t bytes = 0;
    for (const auto& [data, allocation] : memory().allocations)
        if (allocation.device == device) bytes += allocation.bytes;
    return bytes;
}
void limit_multiprocessors(int count) {
    memory().multiprocessors = count;
}
void share_by_mps(bool shared) {
    memory().mps = shared;
}
int compute_capability() {
    return memory().capability;
}
void set_compute_capability(int capability) {
    memory().capability = capability;
}
size_t launches() {
    return memory().launches;
}

}  // namespace gs::emulated

using gs::emulated::memory;

const char* cudaGetErrorString(cudaError_t error) {
    switch (error) {
        case cudaSuccess:
            return "no error";
        case cudaErrorMemoryAllocation:
            return "out of memory";
        case cudaErrorInvalidDevice:
            return "invalid device ordinal";
        default:
            return "invalid argument";
    }
}
const char* cudaGetErrorName(cudaError_t error) {
    return error == cudaErrorMemoryAllocation ? "cudaErrorMemoryAllocation" : "cudaErrorInvalidValue";
}
cudaError_t cudaGetLastError() {
    return std::exchange(memory().last, cudaSuccess);
}
// Programs that are linked with this device are told by their environment how many there are and how large
// they are.
namespace {

int from_environment(const char* name, int fallback) {
    const char* value = std::getenv(name);
    return value == nullptr ? fallback : std::atoi(value);
}
int device_count() {
    return from_environment("GRADSCORE_EMULATED_DEVICES", 1);
}

}  // namespace

cudaError_t cudaGetDeviceCount(int* count) {
    *count = device_count();
    return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
    *device = gs::emulated::current_device;
    return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
    if (device < 0 || device >= device_count()) return cudaErrorInvalidDevice;
    gs::emulated::current_device = device;
    return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
    if (device < 0 || device >= device_count()) return cudaErrorInvalidDevice;
    *properties = {.name = "emulated on the host",
                   .totalGlobalMem = gs::emulated::kDeviceBytes,
                   .sharedMemPerBlockOptin = 227 << 10,
                   .major = memory().capability / 10,
                   .minor = memory().capability % 10,
                   .multiProcessorCount = memory().multiprocessors};
    return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
    if (attribute != cudaDevAttrMpsEnabled) return gs::emulated::failed(cudaErrorInvalidValue);
    *value = memory().mps ? 1 : 0;
    return cudaSuccess;
}
cudaError_t cudaMalloc(void** data, size_t bytes) {
    std::lock_guard lock(memory().mutex);
    if (bytes > memory().limit - std::min(memory().limit, memory().used))
        return gs::emulated::failed(cudaErrorMemoryAllocation);
    const size_t rounded = (bytes + 255) / 256 * 256;
    *data = std::aligned_alloc(256, rounded == 0 ? 256 : rounded);
    std::memset(*data, 0xff, rounded);  // NaN
    memory().allocations[*data] = {bytes, gs::emulated::current_device};
    memory().used += bytes;
    return cudaSuccess;
}
cudaError_t cudaFree(void* data) {
    std::lock_guard lock(memory().mutex);
    if (data == nullptr) return cudaSuccess;
    memory().used -= memory().allocations.at(data).bytes;
    memory().allocations.erase(data);
    std::free(data);
    return cudaSuccess;
}
cudaError_t cudaMallocHost(void** data, size_t bytes) {
    *data = std::malloc(bytes == 0 ? 1 : bytes);
    return cudaSuccess;
}
cudaError_t cudaFreeHost(void* data) {
    std::free(data);
    return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
    *total = memory().limit;
    *free = *total - std::min(*total, memory().used);
    return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
    return gs::emulated::enqueue(stream, [=] { std::memcpy(to, from, bytes); });
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
    return gs::emulated::enqueue(stream, [=] { std::memset(to, value, bytes); });
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
    *stream = new EmulatedStream{.device = gs::emulated::current_device, .captured = {}};
    return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    delete stream;
    return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    return stream != nullptr && stream->capturing ? gs::emulated::failed(cudaErrorStreamCaptureUnsupported)
                                                  : cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) {
    return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
    *event = new EmulatedEvent{.device = gs::emulated::current_device, .at = {}};
    return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
    delete event;
    return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    if (stream != nullptr && stream->device != event->device)
        return gs::emulated::failed(cudaErrorInvalidResourceHandle);
    event->at = std::chrono::steady_clock::now();
    return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t) {
    return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t from, cudaEvent_t to) {
    *ms = std::chrono::duration<float, std::milli>(to->at - from->at).count();
    return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
    stream->capturing = true;
    stream->captured.clear();
    return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
    stream->capturing = false;
    *graph = new EmulatedGraph{std::move(stream->captured)};
    return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
    *exec = new EmulatedGraphExec{graph->work};
    return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
    for (const auto& work : exec->work) gs::emulated::enqueue(stream, work);
    return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
    delete exec;
    return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
    *version = 13000;
    return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
    *version = 13000;
    return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
    return cudaSuccess;
}
cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** entry, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult* result) {
    const bool found = std::strcmp(name, "cuTensorMapEncodeTiled") == 0;
    *entry = found ? reinterpret_cast<void*>(&cuTensorMapEncodeTiled) : nullptr;
    *result = found ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
    return cudaSuccess;
}
