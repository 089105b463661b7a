#include "tests/support/command.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <sstream>

namespace gs::test {
namespace {

[[noreturn]] void become(const std::vector<std::string>& words, const RunOptions& options,
                         const int (&out)[2], const int (&err)[2]) {
    ::dup2(out[1], STDOUT_FILENO);
    ::dup2(err[1], STDERR_FILENO);
    ::dup2(::open("/dev/null", O_RDONLY), STDIN_FILENO);
    for (const int fd : {out[0], out[1], err[0], err[1]}) ::close(fd);
    if (!options.folder.empty() && ::chdir(options.folder.c_str()) != 0) ::_exit(126);
    for (const auto& [name, value] : options.environment) ::setenv(name.c_str(), value.c_str(), 1);
    if (options.largest_file) {
        const rlimit limit{*options.largest_file, *options.largest_file};
        ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    if (options.as_nobody && ::geteuid() == 0 &&
        (::setgroups(0, nullptr) != 0 || ::setgid(65534) != 0 || ::setuid(65534) != 0))
        ::_exit(126);
    std::vector<char*> arguments;
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    ::execvp(arguments[0], arguments.data());
    ::_exit(127);
}

// What is there to read now; false at the end of the stream.
bool drain(int fd, std::string& to) {
    char buffer[1 << 14];
    while (true) {
        const ssize_t got = ::read(fd, buffer, sizeof buffer);
        if (got == 0) return false;
        if (got < 0) return errno == EAGAIN || errno == EINTR;
        to.append(buffer, static_cast<size_t>(got));
    }
}

}  // namespace

std::vector<std::string> Ran::error_lines() const {
    std::vector<std::string> lines;
    std::istringstream in(err);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

Ran run_command(const std::vector<std::string>& words, const RunOptions& options) {
    int out[2], err[2];
    Ran ran;
    if (::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0) return ran;
    const pid_t child = ::fork();
    if (child == 0) become(words, options, out, err);
    ::close(out[1]);
    ::close(err[1]);
    for (const int fd : {out[0], err[0]}) ::fcntl(fd, F_SETFL, O_NONBLOCK);

    const auto start = std::chrono::steady_clock::now();
    for (bool open_out = true, open_err = true; open_out || open_err;) {
        pollfd waits[] = {{open_out ? out[0] : -1, POLLIN, 0}, {open_err ? err[0] : -1, POLLIN, 0}};
        ::poll(waits, 2, 5);
        if (open_out) open_out = drain(out[0], ran.out);
        if (open_err) open_err = drain(err[0], ran.err);
        if (options.meanwhile) options.meanwhile(child);
        const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
        if (taken.count() > options.seconds && !std::exchange(ran.timed_out, true)) ::kill(child, SIGKILL);
    }
    ::close(out[0]);
    ::close(err[0]);
    int status = 0;
    rusage usage{};
    while (::wait4(child, &status, 0, &usage) < 0 && errno == EINTR) {
    }
    ran.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    ran.peak_mib = static_cast<double>(usage.ru_maxrss) / 1024;
    if (WIFEXITED(status)) ran.code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) ran.signal = WTERMSIG(status);
    return ran;
}

}  // namespace gs::test
