// A score table is refused with an Error or read; what was read is written and read back the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/error.h"
#include "report/scores_csv.h"

namespace {

std::string written(const gs::ScoreTable& table) {
    std::string text = gs::scores_csv_header(table.methods);
    for (const gs::ScoreRow& row : table.rows) text += gs::scores_csv_line(row, table.methods.size());
    return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    try {
        const std::string once =
            written(gs::scores_from_csv({reinterpret_cast<const char*>(data), size}, "fuzz"));
        if (written(gs::scores_from_csv(once, "again")) != once) std::abort();
    } catch (const gs::Error& e) {
        if (e.kind() != gs::ErrorKind::Data || std::string_view(e.what()).starts_with("again")) std::abort();
    }
    return 0;
}
