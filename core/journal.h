// An append-only file of records, for work that must outlive its process (docs/file-formats.md, "Journal").
//   first line  "gradscore journal 1\n"
//   a record    uint64 length, 8 bytes checksum, payload of that length; numbers are little-endian
// The checksum is the first 8 bytes of the SHA-256 of the checksum before (of the first record:
// zeros), the length and the payload: a record belongs to those in front of it. A process that is killed
// leaves whole records, and perhaps part of one at the end; a machine that loses power may leave rubbish
// there. Either is told by its checksum and cut off.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>

#include "core/files.h"

namespace gs {

using JournalChecksum = std::array<std::byte, 8>;

// Where a journal may be continued: behind a record.
struct JournalPosition {
    int64_t bytes = 0;  // 0: at the beginning, before the first line
    JournalChecksum checksum{};
};

// The records of bytes in memory, up to the first that is not whole.
class JournalReader {
  public:
    // Throws Error(Data) for what does not begin as a journal of this version does; an empty or cut first
    // line is an empty journal.
    explicit JournalReader(std::span<const std::byte> bytes);
    // The next record's payload, in `bytes`; nothing at the end, or where the rest is no record.
    std::optional<std::span<const std::byte>> next();
    // Behind the record that next() gave last.
    const JournalPosition& position() const { return position_; }
    // Where next() gives nothing: whether whole records follow what is none. Then it is no record cut short
    // by the end of a process, but damage in the midst of what was there.
    bool more_follows() const;

  private:
    std::span<const std::byte> bytes_;
    JournalPosition position_;
};

class JournalWriter {
  public:
    // Opens or makes the file and cuts it behind `position`. Throws Error(Internal) where the system refuses.
    JournalWriter(const std::filesystem::path& path, const JournalPosition& position);
    // Handed to the system whole: it outlives this process. Throws Error(Internal) as for a full disk.
    void append(std::span<const std::byte> payload);
    void sync() { file_.sync(); }  // to the disk: it outlives the machine's power

  private:
    AppendFile file_;
    JournalChecksum checksum_;
};

}  // namespace gs
