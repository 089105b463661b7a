// Small files made by hand: what no library would write.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gs::testing_weights {

// T as little-endian bytes.
template <class T>
std::string raw(T value) {
    std::string bytes(sizeof(T), '\0');
    std::memcpy(bytes.data(), &value, sizeof(T));
    return bytes;
}

inline std::span<const std::byte> bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text));
}

// ---- safetensors ----

inline std::string safetensors(const std::string& header, const std::string& data) {
    return raw<uint64_t>(header.size()) + header + data;
}

// ---- pickles (protocol 4 opcodes, no memo) ----

inline std::string text(const std::string& value) {
    return "\x8c" + raw(static_cast<uint8_t>(value.size())) + value;
}
inline std::string integer(int64_t value) {
    return "\x8a\x08" + raw(value);
}
inline std::string tuple(const std::vector<std::string>& items) {
    std::string all = "(";
    for (const std::string& item : items) all += item;
    return all + "t";
}
inline std::string integers(const std::vector<int64_t>& values) {
    std::vector<std::string> items;
    for (const int64_t value : values) items.push_back(integer(value));
    return tuple(items);
}
inline std::string dict(const std::vector<std::pair<std::string, std::string>>& items) {
    std::string all = "}(";
    for (const auto& [key, value] : items) all += text(key) + value;
    return all + "u";
}
inline std::string global(const std::string& module, const std::string& name) {
    return "c" + module + "\n" + name + "\n";
}
inline std::string call(const std::string& module, const std::string& name,
                        const std::vector<std::string>& arguments) {
    return global(module, name) + tuple(arguments) + "R";
}
inline std::string storage(const std::string& type, const std::string& key, int64_t elements,
                           const std::string& view = "N") {
    return tuple({text("storage"), global("torch", type), text(key), text("cpu"), integer(elements), view}) +
           "Q";
}
inline std::string tensor(const std::string& storage_id, int64_t offset, const std::vector<int64_t>& size,
                          const std::vector<int64_t>& stride) {
    return call("torch._utils", "_rebuild_tensor_v2",
                {storage_id, integer(offset), integers(size), integers(stride), "\x89", "N"});
}

// ---- PyTorch's legacy format ----

struct LegacyStorage {
    std::string key;
    int64_t count;
    std::string data;
};
inline std::string legacy(const std::string& object, const std::vector<LegacyStorage>& storages,
                          const std::string& system = "") {
    using namespace std::string_literals;
    std::string file = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03."s;
    file += "\x80\x02" + (system.empty() ? dict({{"little_endian", "\x88"}}) : system) + ".";
    file += "\x80\x02" + object + ".\x80\x02](";
    for (const LegacyStorage& item : storages) file += text(item.key);
    file += "e.";
    for (const LegacyStorage& item : storages) file += raw(item.count) + item.data;
    return file;
}

inline std::string floats(const std::vector<float>& values) {
    return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

// ---- zip archives: stored entries, with every field open to forgery ----

struct ZipItem {
    std::string name, data;
    std::string central_name = name;
    uint32_t crc_flip = 0;
    uint16_t flags = 0, method = 0;
    int64_t size_added = 0;    // to the unpacked size in both headers
    int64_t packed_added = 0;  // to the packed size in both headers
};

inline uint32_t crc32_of(std::string_view data) {
    uint32_t crc = ~0U;
    for (const char c : data) {
        crc ^= static_cast<uint8_t>(c);
        for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xEDB88320U : 0U);
    }
    return ~crc;
}

inline std::string zip(const std::vector<ZipItem>& items) {
    std::string file, directory;
    for (const ZipItem& item : items) {
        const auto common = [&](const std::string& name) {
            return raw<uint16_t>(20) + raw(item.flags) + raw(item.method) + raw<uint32_t>(0x00210000) +
                   raw(crc32_of(item.data) ^ item.crc_flip) +
                   raw(static_cast<uint32_t>(static_cast<int64_t>(item.data.size()) + item.packed_added)) +
                   raw(static_cast<uint32_t>(static_cast<int64_t>(item.data.size()) + item.size_added)) +
                   raw(static_cast<uint16_t>(name.size())) + raw<uint16_t>(0);
        };
        directory += "PK\x01\x02" + raw<uint16_t>(20) + common(item.central_name) + std::string(10, '\0') +
                     raw(static_cast<uint32_t>(file.size())) + item.central_name;
        file += "PK\x03\x04" + common(item.name) + item.name + item.data;
    }
    const auto count = static_cast<uint16_t>(items.size());
    const std::string end = "PK\x05\x06" + std::string(4, '\0') + raw(count) + raw(count) +
                            raw(static_cast<uint32_t>(directory.size())) +
                            raw(static_cast<uint32_t>(file.size())) + std::string(2, '\0');
    return file + directory + end;
}

// ---- what a fuzzer cannot guess (lengths, checksums), put around what it can ----

inline std::string header_and_data(const std::string& text) {
    const size_t header = text.find_last_of('}') + 1;  // npos + 1 is 0
    return safetensors(text.substr(0, header), text.substr(header));
}
inline std::string torch_zip_around(const std::string& pickle) {
    return zip(
        {{"a/data.pkl", pickle}, {"a/data/0", std::string(64, '\1')}, {"a/data/1", std::string(32, '\2')}});
}
inline std::string legacy_around(const std::string& pickle) {
    using namespace std::string_literals;
    std::string file = legacy("", {});
    const std::string object = "\x80\x02."s, none = "\x80\x02](e."s;
    file.resize(file.size() - object.size() - none.size());
    return file + pickle + "\x80\x02](" + text("0") + "e." + raw<int64_t>(16) + std::string(64, '\1');
}

}  // namespace gs::testing_weights
