// A CUDA device on the host, for tests: the part of CUDA's runtime and of its device functions that cuda/
// uses, under the names it has there. Kernels are compiled as C++ and run as they are written, a block after
// the other, its threads as fibers that meet at barriers, in an order that changes from phase to phase: what
// relies on an order without a barrier gives other results from run to run. Memory starts as NaN; streams run
// at once; a captured stream records and a graph replays.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <type_traits>

#include "tests/emulated_cuda/hopper.h"
#include "tests/emulated_cuda/tensor_core.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define __shared__ static thread_local

// ---- Types --------------------------------------------------------------------------------------------

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct uint3 {
    unsigned x, y, z;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(8) uint2 {
    unsigned x, y;
};

// ---- What a thread sees -------------------------------------------------------------------------------

inline thread_local uint3 threadIdx, blockIdx;
inline thread_local dim3 blockDim, gridDim;

namespace gs::emulated {

constexpr unsigned kWarp = 32;

void block_barrier();
void warp_barrier();
// A warp's place of exchange, this thread's parity of it; turns over with every call.
std::byte* warp_exchange();
constexpr size_t kExchangeBytes = 64;  // a lane
unsigned lane();
void* dynamic_shared();
// For a thread that waits for what another block writes. Blocks else run one after the other; static
// __shared__ memory is one for all of them and does not outlive such a wait.
void let_other_blocks_run();

// A copy of this thread that is done by wait_for_copies() at the latest; from null: zeros.
struct Copy {
    void* to;
    const void* from;
    size_t bytes;
    void operator()() const {
        if (from == nullptr)
            std::memset(to, 0, bytes);
        else
            std::memcpy(to, from, bytes);
    }
};
void start_copy(const Copy& copy);

void run(dim3 grid, dim3 block, size_t shared_bytes, const std::function<void()>& thread);

// The value that `from(lane)` holds, for every lane of the warp at once.
template <class T, class From>
T exchange(T value, const From& from) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= kExchangeBytes);
    std::byte* slots = warp_exchange();
    std::memcpy(slots + lane() * kExchangeBytes, &value, sizeof value);
    warp_barrier();
    T result;
    std::memcpy(&result, slots + from(lane()) * kExchangeBytes, sizeof result);
    return result;
}

}  // namespace gs::emulated

inline void __syncthreads() {
    gs::emulated::block_barrier();
}
inline void __syncwarp(unsigned = 0xffffffffu) {
    gs::emulated::warp_barrier();
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
    return gs::emulated::exchange(value, [=](unsigned lane) { return lane ^ static_cast<unsigned>(mask); });
}
template <class T>
T __shfl_down_sync(unsigned, T value, unsigned delta) {
    return gs::emulated::exchange(
        value, [=](unsigned lane) { return lane + delta < gs::emulated::kWarp ? lane + delta : lane; });
}
template <class T>
T __shfl_sync(unsigned, T value, int from) {
    return gs::emulated::exchange(
        value, [=](unsigned) { return static_cast<unsigned>(from) % gs::emulated::kWarp; });
}

template <class T>
T __ldg(const T* p) {
    return *p;
}
template <class T>
T __ldcg(const T* p) {
    return *p;
}
inline void __threadfence() {}
inline unsigned atomicAdd(unsigned* at, unsigned value) {
    const unsigned before = *at;
    *at += value;
    return before;
}

// ---- The runtime --------------------------------------------------------------------------------------

enum cudaError_t {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidDevice = 101,
    cudaErrorNoDevice = 100,
    cudaErrorInsufficientDriver = 35,
    cudaErrorNoKernelImageForDevice = 209,
    cudaErrorInvalidResourceHandle = 400,
    cudaErrorStreamCaptureUnsupported = 900,
    cudaErrorNotReady = 600,
};
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 };
enum cudaDriverEntryPointQueryResult {
    cudaDriverEntryPointSuccess = 0,
    cudaDriverEntryPointSymbolNotFound = 1
};
constexpr unsigned long long cudaEnableDefault = 0;
#define CUDART_VERSION 13000
enum cudaDeviceAttr { cudaDevAttrMpsEnabled = 133 };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
constexpr unsigned cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2, cudaEventDefault = 0;

