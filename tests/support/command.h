// Runs a program as a user would and keeps what it said: stdout, stderr, exit code or signal.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace gs::test {

struct Ran {
    int code = -1;   // exit code; -1 where a signal ended it
    int signal = 0;  // that signal
    bool timed_out = false;
    std::string out, err;
    double seconds = 0, peak_mib = 0;  // that it took; its largest resident memory

    std::vector<std::string> error_lines() const;
};

struct RunOptions {
    std::filesystem::path folder;        // to run in; empty: here
    std::optional<rlim_t> largest_file;  // bytes; writes beyond fail with EFBIG
    bool as_nobody = false;              // root obeys no permissions
    std::vector<std::pair<std::string, std::string>> environment;
    double seconds = 300;                  // then it is killed
    std::function<void(pid_t)> meanwhile;  // called every few milliseconds
};

Ran run_command(const std::vector<std::string>& words, const RunOptions& options = {});

}  // namespace gs::test
