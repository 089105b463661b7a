#include "cuda/transfer.h"

#include <cstring>

namespace gs::cuda {
namespace {

void copy_and_wait(Context& context, const void* from, DeviceMemory& to) {
    check(cudaMemcpyAsync(to.data(), from, to.bytes(), cudaMemcpyHostToDevice, context.stream()),
          "copy of " + std::to_string(to.bytes()) + " bytes to the device");
    check(cudaStreamSynchronize(context.stream()), "copy to the device");
}

}  // namespace

DeviceMemory upload_as(Context& context, std::span<const float> values, DType type) {
    DeviceMemory memory = context.memory(values.size() * size_of(type));
    if (type == DType::BF16) {
        std::vector<Bf16> rounded;
        rounded.reserve(values.size());
        for (const float value : values) rounded.emplace_back(value);
        copy_and_wait(context, rounded.data(), memory);
    } else {
        GS_REQUIRE(type == DType::F32);
        copy_and_wait(context, values.data(), memory);
    }
    return memory;
}

std::vector<float> download_floats(Context& context, const DeviceMemory& from) {
    std::vector<float> values(from.bytes() / sizeof(float));
    check(cudaMemcpyAsync(values.data(), from.data(), from.bytes(), cudaMemcpyDeviceToHost, context.stream()),
          "copy of " + std::to_string(from.bytes()) + " bytes to the host");
    check(cudaStreamSynchronize(context.stream()), "copy to the host");
    return values;
}

void copy_on_device(Context& context, View from, void* to) {
    check(cudaMemcpyAsync(to, from.data, from.bytes(), cudaMemcpyDeviceToDevice, context.stream()),
          "copy of " + to_string(from.shape));
}

void UploadQueue::upload(Context& context, std::span<const float> values, void* to) {
    if (values.empty()) return;
    context.make_current();  // what makes events and pinned memory
    Slot& slot = slots_[next_];
    next_ = (next_ + 1) % slots_.size();
    if (slot.read)
        check(cudaEventSynchronize(slot.read.get()), "wait for the last copy from this buffer");
    else
        slot.read = make_event();
    if (slot.memory.bytes() < values.size_bytes()) {
        slot.memory = PinnedMemory();
        slot.memory = PinnedMemory(values.size_bytes());
    }
    std::memcpy(slot.memory.data(), values.data(), values.size_bytes());
    check(cudaMemcpyAsync(to, slot.memory.data(), values.size_bytes(), cudaMemcpyHostToDevice,
                          context.stream()),
          "copy of " + std::to_string(values.size_bytes()) + " bytes to the device");
    check(cudaEventRecord(slot.read.get(), context.stream()), "record of a copy");
}

}  // namespace gs::cuda
