// The CUDA runtime with owners: every call is checked, and a failure names the call, its arguments and the
// device. In tests without a device <cuda_runtime.h> is tests/emulated_cuda's.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "core/error.h"
#include "core/tensor.h"

namespace gs::cuda {

// Throws Error(Device) for what the machine lacks (memory, a device, a driver), else Error(Internal).
// what: "cudaMemcpyAsync of 8x120x120x64 to the device".
void check(cudaError_t status, const std::string& what);

// Why there is no device, in words.
std::string reason_of(cudaError_t status);

// Lets the kernel have so many bytes of dynamic shared memory on this device, which is current, from now on.
// The limit is the kernel's and not a launch's: it is never lowered, for another thread may be about to
// launch with more, and recorded launches have what they were recorded with.
void allow_shared_memory(const void* kernel, int device, size_t bytes, const char* name);

template <class Handle, cudaError_t (*destroy)(Handle)>
class Owned {
  public:
    Owned() = default;
    explicit Owned(Handle handle) : handle_(handle) {}
    Owned(Owned&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Owned& operator=(Owned&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~Owned() {
        if (handle_ != nullptr) destroy(handle_);
    }
    Handle get() const { return handle_; }
    explicit operator bool() const { return handle_ != nullptr; }

  private:
    Handle handle_ = nullptr;
};
using Stream = Owned<cudaStream_t, cudaStreamDestroy>;
using Event = Owned<cudaEvent_t, cudaEventDestroy>;
using GraphExec = Owned<cudaGraphExec_t, cudaGraphExecDestroy>;
using Graph = Owned<cudaGraph_t, cudaGraphDestroy>;

Stream make_stream();
Event make_event();  // without timing
Event make_timer();  // with timing

// Memory of the current device, at least 256-byte aligned. Throws Error(Device) with what was asked for and
// what was free.
class DeviceMemory {
  public:
    DeviceMemory() = default;
    explicit DeviceMemory(size_t bytes);
    std::byte* data() const { return static_cast<std::byte*>(data_.get()); }
    size_t bytes() const { return bytes_; }

  private:
    struct Free {
        void operator()(void* data) const { cudaFree(data); }
    };
    std::unique_ptr<void, Free> data_;
    size_t bytes_ = 0;
};

// Page-locked host memory, which copies to the device may read while the host goes on.
class PinnedMemory {
  public:
    PinnedMemory() = default;
    explicit PinnedMemory(size_t bytes);
    std::byte* data() const { return static_cast<std::byte*>(data_.get()); }
    size_t bytes() const { return bytes_; }

  private:
    struct Free {
        void operator()(void* data) const { cudaFreeHost(data); }
    };
    std::unique_ptr<void, Free> data_;
    size_t bytes_ = 0;
};

}  // namespace gs::cuda
