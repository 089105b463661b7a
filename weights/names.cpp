// What holds for the tensors of every format: names, counts, sizes.
#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "core/ascii.h"
#include "core/join.h"
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

// What every net of a family has: stem, a first unit, the last layer. Files of all three are that net's,
// whatever stands before the names, and whatever else is there.
struct Marks {
    std::string_view stem, unit;
    std::array<std::string_view, 2> heads;
};
constexpr Marks kMarks[] = {
    {"conv1.weight", "layer1.0.conv1.weight", {"fc.weight", "linear.weight"}},
    {"conv1.weight", "block1.layer.0.conv1.weight", {"fc.weight", "fc.weight"}},
    {"root.conv.weight", "body.block1.unit01.conv1.weight", {"head.conv.weight", "head.conv.weight"}},
    {"features.0.0.weight", "features.1.conv.0.0.weight", {"classifier.1.weight", "classifier.1.weight"}},
};

// Prefixes, "net." or "", under which a net's marks stand.
std::set<std::string> prefixes_of_nets(const WeightFile& file) {
    std::set<std::string_view> names;
    for (const StoredTensor& tensor : file.tensors) names.insert(tensor.name);
    std::set<std::string> found;
    for (const std::string_view name : names)
        for (const Marks& marks : kMarks) {
            if (!name.ends_with(marks.stem)) continue;
            const std::string prefix(name.substr(0, name.size() - marks.stem.size()));
            const auto has = [&](std::string_view mark) {
                return names.contains(prefix + std::string(mark));
            };
            // Names with slashes are of other files: checkpoints of training, statistics.
            const bool whole = prefix.empty() || (prefix.ends_with('.') && prefix.find('/') == prefix.npos);
            if (whole && has(marks.unit) && std::any_of(marks.heads.begin(), marks.heads.end(), has))
                found.insert(prefix);
        }
    return found;
}

// "ema_model.", "model_ema.module."
bool is_average(const std::string& prefix) {
    const std::string lower = ascii_lower(prefix);
    return lower.find("ema") != lower.npos || lower.find("averaged") != lower.npos ||
           lower.find("swa") != lower.npos;
}

// Where a net's names stand under one prefix and nowhere else: they alone, without it. As Lightning saves a
// net beside its criterion, and other code its wrappers.
void take_the_only_net(WeightFile& file) {
    std::set<std::string> prefixes = prefixes_of_nets(file);
    if (prefixes.empty() || prefixes.contains("")) return;
    if (const auto averages = std::count_if(prefixes.begin(), prefixes.end(), is_average);
        averages > 0 && std::cmp_less(averages, prefixes.size()))
        std::erase_if(prefixes, is_average);
    if (prefixes.size() > 1) {
        const std::vector<std::string> list(prefixes.begin(), prefixes.end());
        file.notices.push_back("several nets, under the prefixes " + name_list(list) +
                               ": which is meant is not told; save one");
        return;
    }
    const std::string& prefix = *prefixes.begin();
    std::vector<std::string> left_out;
    std::vector<StoredTensor> taken;
    for (StoredTensor& tensor : file.tensors) {
        if (!tensor.name.starts_with(prefix)) {
            left_out.push_back(tensor.name);
            continue;
        }
        tensor.name.erase(0, prefix.size());
        taken.push_back(std::move(tensor));
    }
    file.tensors = std::move(taken);
    file.notices.push_back("prefix '" + printable(prefix, 60) + "' removed from " +
                           std::to_string(file.tensors.size()) + " names");
    if (!left_out.empty()) file.notices.push_back("left out (not under it): " + name_list(left_out));
}

}  // namespace

void strip_prefixes(WeightFile& file) {
    constexpr int kMostLayers = 4;  // `module.module.model.` and the like; hostile files may have thousands
    int layers = 0;
    while (layers < kMostLayers &&
           (strip(file, "module.", false) || strip(file, "_orig_mod.", false) || strip(file, "model.", true)))
        ++layers;
    take_the_only_net(file);
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
    return join_first(names, most, [](const std::string& name) { return printable(name, 60); });
}

}  // namespace gs::weights
