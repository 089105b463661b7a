#include "tools/merge_arrays.h"

#include <algorithm>

#include "core/error.h"
#include "weights/as_data.h"
#include "weights/weight_file.h"

namespace gs {
namespace {

// The same arrays, but for the number of rows.
bool alike(const StoredTensor& a, const StoredTensor& b) {
    return a.name == b.name && a.type == b.type && a.shape.size() >= 2 && a.shape.size() == b.shape.size() &&
           std::equal(a.shape.begin() + 1, a.shape.end(), b.shape.begin() + 1);
}

// What the file says of its arrays (tools/norm_arrays.h).
std::map<std::string, std::string> descriptions(const WeightFile& file) {
    std::map<std::string, std::string> found;
    for (const StoredTensor& tensor : file.tensors)
        if (const auto it = file.metadata.find(tensor.name); it != file.metadata.end()) found.insert(*it);
    return found;
}

void check_part(const WeightFile& file, const WeightFile& first, const ArrayPart& part, const ArrayKey& key) {
    const auto fail = [&](const std::string& what) {
        throw Error(ErrorKind::Data, part.path.string() + ": " + what + "; score the shard again");
    };
    if (array_key(file) != key)
        fail("not arrays of the weights, net, preprocessing, precision and images of results.json");
    if (!std::equal(file.tensors.begin(), file.tensors.end(), first.tensors.begin(), first.tensors.end(),
                    alike) ||
        descriptions(file) != descriptions(first))
        fail("not the same arrays as in " + first.path.string());
    for (const StoredTensor& tensor : file.tensors)
        if (!tensor.is_floating() || !tensor.strides.empty() || tensor.shape[0] != part.rows)
            fail("array '" + tensor.name + "' does not hold numbers with a row for each image");
}

}  // namespace

void check_array_parts(const std::vector<ArrayPart>& parts, ArrayKey key) {
    std::optional<WeightFile> first;
    for (const ArrayPart& part : parts) {
        const WeightFile file = as_data([&] { return read_weights(part.path); });
        if (!first) first = file;
        key.set_digest = part.set_digest;
        check_part(file, *first, part, key);
    }
}

void merge_arrays(const std::filesystem::path& out, const std::vector<ArrayPart>& parts,
                  const ArrayKey& key) {
    std::vector<NamedTensor> merged;
    std::vector<std::vector<std::byte>> storages;
    std::map<std::string, std::string> metadata;
    for (const ArrayPart& part : parts) {
        const WeightFile file = as_data([&] { return read_weights(part.path); });
        metadata = descriptions(file);
        merged.resize(file.tensors.size());
        storages.resize(file.tensors.size());
        for (size_t t = 0; t < merged.size(); ++t) {
            const StoredTensor& tensor = file.tensors[t];
            const size_t bytes = static_cast<size_t>(tensor.elements()) * bytes_per_element(tensor.type);
            const int64_t rows = merged[t].shape.empty() ? 0 : merged[t].shape[0];
            merged[t] = {tensor.name, tensor.type, tensor.shape, {}};
            merged[t].shape[0] += rows;
            const auto values = tensor.storage.first(bytes);
            storages[t].insert(storages[t].end(), values.begin(), values.end());
        }
    }
    for (size_t t = 0; t < merged.size(); ++t) merged[t].bytes = storages[t];
    write_arrays_file(out, merged, key, std::move(metadata));
}

}  // namespace gs
