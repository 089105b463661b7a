// Copies between host and device.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "cuda/context.h"

namespace gs::cuda {

// Device memory with these values, rounded to the type (F32 or BF16). Waits for the copy.
DeviceMemory upload_as(Context& context, std::span<const float> values, DType type);

// Waits for the copy.
std::vector<float> download_floats(Context& context, const DeviceMemory& from);
void copy_on_device(Context& context, View from, void* to);

inline const float* floats(const DeviceMemory& memory) {
    return reinterpret_cast<const float*>(memory.data());
}

// A way to the device through two pinned buffers in turn: the host goes on once its values are in one of
// them, and fills the next while the device reads the first.
class UploadQueue {
  public:
    void upload(Context& context, std::span<const float> values, void* to);

  private:
    struct Slot {
        PinnedMemory memory;
        Event read;  // by the device
    };
    std::array<Slot, 2> slots_;
    size_t next_ = 0;
};

}  // namespace gs::cuda
