#include "cuda/transfer.h"

#include <algorithm>
#include <cstring>
#include <thread>
#include <utility>

namespace gs::cuda {
namespace {

std::string copy_to_device(size_t bytes) {
    return "copy of " + std::to_string(bytes) + " bytes to the device";
}

// One core copies a batch of large images more slowly than the device takes it.
void copy_by_several(std::span<const std::byte> from, std::byte* to) {
    constexpr size_t kWorthAThread = size_t{8} << 20, kMostThreads = 4;
    const size_t parts = std::clamp<size_t>(from.size() / kWorthAThread, 1, kMostThreads);
    const size_t each = (from.size() + parts - 1) / parts;
    const auto copy = [&](size_t part) {
        const auto source = from.subspan(std::min(part * each, from.size()));
        std::memcpy(to + part * each, source.data(), std::min(each, source.size()));
    };
    std::vector<std::jthread> others;
    for (size_t part = 1; part < parts; ++part) others.emplace_back(copy, part);
    copy(0);
}

void copy_and_wait(Context& context, const void* from, DeviceMemory& to) {
    check(cudaMemcpyAsync(to.data(), from, to.bytes(), cudaMemcpyHostToDevice, context.stream()),
          copy_to_device(to.bytes()));
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

UploadQueue::Slot& UploadQueue::filled(std::span<const float> values) {
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
    copy_by_several(std::as_bytes(values), slot.memory.data());
    return slot;
}

void UploadQueue::upload(Context& context, std::span<const float> values, void* to) {
    if (values.empty()) return;
    const cudaStream_t stream =
        context.stream();  // its device made current: events and pinned memory are of it
    const auto was = std::exchange(announced_.values, {});
    if (was.data() == values.data() && was.size() == values.size()) {
        check(cudaStreamWaitEvent(stream, announced_.arrived.get(), 0), "wait for a copy to the device");
        check(cudaMemcpyAsync(to, announced_.memory.data(), values.size_bytes(), cudaMemcpyDeviceToDevice,
                              stream),
              "copy of " + std::to_string(values.size_bytes()) + " bytes on the device");
        check(cudaEventRecord(announced_.taken.get(), stream), "record of a copy");
        return;
    }
    const Slot& slot = filled(values);
    check(cudaMemcpyAsync(to, slot.memory.data(), values.size_bytes(), cudaMemcpyHostToDevice, stream),
          copy_to_device(values.size_bytes()));
    check(cudaEventRecord(slot.read.get(), stream), "record of a copy");
}

void UploadQueue::announce(Context& context, std::span<const float> values) {
    announced_.values = {};
    if (values.empty()) return;
    try {
        begin(context, values);
        announced_.values = values;
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::Device) throw;
    }
}

void UploadQueue::begin(Context& context, std::span<const float> values) {
    Announced& a = announced_;
    context.make_current();
    if (!a.stream) {
        a.stream = make_stream();
        a.arrived = make_event();
        a.taken = make_event();
    }
    if (a.memory.bytes() < values.size_bytes()) {
        a.memory = DeviceMemory();
        a.memory = context.memory(values.size_bytes());
    }
    const Slot& slot = filled(values);
    check(cudaStreamWaitEvent(a.stream.get(), a.taken.get(), 0), "wait for the last copy on the device");
    check(cudaMemcpyAsync(a.memory.data(), slot.memory.data(), values.size_bytes(), cudaMemcpyHostToDevice,
                          a.stream.get()),
          copy_to_device(values.size_bytes()));
    check(cudaEventRecord(slot.read.get(), a.stream.get()), "record of a copy");
    check(cudaEventRecord(a.arrived.get(), a.stream.get()), "record of a copy");
}

}  // namespace gs::cuda
