// Any text as the log of a training run; what is read can be drawn.
#include <cstdlib>
#include <string_view>

#include "core/error.h"
#include "report/training_log.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    try {
        const auto lines = gs::training_log_from_json({reinterpret_cast<const char*>(data), size}, "fuzz");
        if (gs::training_curves_svg(lines, "fuzz", 10).find("nan") != std::string::npos) std::abort();
    } catch (const gs::Error& e) {
        if (e.kind() != gs::ErrorKind::Data) std::abort();
    }
    return 0;
}
