// The format: MathWorks, "MAT-File Format", chapter 1 (level 5).
#include "data/mat_check.h"

#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "core/error.h"

namespace gs::detail {
namespace {

using Bytes = std::span<const std::byte>;

enum DataType : uint32_t { kInt8 = 1, kInt32 = 5, kUint32 = 6, kMatrix = 14, kCompressed = 15 };
constexpr size_t kFileHeader = 128, kMaxDimensions = 8, kMaxName = 63;
constexpr size_t kMatrixHeader = 8 + 16 + 8 + 4 * kMaxDimensions + 8 + kMaxName + 1 + 8;
constexpr uint64_t kMostInflated = 1032;  // deflate cannot do better

uint32_t word(Bytes bytes, size_t at) {
    uint32_t value;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
}

// The first bytes of a compressed element.
std::vector<std::byte> inflate_start(Bytes data) {
    std::vector<std::byte> out(kMatrixHeader);
    z_stream stream{};
    if (inflateInit(&stream) != Z_OK) throw std::bad_alloc();
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(data.data()));
    stream.avail_in = static_cast<uInt>(std::min<size_t>(data.size(), 1 << 16));
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    inflate(&stream, Z_SYNC_FLUSH);
    out.resize(out.size() - stream.avail_out);
    inflateEnd(&stream);
    return out;
}

// Walks over the parts that stand before a matrix's data.
class MatrixHeader {
  public:
    explicit MatrixHeader(Bytes bytes) : bytes_(bytes) {}

    bool plausible(uint64_t most_bytes) {
        uint32_t type = 0, length = 0;
        if (!tag(type, length) || type != kMatrix || length > most_bytes) return false;
        if (!tag(type, length) || type != kUint32 || length != 8 || !has(8)) return false;
        const uint32_t array_class = word(bytes_, at_) & 0xff;
        if (array_class < 6 || array_class > 15) return false;  // double to uint64
        at_ += 8;
        if (!tag(type, length) || type != kInt32 || length < 8 || length > 4 * kMaxDimensions ||
            length % 4 != 0)
            return false;
        if (!has(length)) return false;
        uint64_t elements = 1;
        for (uint32_t i = 0; i < length; i += 4) {
            const uint32_t dimension = word(bytes_, at_ + i);
            if (dimension > most_bytes || (dimension != 0 && elements > most_bytes / dimension)) return false;
            elements *= dimension;
        }
        at_ += (length + 7) / 8 * 8;
        return tag(type, length) && type == kInt8 && length <= kMaxName;
    }

  private:
    bool has(size_t count) const { return at_ <= bytes_.size() && count <= bytes_.size() - at_; }

    // A tag, long or short (length in the upper half, up to 4 bytes of data in the same 8 bytes).
    bool tag(uint32_t& type, uint32_t& length) {
        if (!has(8)) return false;
        type = word(bytes_, at_);
        length = word(bytes_, at_ + 4);
        at_ += 8;
        if (type >> 16 == 0) return true;
        length = type >> 16;
        type &= 0xffff;
        at_ -= 4;
        return length <= 4;
    }

    Bytes bytes_;
    size_t at_ = 0;
};

}  // namespace

void check_mat_file(Bytes file, const std::string& path) {
    const auto bad = [&](const std::string& what) { throw Error(ErrorKind::Data, path + ": " + what); };
    if (file.size() < kFileHeader || std::memcmp(file.data(), "MATLAB", 6) != 0) bad("not a MATLAB file");
    if (std::memcmp(file.data() + 124, "\0\2IM", 4) == 0)  // HDF5, whose library trusts what it reads
        bad("a MATLAB file of version 7.3; save it with -v7 (SVHN's own files are of version 5)");
    if (std::memcmp(file.data() + 124, "\0\1IM", 4) != 0)
        bad("a MATLAB file of another version than 5, or of a big-endian machine");
    for (size_t at = kFileHeader; at < file.size();) {
        const Bytes rest = file.subspan(at);
        const uint32_t type = rest.size() < 8 ? 0 : word(rest, 0),
                       length = rest.size() < 8 ? 0 : word(rest, 4);
        if ((type != kMatrix && type != kCompressed) || length > rest.size() - 8)
            bad("damaged: no whole variable at byte " + std::to_string(at));
        const Bytes data = rest.subspan(8, length);
        const bool good = type == kMatrix
                              ? MatrixHeader(rest.first(8 + length)).plausible(length)
                              : MatrixHeader(inflate_start(data)).plausible(kMostInflated * length);
        if (!good) bad("damaged, or not a plain numeric array: the variable at byte " + std::to_string(at));
        at += 8 + size_t{length};
    }
}

}  // namespace gs::detail
