// PyTorch's zip format as torch.save writes it since 1.6: NAME/data.pkl, NAME/byteorder, a stored entry for
// every storage and NAME/version. Source: torch/serialization.py _save; PKWARE's APPNOTE.TXT for the zip.
#include <zlib.h>

#include <limits>
#include <unordered_set>

#include "core/files.h"
#include "core/printable.h"
#include "weights/torch_types.h"
#include "weights/weight_file.h"

namespace gs {
namespace {

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& why) {
    throw Error(ErrorKind::Weights, path.string() + ": cannot be written for PyTorch: " + why);
}

template <class Integer>
std::string raw(Integer value) {
    std::string bytes;
    for (size_t i = 0; i < sizeof(Integer); ++i) bytes += static_cast<char>(value >> (8 * i) & 0xff);
    return bytes;
}

// ---- the pickle, protocol 2 ----

std::string pickled(std::string_view text) {
    return "X" + raw(static_cast<uint32_t>(text.size())) + std::string(text);
}

std::string pickled(int64_t value) {
    return "\x8a\x08" + raw(static_cast<uint64_t>(value));  // LONG1 of 8 bytes
}

std::string pickled(std::span<const int64_t> values) {
    std::string text = "(";
    for (const int64_t value : values) text += pickled(value);
    return text + "t";
}

constexpr std::string_view kEmptyOrderedDict = "ccollections\nOrderedDict\n)R";

std::vector<int64_t> contiguous_strides(std::span<const int64_t> shape) {
    std::vector<int64_t> strides(shape.size(), 1);
    for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * std::max<int64_t>(shape[i], 1);
    return strides;
}

// torch._utils._rebuild_tensor_v2(storage, 0, shape, strides, requires_grad = False, no hooks); the storage
// by its persistent id ('storage', type, key, 'cpu', elements).
std::string pickled(const NamedTensor& tensor, size_t key) {
    const auto elements = static_cast<int64_t>(tensor.bytes.size() / bytes_per_element(tensor.type));
    const std::string storage = "(" + pickled("storage") + "ctorch\n" +
                                std::string(weights::storage_name(tensor.type)) + "\n" +
                                pickled(std::to_string(key)) + pickled("cpu") + pickled(elements) + "tQ";
    return "ctorch._utils\n_rebuild_tensor_v2\n(" + storage + pickled(int64_t{0}) + pickled(tensor.shape) +
           pickled(contiguous_strides(tensor.shape)) + "\x89" + std::string(kEmptyOrderedDict) + "tR";
}

std::string state_dict(std::span<const NamedTensor> tensors) {
    std::string text = "\x80\x02" + std::string(kEmptyOrderedDict) + "(";
    for (size_t i = 0; i < tensors.size(); ++i) text += pickled(tensors[i].name) + pickled(tensors[i], i);
    return text + "u.";
}

// ---- the zip: entries stored, none compressed ----

class ZipWriter {
  public:
    explicit ZipWriter(const std::filesystem::path& path) : path_(path), file_(path) {}

    void add(const std::string& name, std::span<const std::byte> bytes) {
        if (at_ > kMost || bytes.size() > kMost) fail(path_, kTooMuch);
        const auto header_at = static_cast<uint32_t>(at_);
        const std::string shared = fields(name, bytes);
        const uint64_t beyond = (at_ + kLocalHeader + name.size() + kPaddingHeader) % kAlignment;
        const auto padding = static_cast<uint16_t>((kAlignment - beyond) % kAlignment);
        put("PK\3\4" + shared + raw(static_cast<uint16_t>(kPaddingHeader + padding)) + name + "FB" +
            raw(padding) + std::string(padding, 'Z'));
        file_.write(bytes);
        at_ += bytes.size();
        // No extra field and no comment, on disk 0, no attributes.
        directory_ +=
            "PK\1\2" + raw(kVersion) + shared + std::string(2 + 2 + 2 + 2 + 4, '\0') + raw(header_at) + name;
        ++entries_;
    }

    void commit() {
        const uint64_t begin = at_, size = directory_.size();
        if (begin + size > kMost || entries_ > std::numeric_limits<uint16_t>::max()) fail(path_, kTooMuch);
        put(directory_ + "PK\5\6" + raw(uint16_t{0}) + raw(uint16_t{0}) +
            raw(static_cast<uint16_t>(entries_)) + raw(static_cast<uint16_t>(entries_)) +
            raw(static_cast<uint32_t>(size)) + raw(static_cast<uint32_t>(begin)) + raw(uint16_t{0}));
        file_.commit();
    }

  private:
    // torch.save aligns storages so that they can be mapped.
    static constexpr uint64_t kAlignment = 64, kLocalHeader = 30, kPaddingHeader = 4;
    static constexpr uint64_t kMost = std::numeric_limits<uint32_t>::max();
    static constexpr uint16_t kVersion = 20;  // of the format: 2.0
    static constexpr const char* kTooMuch = "more than 4 GB or 65535 tensors; write safetensors instead";
    std::filesystem::path path_;
    AtomicFile file_;
    std::string directory_;
    uint64_t at_ = 0, entries_ = 0;

    void put(const std::string& text) {
        file_.write(text);
        at_ += text.size();
    }

    // What the local header and the directory's share: no flags, stored, of 1980-01-01.
    static std::string fields(const std::string& name, std::span<const std::byte> bytes) {
        const auto size = static_cast<uint32_t>(bytes.size());
        const uLong crc = crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
        return raw(kVersion) + raw(uint16_t{0}) + raw(uint16_t{0}) + raw(uint16_t{0}) + raw(uint16_t{33}) +
               raw(static_cast<uint32_t>(crc)) + raw(size) + raw(size) +
               raw(static_cast<uint16_t>(name.size()));
    }
};

void check_names(const std::filesystem::path& path, std::span<const NamedTensor> tensors) {
    std::unordered_set<std::string_view> names;
    for (const NamedTensor& tensor : tensors) {
        if (!is_utf8(tensor.name)) fail(path, "name '" + printable(tensor.name) + "' is not UTF-8");
        if (!names.insert(tensor.name).second)
            fail(path, "two tensors are named '" + printable(tensor.name) + "'");
    }
}

}  // namespace

void write_torch(const std::filesystem::path& path, std::span<const NamedTensor> tensors) {
    check_names(path, tensors);
    // The folder's name is the file's, as torch.save has it.
    const std::string folder = path.stem().string() + "/";
    const auto bytes = [](std::string_view text) { return std::as_bytes(std::span(text)); };
    ZipWriter zip(path);
    zip.add(folder + "data.pkl", bytes(state_dict(tensors)));
    zip.add(folder + "byteorder", bytes("little"));
    for (size_t i = 0; i < tensors.size(); ++i)
        zip.add(folder + "data/" + std::to_string(i), tensors[i].bytes);
    zip.add(folder + "version", bytes("3\n"));
    zip.commit();
}

}  // namespace gs
