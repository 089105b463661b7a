#include "tools/devices.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>

#include "core/devices.h"
#include "tools/setup.h"

namespace gs {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const std::string& text) {
    throw Error(ErrorKind::Usage, "--device " + text + ": not one of auto, cpu, cuda, cuda:N, cuda:N,M");
}

std::vector<int> parse_ordinals(const std::string& text, std::string_view list) {
    std::vector<int> ordinals;
    while (true) {
        int value = -1;
        const auto [end, error] = std::from_chars(list.data(), list.data() + list.size(), value);
        if (error != std::errc() || value < 0) refuse(text);
        if (std::find(ordinals.begin(), ordinals.end(), value) != ordinals.end())
            throw Error(ErrorKind::Usage,
                        "--device " + text + ": device " + std::to_string(value) + " is named twice");
        ordinals.push_back(value);
        list.remove_prefix(static_cast<size_t>(end - list.data()));
        if (list.empty()) return ordinals;
        if (!list.starts_with(',')) refuse(text);
        list.remove_prefix(1);
    }
}

// Where what was measured on a GPU is kept: --plan-cache, or the user's cache folder; "none": nowhere.
std::string plan_cache(const NetFlags& flags) {
    if (flags.plan_cache == "none") return {};
    if (!flags.plan_cache.empty()) return flags.plan_cache;
    const auto variable = [](const char* name) {
        const char* value = std::getenv(name);
        return std::string(value == nullptr ? "" : value);
    };
    if (const std::string cache = variable("XDG_CACHE_HOME"); !cache.empty())
        return cache + "/gradscore/convolutions.tsv";
    if (const std::string home = variable("HOME"); !home.empty())
        return home + "/.cache/gradscore/convolutions.tsv";
    return {};
}

std::unique_ptr<Backend> make_cpu(const NetFlags& flags) {
    return make_cpu_backend(
        {.threads = resolve_threads(flags.threads), .precision = parse_precision(flags.precision)});
}

std::unique_ptr<Backend> make_cuda(const NetFlags& flags, int ordinal) {
    CudaOptions options{.device = ordinal,
                        .precision = parse_precision(flags.precision),
                        .deterministic = flags.deterministic,
                        .plan_cache = plan_cache(flags)};
    if (!options.plan_cache.empty()) {
        std::error_code ignored;  // a cache that cannot be written is a notice of its own
        fs::create_directories(fs::path(options.plan_cache).parent_path(), ignored);
    }
    return make_cuda_backend(options);
}

// A GPU that is there and does not work is worth a line; one that is not there is told of with the device
// that runs (fallback_note).
std::unique_ptr<Backend> make_first_that_works(const NetFlags& flags) {
    if (find_cuda_devices().devices.empty()) return make_cpu(flags);
    try {
        return make_cuda(flags, 0);
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::Device) throw;
        say("notice: " + std::string(error.what()) + "; running on the CPU");
    }
    return make_cpu(flags);
}

}  // namespace

DeviceChoice parse_device(const std::string& text) {
    if (text == "auto") return {DeviceChoice::Kind::Auto, {}};
    if (text == "cpu") return {DeviceChoice::Kind::Cpu, {}};
    if (text == "cuda") return {DeviceChoice::Kind::Cuda, {0}};
    if (!text.starts_with("cuda:")) refuse(text);
    return {DeviceChoice::Kind::Cuda, parse_ordinals(text, std::string_view(text).substr(5))};
}

Precision parse_precision(const std::string& name) {
    if (name == "f32") return Precision::F32;
    if (name == "tf32") return Precision::TF32;
    if (name == "bf16") return Precision::BF16;
    throw Error(ErrorKind::Usage, "--precision " + name + ": not one of f32, tf32, bf16");
}

std::unique_ptr<Backend> make_backend(const NetFlags& flags) {
    const DeviceChoice choice = parse_device(flags.device);
    if (choice.ordinals.size() > 1)
        throw Error(ErrorKind::Usage, "--device " + flags.device +
                                          ": this command runs on one device; score and track take several");
    switch (choice.kind) {
        case DeviceChoice::Kind::Cpu:
            return make_cpu(flags);
        case DeviceChoice::Kind::Cuda:
            return make_cuda(flags, choice.ordinals.front());
        case DeviceChoice::Kind::Auto:
            break;
    }
    return make_first_that_works(flags);
}

std::string fallback_note(const NetFlags& flags) {
    if (flags.device != "auto") return {};
    const CudaDevices cuda = find_cuda_devices();
    return cuda.built && cuda.devices.empty() ? "no GPU: " + cuda.reason : "";
}

std::string device_kind(const Backend& backend) {
    const std::string description = backend.description();
    return description.substr(0, description.find(':'));
}

}  // namespace gs
