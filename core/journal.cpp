#include "core/journal.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <vector>

#include "core/byte_codec.h"

namespace gs {
namespace {

constexpr std::string_view kFirstLine = "gradscore journal 1\n";
constexpr size_t kHead = sizeof(uint64_t) + sizeof(JournalChecksum);

JournalChecksum checksum_of(const JournalChecksum& before, std::span<const std::byte> length,
                            std::span<const std::byte> payload) {
    Sha256 hash;
    hash.update(before);
    hash.update(length);
    hash.update(payload);
    JournalChecksum checksum;
    std::copy_n(hash.digest().begin(), checksum.size(), checksum.begin());
    return checksum;
}

}  // namespace

JournalReader::JournalReader(std::span<const std::byte> bytes) : bytes_(bytes) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (text.size() < kFirstLine.size() && kFirstLine.starts_with(text)) return;
    if (!text.starts_with(kFirstLine))
        throw Error(ErrorKind::Data, "not a journal of this version of gradscore");
    position_.bytes = static_cast<int64_t>(kFirstLine.size());
}

std::optional<std::span<const std::byte>> JournalReader::next() {
    if (position_.bytes == 0) return std::nullopt;
    const std::span<const std::byte> rest = bytes_.subspan(static_cast<size_t>(position_.bytes));
    if (rest.size() < kHead) return std::nullopt;
    uint64_t length = 0;
    JournalChecksum stored;
    std::memcpy(&length, rest.data(), sizeof length);
    std::memcpy(stored.data(), rest.data() + sizeof length, stored.size());
    if (length > rest.size() - kHead) return std::nullopt;
    const std::span<const std::byte> payload = rest.subspan(kHead, static_cast<size_t>(length));
    if (checksum_of(position_.checksum, rest.first(sizeof length), payload) != stored) return std::nullopt;
    position_ = {position_.bytes + static_cast<int64_t>(kHead + length), stored};
    return payload;
}

JournalWriter::JournalWriter(const std::filesystem::path& path, const JournalPosition& position)
    : file_(path, position.bytes), checksum_(position.checksum) {
    if (position.bytes == 0) file_.write(kFirstLine);
}

void JournalWriter::append(std::span<const std::byte> payload) {
    const uint64_t length = payload.size();
    const auto head = std::as_bytes(std::span(&length, 1));
    checksum_ = checksum_of(checksum_, head, payload);
    std::vector<std::byte> record(head.begin(), head.end());
    record.insert(record.end(), checksum_.begin(), checksum_.end());
    record.insert(record.end(), payload.begin(), payload.end());
    file_.write({reinterpret_cast<const char*>(record.data()), record.size()});
}

}  // namespace gs
