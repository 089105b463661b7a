// gradscore: errors to one line on stderr and an exit code.
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <new>
#include <string_view>
#include <system_error>

#include "core/error.h"
#include "tools/cli_commands.h"
#include "tools/setup.h"

namespace gs {
namespace {

constexpr std::string_view kOutOfMemory = "out of memory; try a smaller --batch";

int run_reporting_errors(int argc, char** argv) {
    const auto fail = [](const std::string& what, ErrorKind kind) {
        say("gradscore: " + what);
        return static_cast<int>(kind);
    };
    try {
        return run_command_line(argc, argv);
    } catch (const Error& error) {
        return fail(error.what(), error.kind());
    } catch (const std::bad_alloc&) {
        return fail(std::string(kOutOfMemory), ErrorKind::Device);
    } catch (const std::system_error& error) {  // of the file system, or no more threads
        return fail(error.what(), ErrorKind::Internal);
    } catch (const std::exception& error) {
        return fail("internal error: " + std::string(error.what()), ErrorKind::Internal);
    }
}

// Where an allocation fails in a function that may not throw (CLI11 and the standard library have some),
// nobody can catch it: the same line and exit code.
[[noreturn]] void end_without_memory() noexcept {
    try {
        if (std::current_exception()) throw;
    } catch (const std::bad_alloc&) {
        for (const std::string_view part :
             {std::string_view("gradscore: "), kOutOfMemory, std::string_view("\n")})
            [[maybe_unused]] const auto written = ::write(STDERR_FILENO, part.data(), part.size());
        ::_exit(static_cast<int>(ErrorKind::Device));
    } catch (...) {
    }
    std::abort();
}

}  // namespace
}  // namespace gs

int main(int argc, char** argv) {
    std::set_terminate(gs::end_without_memory);
    std::signal(SIGXFSZ, SIG_IGN);  // a file size limit is then an error of write(), with its own line
    const int code = gs::run_reporting_errors(argc, argv);
    if (std::cout.flush()) return code;
    gs::say("gradscore: cannot write to standard output");
    return code == 0 ? static_cast<int>(gs::ErrorKind::Internal) : code;
}