using cudaStream_t = struct EmulatedStream*;
using cudaEvent_t = struct EmulatedEvent*;
using cudaGraph_t = struct EmulatedGraph*;
using cudaGraphExec_t = struct EmulatedGraphExec*;

struct cudaDeviceProp {
    char name[256];
    size_t totalGlobalMem;
    size_t sharedMemPerBlockOptin;
    int major, minor, multiProcessorCount;
};

const char* cudaGetErrorString(cudaError_t);
const char* cudaGetErrorName(cudaError_t);
cudaError_t cudaGetLastError();
cudaError_t cudaGetDeviceCount(int*);
cudaError_t cudaGetDevice(int*);
cudaError_t cudaSetDevice(int);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp*, int);
cudaError_t cudaDeviceGetAttribute(int*, cudaDeviceAttr, int);
cudaError_t cudaMalloc(void**, size_t);
cudaError_t cudaFree(void*);
cudaError_t cudaMallocHost(void**, size_t);
cudaError_t cudaFreeHost(void*);
cudaError_t cudaMemGetInfo(size_t* free, size_t* total);
cudaError_t cudaMemcpyAsync(void*, const void*, size_t, cudaMemcpyKind, cudaStream_t);
cudaError_t cudaMemsetAsync(void*, int, size_t, cudaStream_t);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t*, unsigned);
cudaError_t cudaStreamDestroy(cudaStream_t);
cudaError_t cudaStreamSynchronize(cudaStream_t);
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t*, unsigned);
cudaError_t cudaEventDestroy(cudaEvent_t);
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t);
cudaError_t cudaEventSynchronize(cudaEvent_t);
cudaError_t cudaEventElapsedTime(float*, cudaEvent_t, cudaEvent_t);
cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode);
cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t*);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t*, cudaGraph_t, unsigned long long);
cudaError_t cudaGraphLaunch(cudaGraphExec_t, cudaStream_t);
cudaError_t cudaGraphDestroy(cudaGraph_t);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t);
cudaError_t cudaRuntimeGetVersion(int*);
cudaError_t cudaDriverGetVersion(int*);
cudaError_t cudaDeviceSynchronize();
cudaError_t cudaGetDriverEntryPointByVersion(const char*, void**, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult*);

namespace gs::emulated {
// What a kernel may have of dynamic shared memory on the current device, 48 KiB until it is told.
cudaError_t allow_shared(const void* kernel, int bytes);
size_t allowed_shared(const void* kernel);
}  // namespace gs::emulated
template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel* kernel, cudaFuncAttribute, int bytes) {
    return gs::emulated::allow_shared(reinterpret_cast<const void*>(kernel), bytes);
}

struct cudaFuncAttributes {};
namespace gs::emulated {
int compute_capability();
}
// As if compiled for 8.0 and later.
template <class Kernel>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes*, Kernel*) {
    return gs::emulated::compute_capability() < 80 ? cudaErrorNoKernelImageForDevice : cudaSuccess;
}

struct cudaLaunchConfig_t {
    dim3 gridDim, blockDim;
    size_t dynamicSmemBytes = 0;
    cudaStream_t stream = nullptr;
    void* attrs = nullptr;
    unsigned numAttrs = 0;
};

namespace gs::emulated {
// Checks the shape as a device would, then runs the thread body for every thread, or records that.
cudaError_t launch(const cudaLaunchConfig_t&, size_t allowed_shared, std::function<void()> thread);
// Work other than kernels that runs on a stream in its turn.
cudaError_t enqueue(cudaStream_t, std::function<void()> work);

// For tests: how much memory (8 GiB at first) and how many multiprocessors (132) the device has, how many
// blocks a grid may have along y and z (65535), its compute capability (90), what is handed out, and kernels
// run.
void limit_memory(size_t bytes);
void limit_grid(unsigned blocks);
void limit_multiprocessors(int count);
void share_by_mps(bool shared);
void set_compute_capability(int capability);
size_t allocated_bytes();
size_t allocated_bytes_of(int device);
size_t launches();
}  // namespace gs::emulated

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments... arguments) {
    return gs::emulated::launch(*config, gs::emulated::allowed_shared(reinterpret_cast<const void*>(kernel)),
                                [=] { kernel(static_cast<Parameters>(arguments)...); });
}
