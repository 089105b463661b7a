// A search file is refused with an Error, or its methods and hashes can be used.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/error.h"
#include "tools/search_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    try {
        const gs::SearchFile file =
            gs::search_file_from_json({reinterpret_cast<const char*>(data), size}, "fuzz");
        if (!std::is_sorted(file.seen.begin(), file.seen.end())) std::abort();
        for (const gs::MethodSpec& method : file.methods)
            if (method.name.empty()) std::abort();
    } catch (const gs::Error& e) {
        if (e.kind() != gs::ErrorKind::Data) std::abort();
    }
    return 0;
}
