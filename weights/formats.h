// Inside weights/: the readers behind read_weights, one for each format, and what they share.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/files.h"
#include "weights/weight_file.h"

namespace gs::weights {

// What keeps a WeightFile's tensors alive: the mapped file, and what was unpacked from it.
struct Owner {
    std::optional<MappedFile> file;
    std::deque<std::unique_ptr<std::byte[]>> unpacked;

    // Not cleared: pages that are never filled cost nothing.
    std::span<std::byte> allocate(size_t size) {
        return {unpacked.emplace_back(std::make_unique_for_overwrite<std::byte[]>(size)).get(), size};
    }
};

struct Input {
    std::string what;  // the file's name, for messages
    std::span<const std::byte> bytes;
    ReadLimits limits;
    Owner& owner;

    [[noreturn]] void fail(const std::string& why) const {
        throw Error(ErrorKind::Weights, what + ": " + why);
    }
    std::string_view text() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
};

// Each fills `format`, `tensors`, `metadata` and `notices`.
bool looks_like_safetensors(const Input& input);
void read_safetensors(const Input& input, WeightFile& file);
void read_zip(const Input& input, WeightFile& file);     // PyTorch's, or .npz
void read_pickle(const Input& input, WeightFile& file);  // PyTorch's legacy format; refuses other pickles

// Throws: says what the bytes seem to be, and what is supported.
[[noreturn]] void refuse_unknown(const Input& input);

// Elements of a shape; throws for negative sizes, and where elements x bytes exceed 63 bits.
int64_t checked_elements(const Input& input, const std::string& tensor, std::span<const int64_t> shape,
                         StoredType type);

// Takes `module.` and torch.compile's `_orig_mod.` (from every name that has it) and `model.` (where all
// names do) off, with a notice; and any other prefix under which alone the names of a known net stand,
// leaving out what does not.
void strip_prefixes(WeightFile& file);

// Names unique and UTF-8, count and total size within limits, at least one tensor.
void check_tensors(const Input& input, const WeightFile& file);

// "a, b, c and 12 more": names for a notice or an error.
std::string name_list(std::span<const std::string> names, size_t most = 8);

}  // namespace gs::weights
