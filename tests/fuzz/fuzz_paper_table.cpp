// A table file is refused with Error(Data) or read, and what was read can be compared with an empty run and
// shown.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "report/paper_table.h"
#include "report/reproduction.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    try {
        const gs::PaperTable table =
            gs::paper_table_from_json({reinterpret_cast<const char*>(data), size}, "fuzz");
        const auto r = gs::compare(table, std::vector<gs::RowRun>(table.rows.size()), std::nullopt);
        gs::reproduction_text(r, true);
        gs::reproduction_markdown(r);
        gs::reproduction_json(r);
    } catch (const gs::Error& e) {
        if (e.kind() != gs::ErrorKind::Data) std::abort();
    }
    return 0;
}
