// One process at a time in a place.
#pragma once

#include <filesystem>
#include <string>

namespace gs {

// A file that one process at a time holds, and none once that process has ended, however it did. The owner
// stands in it in one line; it goes when the owner lets go, and is left behind, free, by one that was killed.
class FileLock {
  public:
    // `owner`: who we are, for others to read: "gradscore …", or empty. Throws Error(Usage) "PATH: held by
    // OWNER…" where another process holds it, and where there is something that is no lock: a link, a file of
    // another content.
    FileLock(const std::filesystem::path& path, const std::string& owner);
    ~FileLock();
    FileLock(const FileLock&) = delete;
    FileLock& operator=(const FileLock&) = delete;

  private:
    std::filesystem::path path_;
    int fd_ = -1;
    void refuse_foreign() const;
    bool is_at_path() const;  // not so where the file was moved or replaced
};

// Throws as FileLock does where another process holds it now; nothing where there is no such file.
void require_free(const std::filesystem::path& path);

}  // namespace gs
