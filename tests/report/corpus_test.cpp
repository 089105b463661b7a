// The fuzz targets' seeds in ordinary runs: each is read, and each cut or changed anywhere is read or
// refused.
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>

#include "core/error.h"
#include "core/files.h"
#include "report/paper_table.h"
#include "report/reproduction.h"
#include "report/results_json.h"
#include "report/scores_csv.h"
#include "report/table.h"
#include "report/threshold_json.h"

namespace gs {
namespace {

void replay(const std::string& corpus, const std::function<void(std::string_view)>& read) {
    int files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(GS_SOURCE_DIR) /
                                                                 "tests/fuzz/corpus" / corpus)) {
        SCOPED_TRACE(entry.path().string());
        const auto bytes = read_file(entry.path(), ErrorKind::Data);
        const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        EXPECT_NO_THROW(read(text));
        const auto try_one = [&](const std::string& damaged) {
            try {
                read(damaged);
            } catch (const Error& e) {
                EXPECT_EQ(e.kind(), ErrorKind::Data) << e.what();
            }
        };
        for (size_t k = 0; k < text.size(); ++k) {
            try_one(text.substr(0, k));
            std::string flipped = text;
            flipped[k] = char(flipped[k] ^ (1 << (k % 8)));
            try_one(flipped);
        }
        ++files;
    }
    EXPECT_GE(files, 2);
}

TEST(Corpus, ScoreTables) {
    replay("scores_csv", [](std::string_view text) { scores_from_csv(text, "corpus"); });
}

TEST(Corpus, Results) {
    replay("results_json", [](std::string_view text) {
        const Results results = results_from_json(text, "corpus");
        results_table(results);
        results_markdown(results);
    });
}

TEST(Corpus, PaperTables) {
    replay("paper_table", [](std::string_view text) {
        const PaperTable table = paper_table_from_json(text, "corpus");
        const Reproduction r = compare(table, std::vector<RowRun>(table.rows.size()), std::nullopt);
        reproduction_text(r, true);
        reproduction_markdown(r);
        reproduction_json(r);
    });
}

TEST(Corpus, Thresholds) {
    replay("threshold_json", [](std::string_view text) { threshold_from_json(text, "corpus"); });
}

}  // namespace
}  // namespace gs
