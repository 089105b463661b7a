// What holds for the tensors of every format: names, counts, sizes.
#include <algorithm>
#include <limits>
#include <set>

#include "core/printable.h"
#include "weights/formats.h"

namespace gs::weights {
namespace {

// Takes `prefix` off the names that have it; does nothing where names would collide or become empty.
bool strip(WeightFile& file, std::string_view prefix, bool from_all) {
    std::set<std::string_view> names;  // ordered: no names collide on purpose
    size_t count = 0;
    for (const StoredTensor& tensor : file.tensors) {
        std::string_view name = tensor.name;
        if (name.starts_with(prefix)) {
            name.remove_prefix(prefix.size());
            ++count;
        }
        if (name.empty() || !names.insert(name).second) return false;
    }
    if (count == 0 || (from_all && count != file.tensors.size())) return false;
    for (StoredTensor& tensor : file.tensors)
        if (tensor.name.starts_with(prefix)) tensor.name.erase(0, prefix.size());
    file.notices.push_back("prefix '" + std::string(prefix) + "' removed from " + std::to_string(count) +
                           " names");
    return true;
}

}  // namespace

void strip_prefixes(WeightFile& file) {
    constexpr int kMostLayers = 4;  // `module.module.model.` and the like; hostile files may have thousands
    for (int i = 0; i < kMostLayers; ++i)
        if (!strip(file, "module.", false) && !strip(file, "_orig_mod.", false) &&
            !strip(file, "model.", true))
            return;
}

void check_tensors(const Input& input, const WeightFile& file) {
    if (file.tensors.empty()) input.fail("holds no tensors");
    if (file.tensors.size() > input.limits.max_tensors)
        input.fail(std::to_string(file.tensors.size()) + " tensors, more than the limit of " +
                   std::to_string(input.limits.max_tensors));
    std::set<std::string_view> names;
    size_t total = 0;
    for (const StoredTensor& tensor : file.tensors) {
        if (!is_utf8(tensor.name)) input.fail("tensor name '" + printable(tensor.name) + "' is not UTF-8");
        if (!names.insert(tensor.name).second)
            input.fail("two tensors are named '" + printable(tensor.name) + "'");
        // Views may share a storage: ten thousand names for the same gigabyte are no weights.
        const size_t size = static_cast<size_t>(tensor.elements()) * bytes_per_element(tensor.type);
        if (size > input.limits.max_unpacked_bytes - total)
            input.fail("its tensors add up to more than the limit of " +
                       std::to_string(input.limits.max_unpacked_bytes) + " bytes");
        total += size;
    }
}

int64_t checked_elements(const Input& input, const std::string& tensor, std::span<const int64_t> shape,
                         StoredType type) {
    int64_t elements = 1;  // of the sizes that are not zero: what strides multiply must not overflow either
    bool overflow = false, empty = false;
    for (const int64_t size : shape) {
        if (size < 0) input.fail("tensor '" + printable(tensor) + "' has a negative size");
        if (size == 0)
            empty = true;
        else
            overflow = __builtin_mul_overflow(elements, size, &elements) || overflow;
    }
    int64_t bytes = 0;
    overflow =
        __builtin_mul_overflow(elements, static_cast<int64_t>(bytes_per_element(type)), &bytes) || overflow;
    if (overflow) input.fail("the shape of tensor '" + printable(tensor) + "' overflows 64 bits");
    return empty ? 0 : elements;
}

std::string name_list(std::span<const std::string> names, size_t most) {
    std::string text;
    for (size_t i = 0; i < std::min(most, names.size()); ++i)
        text += (i == 0 ? "" : ", ") + printable(names[i], 60);
    if (names.size() > most) text += " and " + std::to_string(names.size() - most) + " more";
    return text;
}

}  // namespace gs::weights
