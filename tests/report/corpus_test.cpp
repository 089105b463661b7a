// The seeds of the fuzz targets of report/'s readers.
#include "tests/support/corpus.h"

#include <gtest/gtest.h>

#include "report/paper_table.h"
#include "report/reproduction.h"
#include "report/results_json.h"
#include "report/scores_csv.h"
#include "report/table.h"
#include "report/threshold_json.h"
#include "report/training_log.h"

namespace gs {
namespace {

TEST(Corpus, ScoreTables) {
    test::replay("scores_csv", ErrorKind::Data,
                 [](std::string_view text) { scores_from_csv(text, "corpus"); });
}

TEST(Corpus, Results) {
    test::replay("results_json", ErrorKind::Data, [](std::string_view text) {
        const Results results = results_from_json(text, "corpus");
        results_table(results);
        results_markdown(results);
    });
}

TEST(Corpus, PaperTables) {
    test::replay("paper_table", ErrorKind::Data, [](std::string_view text) {
        const PaperTable table = paper_table_from_json(text, "corpus");
        const Reproduction r = compare(table, std::vector<RowRun>(table.rows.size()), std::nullopt);
        reproduction_text(r, true);
        reproduction_markdown(r);
        reproduction_json(r);
    });
}

TEST(Corpus, Thresholds) {
    test::replay("threshold_json", ErrorKind::Data,
                 [](std::string_view text) { threshold_from_json(text, "corpus"); });
}

TEST(Corpus, TrainingLogs) {
    test::replay("training_log", ErrorKind::Data, [](std::string_view text) {
        training_curves_svg(training_log_from_json(text, "corpus"), "corpus", 10);
    });
}

}  // namespace
}  // namespace gs
