// Named tensors from a file of any supported format. Formats only: what the names mean is nets/'s matter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace gs {

enum class StoredType : uint8_t { F16, BF16, F32, F64, I8, I16, I32, I64, U8, Bool };
std::string_view to_string(StoredType type);
size_t bytes_per_element(StoredType type);

// One tensor as stored: row-major (C order) unless strides say otherwise, little endian.
struct StoredTensor {
    std::string name;
    StoredType type = StoredType::F32;
    std::vector<int64_t> shape;          // empty: a scalar
    std::vector<int64_t> strides;        // in elements; empty: contiguous
    std::span<const std::byte> storage;  // from the tensor's first element on; bounds were checked when read
    int64_t elements() const;            // at most the elements of its storage: no view repeats what it shows
    bool is_floating() const;
};

// Row-major float32 copy of a floating tensor (f16, bf16, f32, f64; strides resolved). Throws Error(Weights)
// for integer tensors.
std::vector<float> to_float32(const StoredTensor& tensor);

// Has it numbers that are infinite as float32? Of f64 only; its own infinities do not count.
bool overflows_float32(const StoredTensor& tensor);

class WeightFile {
  public:
    std::filesystem::path path;
    std::string format;                           // "safetensors", "npz", "pytorch-zip", "pytorch-legacy"
    std::vector<StoredTensor> tensors;            // in file order, wrappers taken off, names unique
    std::map<std::string, std::string> metadata;  // safetensors' __metadata__
    std::vector<std::string> notices;  // for the user: "prefix 'module.' removed from 161 names" …

    const StoredTensor* find(std::string_view name) const;
    // SHA-256 of the file's bytes: computed on first use (170 MB take about 0.1 s), then kept.
    const std::string& sha256() const;

    std::span<const std::byte> bytes;   // the whole file
    std::shared_ptr<const void> owner;  // keeps mapped or unpacked bytes alive; this object may be copied

  private:
    mutable std::shared_ptr<std::string> sha256_;
};

struct ReadLimits {
    size_t max_unpacked_bytes = size_t{32} << 30;  // all entries of a zip together
    double max_ratio = 200;                        // unpacked / packed size of a zip entry …
    size_t harmless_bytes = size_t{1} << 30;  // … that is larger: zeros (a fresh head's) pack 1000 to 1
    size_t max_tensors = 100'000;
};

// Reads any supported file; the format is told by content, never by the extension. Throws Error(Weights), one
// line "PATH: what is wrong; what to do", for anything that is not a well-formed file of a supported format.
// Prefixes (`module.`, `net.` …) and wrappers ("state_dict", "model", "net", …) are taken off with a notice;
// entries of a checkpoint that are no tensors (epoch, optimiser …) are left out with a notice.
WeightFile read_weights(const std::filesystem::path& path, const ReadLimits& limits = {});

// The same for bytes in memory, which must outlive the result; `name` is the path in messages.
WeightFile read_weights_from_memory(std::span<const std::byte> bytes, const std::string& name,
                                    const ReadLimits& limits = {});

// Writes safetensors (contiguous, in the order given), atomically. Names must differ; bytes must be what type
// and shape say. Throws Error(Weights) for names the format cannot hold, Error(Internal) where writing fails.
struct NamedTensor {
    std::string name;
    StoredType type = StoredType::F32;
    std::vector<int64_t> shape;
    std::span<const std::byte> bytes;  // contiguous, row-major
};
void write_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata = {});
// Writes a state dict (an OrderedDict of tensors on the CPU) in PyTorch's zip format, atomically; torch.load
// reads it under weights_only=True. Tensors as above, 4 GB together at most. Throws Error(Weights) where the
// format cannot hold them, Error(Internal) where writing fails.
void write_torch(const std::filesystem::path& path, std::span<const NamedTensor> tensors);

}  // namespace gs
