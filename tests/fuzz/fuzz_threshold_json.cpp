// A threshold's file is refused with an Error or read; what was read is written and read back the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/error.h"
#include "report/threshold_json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    try {
        const gs::Threshold threshold =
            gs::threshold_from_json({reinterpret_cast<const char*>(data), size}, "fuzz");
        const std::string once = gs::threshold_to_json(threshold);
        if (gs::threshold_to_json(gs::threshold_from_json(once, "again")) != once) std::abort();
    } catch (const gs::Error& e) {
        if (e.kind() != gs::ErrorKind::Data || std::string_view(e.what()).starts_with("again")) std::abort();
    }
    return 0;
}
