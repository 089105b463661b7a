// Reading and writing whole files: mapped reads, atomic writes, hashes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace gs {

// A read-only file in memory, mapped where possible. Pages are private: a change to the file after opening
// may be seen, a truncation by somebody else is the one thing that cannot be survived (SIGBUS), as with every
// mmap.
class MappedFile {
  public:
    // Throws Error(kind) "PATH: cannot open: REASON" for missing files, folders, devices and pipes.
    MappedFile(const std::filesystem::path& path, ErrorKind kind);
    ~MappedFile();
    MappedFile(MappedFile&& other) noexcept;
    MappedFile& operator=(MappedFile&& other) noexcept;
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;

    std::span<const std::byte> bytes() const { return {data_, size_}; }

  private:
    const std::byte* data_ = nullptr;
    size_t size_ = 0;
};

// "a/b" of "a/b/", which names the same folder but has no file name.
std::filesystem::path without_last_slash(const std::filesystem::path& path);

// Text without the byte order mark that Windows' editors put before it.
std::string_view without_bom(std::string_view text);

// Whole file into memory. Throws Error(kind) as above; also when it is longer than `limit` bytes.
std::vector<std::byte> read_file(const std::filesystem::path& path, ErrorKind kind, size_t limit = SIZE_MAX);

// Writes to a temporary name in the same folder, then renames: readers see the old file or the whole new one.
// Commit is explicit; without it the destructor removes the temporary. Errors (disk full …) throw
// Error(Internal) naming the file.
class AtomicFile {
  public:
    explicit AtomicFile(std::filesystem::path path);
    ~AtomicFile();
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;

    void write(std::span<const std::byte> bytes);
    void write(std::string_view text);
    void commit();  // flush, fsync, rename, fsync of the folder

  private:
    std::filesystem::path path_, temporary_;
    int fd_ = -1;
    std::vector<std::byte> pending_;
    void flush();
};

// A file that grows at its end. Throws Error(Internal) naming the file where the system refuses.
class AppendFile {
  public:
    // Opens or makes it and cuts it to `keep` bytes. A file that is shorter throws Error(Data): somebody
    // else's.
    AppendFile(std::filesystem::path path, int64_t keep);
    ~AppendFile();
    AppendFile(const AppendFile&) = delete;
    AppendFile& operator=(const AppendFile&) = delete;

    void write(std::string_view text);  // all of it, or an error; what was there stays
    void sync();                        // to the disk
    int64_t size() const { return size_; }

  private:
    std::filesystem::path path_;
    int fd_ = -1;
    int64_t size_ = 0;
};

// Whether a name that came from a file or a user can be a file's name in a folder of ours: at most 100 bytes,
// nothing that leads elsewhere, no control characters that would break a table.
bool is_file_name(std::string_view name);

// With those above it; nothing where it is there. Throws Error(Internal).
void make_folder(const std::filesystem::path& folder);

// Whether a path is the folder's or leads into it, links followed; neither has to be there.
bool is_within(const std::filesystem::path& path, const std::filesystem::path& folder);

void write_file_atomically(const std::filesystem::path& path, std::string_view text);
// Whether a file's name is one that an AtomicFile has before it is committed: NAME.gradscore-tmpXXXXXX.
bool is_temporary(const std::filesystem::path& path);
// Removes what AtomicFiles of killed processes have left in a folder (not below it).
void remove_temporaries(const std::filesystem::path& folder);

// SHA-256 in lower-case hex; the streaming form for things that come in pieces.
class Sha256 {
  public:
    Sha256();
    void update(std::span<const std::byte> bytes);
    void update(std::string_view text);
    // Both finish; the object must not be used afterwards.
    std::array<std::byte, 32> digest();
    std::string hex();

  private:
    struct Free {
        void operator()(void* context) const;
    };
    std::unique_ptr<void, Free> context_;  // libcrypto's EVP_MD_CTX
};
std::string hex(std::span<const std::byte> bytes);  // two lower-case digits a byte
std::string sha256_hex(std::span<const std::byte> bytes);

}  // namespace gs
