// --device: where nets run.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/backend.h"
#include "tools/commands.h"

namespace gs {

struct DeviceChoice {
    enum class Kind : uint8_t { Auto, Cpu, Cuda };
    Kind kind = Kind::Auto;
    std::vector<int> ordinals;  // of CUDA devices, one or more
};
// "auto", "cpu", "cuda", "cuda:1", "cuda:0,1". Throws Error(Usage) for anything else, a device named twice
// included.
DeviceChoice parse_device(const std::string& text);

// "f32", "tf32" or "bf16"; throws Error(Usage) for another.
Precision parse_precision(const std::string& name);

// On one device. auto: the first GPU, or the CPU where there is none that works, with a notice where one does
// not. Throws Error(Device) for devices that are not there, Error(Usage) for names and precisions that do not
// exist, and for several devices where a command takes one.
std::unique_ptr<Backend> make_backend(const NetFlags& flags);

// Why auto has taken the CPU in a build for GPUs; empty: it has not.
std::string fallback_note(const NetFlags& flags);

// "cpu" or "cuda", of its description.
std::string device_kind(const Backend& backend);

}  // namespace gs
