// What all operations of one CUDA backend share: the device, its stream, and scratch memory.
#pragma once

#include <array>
#include <string>

#include "core/backend.h"
#include "cuda/runtime.h"

namespace gs::cuda {

struct DeviceProperties {
    int ordinal = 0;
    std::string name;            // "NVIDIA H200"
    int compute_capability = 0;  // 90 for 9.0
    std::string capability_text() const;
    int multiprocessors = 0;
    size_t total_bytes = 0;
};
DeviceProperties properties_of(int ordinal);

// Scratch by purpose, so that one operation's does not overwrite another's that it calls. Contents do not
// outlive the operation.
enum class ScratchUse : uint8_t {
    Partial,
    Coefficients,
    Sinks,
    Convolution,
    Padded,
    Gradient,
    RowSums,
    Arrivals,
    Count
};

// Whether blocks of a kernel may wait for each other (cuda/kernels/arrivals.cuh). Two such kernels at once
// could fill a device with blocks that wait for others, which then find no room. So one context of a device
// may, as long as it lives: the first, unless other processes share the device at the same time (MPS).
class WaitingRight {
  public:
    explicit WaitingRight(int device);
    ~WaitingRight();
    WaitingRight(const WaitingRight&) = delete;
    WaitingRight& operator=(const WaitingRight&) = delete;
    explicit operator bool() const { return held_; }

  private:
    size_t device_;
    bool held_ = false;
};

class Context {
  public:
    // Leaves the device current: to make the one before current again would make a CUDA context there.
    explicit Context(const CudaOptions& options);

    const CudaOptions& options() const { return options_; }
    const DeviceProperties& device() const { return device_; }
    // How many blocks of a kernel may wait for each other: as many as are certain to run at once.
    int waiting_blocks() const { return waiting_ ? device_.multiprocessors : 1; }
    // Makes the device the calling thread's: the thread may be another one than made the context, or have
    // used another device since. Whatever CUDA does without a stream is done on the current device.
    void make_current() const;
    // With the device current.
    cudaStream_t stream() const {
        make_current();
        return stream_.get();
    }
    DeviceMemory memory(size_t bytes) const {
        make_current();
        return DeviceMemory(bytes);
    }

    // Changes when scratch memory has moved, or what enqueued work has gone: what was recorded before then
    // must not be replayed.
    uint64_t generation() const { return generation_; }
    void forget_recordings() { ++generation_; }

    // At least `bytes`, 256-byte aligned. Grows by a new allocation after the stream has run dry: never while
    // a graph is being captured, for which the operation must have run before.
    void* scratch(ScratchUse use, size_t bytes);
    template <class T>
    T* scratch(ScratchUse use, int64_t count) {
        return static_cast<T*>(scratch(use, static_cast<size_t>(count) * sizeof(T)));
    }

  private:
    CudaOptions options_;
    DeviceProperties device_;
    WaitingRight waiting_;  // given up after scratch memory, whose release waits for the kernels that use it
    Stream stream_;
    std::array<DeviceMemory, static_cast<size_t>(ScratchUse::Count)> scratch_;
    uint64_t generation_ = 0;
};

}  // namespace gs::cuda
