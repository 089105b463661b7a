// A file of given content, for readers that want a path.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>

namespace gs::test {

class ScratchFile {
  public:
    ScratchFile(std::span<const uint8_t> content, const std::string& suffix) {
        // In memory where the machine has such a folder: a fuzzer makes hundreds a second.
        const std::string folder = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
        path_ = folder + "/gs_scratch_XXXXXX" + suffix;
        const int fd = ::mkstemps(path_.data(), static_cast<int>(suffix.size()));
        if (fd < 0 || ::write(fd, content.data(), content.size()) != static_cast<ssize_t>(content.size()))
            std::abort();
        ::close(fd);
    }
    ~ScratchFile() { ::unlink(path_.c_str()); }
    ScratchFile(const ScratchFile&) = delete;
    ScratchFile& operator=(const ScratchFile&) = delete;
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

}  // namespace gs::test
