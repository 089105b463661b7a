#include "core/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <system_error>

#include "core/error.h"
#include "core/printable.h"

namespace gs {
namespace {

constexpr std::string_view kMark = "gradscore ";

}  // namespace

FileLock::FileLock(const std::filesystem::path& path, const std::string& owner) : path_(path) {
    GS_REQUIRE(owner.empty() || owner.starts_with(kMark));
    while (true) {
        fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
        if (fd_ < 0)
            throw Error(ErrorKind::Internal,
                        path.string() + ": cannot open: " + std::generic_category().message(errno));
        refuse_foreign();
        // Without locks on its file system a folder can be used, if by nobody else.
        if (::flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno != ENOLCK && errno != EOPNOTSUPP && errno != ENOSYS)
            break;
        if (is_at_path()) {
            // The lock holds whether or not its owner can be written down.
            if (::ftruncate(fd_, 0) == 0 && ::pwrite(fd_, owner.data(), owner.size(), 0) >= 0) return;
            return;
        }
        ::close(fd_);  // whoever held it took the file away in between
    }
    const bool busy = errno == EWOULDBLOCK;
    std::string why = "cannot lock: " + std::generic_category().message(errno);
    if (busy) {
        char text[256];
        const ssize_t got = ::pread(fd_, text, sizeof text, 0);
        const std::string name = got > 0 ? printable({text, static_cast<size_t>(got)}, sizeof text) : "";
        why =
            "held by " + (name.empty() ? "another process" : name) + "; wait for it, or choose another place";
    }
    ::close(fd_);
    throw Error(busy ? ErrorKind::Usage : ErrorKind::Internal, path.string() + ": " + why);
}

FileLock::~FileLock() {
    if (is_at_path()) ::unlink(path_.c_str());
    ::close(fd_);
}

// What stands there is emptied and taken away: it must be a lock.
void FileLock::refuse_foreign() const {
    struct stat info {};
    std::array<char, kMark.size()> begin{};
    const bool regular = ::fstat(fd_, &info) == 0 && S_ISREG(info.st_mode);
    const ssize_t got = regular ? ::pread(fd_, begin.data(), begin.size(), 0) : -1;
    // Empty, or cut short where the disk was full, is what a process may leave that was killed.
    if (got >= 0 && kMark.starts_with(std::string_view(begin.data(), static_cast<size_t>(got)))) return;
    ::close(fd_);
    throw Error(ErrorKind::Usage,
                path_.string() +
                    ": stands where the lock of this work belongs, and is none; move it, or "
                    "choose another place");
}

bool FileLock::is_at_path() const {
    struct stat ours {
    }, there{};
    return ::fstat(fd_, &ours) == 0 && ::stat(path_.c_str(), &there) == 0 && ours.st_dev == there.st_dev &&
           ours.st_ino == there.st_ino;
}

void require_free(const std::filesystem::path& path) {
    std::error_code none;
    if (!std::filesystem::exists(path, none)) return;
    const FileLock probe(path, "");
}

}  // namespace gs
