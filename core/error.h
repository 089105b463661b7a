// The one exception type of gradscore. Its message is a single line that names the thing (file, tensor,
// flag), what is wrong with it, and what to do; its kind is the exit code of the command.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace gs {

enum class ErrorKind : int {
    Internal = 1,   // a fault of ours, or the machine's (disk full, I/O error)
    Usage = 2,      // wrong flags or combination of flags
    Weights = 3,    // weights that cannot be used
    Data = 4,       // images, lists or sets that cannot be used
    Device = 5,     // no such device, or out of memory
    Tolerance = 7,  // `reproduce`: figures out of tolerance
    Interrupted = 130,
};

class Error : public std::runtime_error {
  public:
    Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
    ErrorKind kind() const { return kind_; }
    int exit_code() const { return static_cast<int>(kind_); }

  private:
    ErrorKind kind_;
};

[[noreturn]] void require_failed(const char* file, int line, const char* expression);

// A contract between our own functions (shapes, ranges). A failure is a bug, reported as ErrorKind::Internal.
// Bad input from outside is never checked with this: it gets an Error with its own message.
#define GS_REQUIRE(condition) \
    ((condition) ? static_cast<void>(0) : ::gs::require_failed(__FILE__, __LINE__, #condition))

}  // namespace gs
