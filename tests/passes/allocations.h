// Counts what operator new is asked for in this program.
#pragma once

#include <cstddef>

namespace gs::test {

// Calls of operator new so far; always 0 under AddressSanitizer, which brings its own.
std::size_t allocation_count();

}  // namespace gs::test
