#include "tools/spinning.h"

#include <sys/auxv.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace gs {
namespace {

// Tens of microseconds: the gaps between a net's layers are shorter, a processor's time slice is not.
constexpr const char* kSpins = "4000";

// Started by naming the dynamic loader, the program's file is the loader's.
bool started_directly() {
    return ::getauxval(AT_BASE) != 0;
}

}  // namespace

void limit_spinning(char** argv) {
    if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
    std::error_code error;
    // By its own name, which tools such as ps show.
    const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
    if (error || !started_directly()) return;
    ::setenv("GOMP_SPINCOUNT", kSpins, 1);
    ::execv(program.c_str(), argv);  // returns where it fails
}

}  // namespace gs
