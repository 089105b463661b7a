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
    // Backend::announce_upload. Where memory does not allow it, nothing happens.
    void announce(Context& context, std::span<const float> values);

  private:
    struct Slot {
        PinnedMemory memory;
        Event read;  // by the device
    };
    // What was announced goes by a stream of its own to device memory of its own, and from there to its place
    // in the order of the context's stream.
    struct Announced {
        Stream stream;
        DeviceMemory memory;
        Event arrived, taken;
        std::span<const float> values;
    };
    std::array<Slot, 2> slots_;
    size_t next_ = 0;
    Announced announced_;

    Slot& filled(std::span<const float> values);
    void begin(Context& context, std::span<const float> values);
};

}  // namespace gs::cuda
