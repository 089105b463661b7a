// Zip archives: which format is inside; and numpy's .npz, one .npy entry for each tensor.
#include <algorithm>

#include "core/npy.h"
#include "core/printable.h"
#include "weights/zip_archive.h"

namespace gs::weights {
namespace {

constexpr std::string_view kSuffix = ".npy";

std::optional<StoredType> stored_type(npy::Type type) {
    switch (type) {
        case npy::Type::F2:
            return StoredType::F16;
        case npy::Type::F4:
            return StoredType::F32;
        case npy::Type::F8:
            return StoredType::F64;
        case npy::Type::I1:
            return StoredType::I8;
        case npy::Type::I2:
            return StoredType::I16;
        case npy::Type::I4:
            return StoredType::I32;
        case npy::Type::I8:
            return StoredType::I64;
        case npy::Type::U1:
            return StoredType::U8;
        case npy::Type::B1:
            return StoredType::Bool;
        default:
            return std::nullopt;
    }
}

// Big-endian data are the rare case and get copied; column-major order only sets the strides.
StoredTensor tensor_of(const Input& input, const std::string& name, std::span<const std::byte> bytes) {
    const npy::Array array =
        npy::parse(bytes, input.what + ": entry '" + printable(name) + "'", ErrorKind::Weights);
    const auto type = stored_type(array.type);
    if (!type)
        input.fail("entry '" + printable(name) + "': type " + std::string(npy::to_string(array.type)) +
                   " is not supported; save floats or signed integers");
    StoredTensor tensor{name, *type, array.shape, {}, array.data};
    checked_elements(input, name, tensor.shape, tensor.type);
    if (array.big_endian && npy::bytes_per_element(array.type) > 1) {
        const std::vector<std::byte> native = npy::to_native(array);
        const std::span<std::byte> kept = input.owner.allocate(native.size());
        std::copy(native.begin(), native.end(), kept.begin());
        tensor.storage = kept;
    } else if (array.fortran && array.shape.size() > 1) {
        int64_t stride = 1;
        for (const int64_t size : array.shape) {
            tensor.strides.push_back(stride);
            stride *= size;
        }
    }
    return tensor;
}

bool is_torch_pickle(std::string_view name) {
    const size_t slash = name.find('/');
    return name == "data.pkl" || (slash != std::string_view::npos && name.substr(slash + 1) == "data.pkl");
}

}  // namespace

void read_npz(const Input& input, const ZipArchive& archive, WeightFile& file) {
    file.format = "npz";
    for (const ZipArchive::Entry& entry : archive.entries()) {
        std::string name = entry.name;
        name.resize(name.size() - kSuffix.size());
        file.tensors.push_back(tensor_of(input, name, archive.read(entry)));
    }
}

void read_zip(const Input& input, WeightFile& file) {
    const ZipArchive archive(input);
    const auto& entries = archive.entries();
    if (entries.empty()) input.fail("an empty zip archive");
    if (entries.size() > 2 * input.limits.max_tensors)
        input.fail("refused: a zip archive of " + std::to_string(entries.size()) + " entries");

    std::vector<const ZipArchive::Entry*> pickles;
    for (const auto& entry : entries)
        if (is_torch_pickle(entry.name)) pickles.push_back(&entry);
    if (pickles.size() > 1) input.fail("refused: a zip archive with more than one data.pkl");
    if (pickles.size() == 1) return read_torch_zip(input, archive, *pickles[0], file);

    const auto foreign = std::find_if(entries.begin(), entries.end(), [](const auto& entry) {
        return !entry.name.ends_with(kSuffix) || entry.name.size() == kSuffix.size();
    });
    if (foreign == entries.end()) return read_npz(input, archive, file);
    input.fail("a zip archive, but neither PyTorch's (no data.pkl) nor .npz (it holds '" +
               printable(foreign->name) + "'); if weights are packed inside, unpack them first");
}

}  // namespace gs::weights
