// Any text as a list of images to leave out.
#include <algorithm>
#include <cstdlib>

#include "core/error.h"
#include "data/sets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    try {
        const auto indices = gs::detail::parse_skip_list({reinterpret_cast<const char*>(data), size}, "fuzz");
        if (std::adjacent_find(indices.begin(), indices.end(), std::greater_equal<>()) != indices.end())
            std::abort();
    } catch (const gs::Error& e) {
        if (e.kind() != gs::ErrorKind::Data) std::abort();
    }
    return 0;
}
