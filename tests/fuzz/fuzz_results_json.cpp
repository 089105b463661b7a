// A results.json is refused with an Error or read; what was read is written and read back the same, and every
// table can be drawn from it.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/error.h"
#include "report/results_json.h"
#include "report/table.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    try {
        const gs::Results results =
            gs::results_from_json({reinterpret_cast<const char*>(data), size}, "fuzz");
        const std::string once = gs::results_to_json(results);
        if (gs::results_to_json(gs::results_from_json(once, "again")) != once) std::abort();
        gs::results_table(results);
        gs::results_markdown(results);
    } catch (const gs::Error& e) {
        if (e.kind() != gs::ErrorKind::Data || std::string_view(e.what()).starts_with("again")) std::abort();
    }
    return 0;
}
