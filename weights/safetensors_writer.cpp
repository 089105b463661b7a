#include <nlohmann/json.hpp>
#include <unordered_set>

#include "core/files.h"
#include "core/printable.h"
#include "weights/weight_file.h"

namespace gs {
namespace {

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& why) {
    throw Error(ErrorKind::Weights, path.string() + ": cannot be written as safetensors: " + why);
}

void check_names(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                 const std::map<std::string, std::string>& metadata) {
    std::unordered_set<std::string_view> names;
    for (const NamedTensor& tensor : tensors) {
        if (tensor.name == "__metadata__") fail(path, "a tensor named '__metadata__'");
        if (!is_utf8(tensor.name)) fail(path, "name '" + printable(tensor.name) + "' is not UTF-8");
        if (!names.insert(tensor.name).second)
            fail(path, "two tensors are named '" + printable(tensor.name) + "'");
    }
    for (const auto& [key, value] : metadata)
        if (!is_utf8(key) || !is_utf8(value)) fail(path, "metadata '" + printable(key) + "' are not UTF-8");
}

std::string header_of(std::span<const NamedTensor> tensors,
                      const std::map<std::string, std::string>& metadata) {
    nlohmann::ordered_json header = nlohmann::ordered_json::object();
    // ordered_json searches linearly for a key on insertion; names are known to differ, so entries are
    // appended.
    auto& items = header.get_ref<nlohmann::ordered_json::object_t&>();
    if (!metadata.empty()) items.emplace_back("__metadata__", metadata);
    size_t at = 0;
    for (const NamedTensor& tensor : tensors) {
        size_t bytes = bytes_per_element(tensor.type);
        for (const int64_t size : tensor.shape) bytes *= static_cast<size_t>(size);
        GS_REQUIRE(bytes == tensor.bytes.size());
        nlohmann::ordered_json entry = nlohmann::ordered_json::object();
        entry["dtype"] = to_string(tensor.type);
        entry["shape"] = tensor.shape;
        entry["data_offsets"] = {at, at + bytes};
        items.emplace_back(tensor.name, std::move(entry));
        at += bytes;
    }
    std::string text = header.dump();
    text.append((8 - text.size() % 8) % 8, ' ');  // tensors begin at a multiple of 8
    return text;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata) {
    constexpr size_t kMaxHeader = 100'000'000;  // what readers accept
    check_names(path, tensors, metadata);
    const std::string header = header_of(tensors, metadata);
    if (header.size() > kMaxHeader) fail(path, "its header would exceed 100 MB");
    AtomicFile file(path);
    const uint64_t length = header.size();
    file.write(std::as_bytes(std::span(&length, 1)));
    file.write(header);
    for (const NamedTensor& tensor : tensors) file.write(tensor.bytes);
    file.commit();
}

}  // namespace gs
