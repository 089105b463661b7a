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

struct Record {
    std::span<const std::byte> length, payload;
    JournalChecksum checksum;  // as stored
};

// At the beginning of `bytes`, whatever its checksum; nothing where its length leads past their end.
std::optional<Record> record_at(std::span<const std::byte> bytes) {
    if (bytes.size() < kHead) return std::nullopt;
    uint64_t length = 0;
    std::memcpy(&length, bytes.data(), sizeof length);
    if (length > bytes.size() - kHead) return std::nullopt;
    Record record{.length = bytes.first(sizeof length),
                  .payload = bytes.subspan(kHead, static_cast<size_t>(length)),
                  .checksum = {}};
    std::copy_n(bytes.begin() + sizeof length, record.checksum.size(), record.checksum.begin());
    return record;
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
    const auto record = record_at(rest);
    if (!record || checksum_of(position_.checksum, record->length, record->payload) != record->checksum)
        return std::nullopt;
    position_ = {position_.bytes + static_cast<int64_t>(kHead + record->payload.size()), record->checksum};
    return record->payload;
}

// A record's checksum is made of the one before, so two that follow each other confirm one another, whatever
// came before them; and where a record's length still holds, so do its checksum and the record behind it.
// Bytes made to be hashed over and over end the search, as if something had been found.
bool JournalReader::more_follows() const {
    if (position_.bytes == 0) return false;
    const std::span<const std::byte> rest = bytes_.subspan(static_cast<size_t>(position_.bytes));
    if (rest.size() < kHead) return false;
    JournalChecksum first;  // stored in what is none
    std::copy_n(rest.begin() + sizeof(uint64_t), first.size(), first.begin());
    size_t hashed = 0;
    const auto confirms = [&](const JournalChecksum& before, const Record& record) {
        hashed += record.payload.size();
        return checksum_of(before, record.length, record.payload) == record.checksum;
    };
    for (size_t at = 0; at + kHead <= rest.size(); ++at) {
        const auto one = record_at(rest.subspan(at));
        if (!one || one->payload.empty()) continue;  // we write none that is empty
        const size_t behind = at + kHead + one->payload.size();
        // The last one has only the damaged one before it, whose length may be what was damaged.
        if (at > 0 && behind == rest.size() && confirms(first, *one)) return true;
        const auto two = record_at(rest.subspan(behind));
        if (!two || two->payload.empty()) continue;
        if (confirms(one->checksum, *two)) return true;
        // Damaged in its checksum alone.
        if (at == 0 && confirms(checksum_of(position_.checksum, one->length, one->payload), *two))
            return true;
        if (hashed > 16 * rest.size()) return true;
    }
    return false;
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
