#include "report/paper_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/report/sample_table.h"
#include "tests/support/failure.h"

namespace gs {
namespace {

using test::sample_with;
using testing::ElementsAre;
using testing::HasSubstr;

std::string error_of(const std::string& text) {
    return test::failure_of(ErrorKind::Data, [&] { paper_table_from_json(text, "t.json"); });
}

TEST(PaperTable, IsReadWhole) {
    const PaperTable t = paper_table_from_json(test::kSampleTable, "t.json");
    EXPECT_EQ(t.name, "sample");
    ASSERT_EQ(t.columns.size(), 2u);
    EXPECT_EQ(t.columns[0].value, &DetectionMetrics::fpr95_closest);
    EXPECT_TRUE(t.columns[0].lower_is_better);
    ASSERT_EQ(t.checkpoints.size(), 1u);
    EXPECT_THAT(t.checkpoints[0].places(), ElementsAre("near", "far", "Mean"));
    EXPECT_EQ(t.checkpoints[0].preprocess.at("resize"), "32");
    EXPECT_EQ(t.set("far")->images, 5);
    EXPECT_FALSE(t.set("near")->images);
    EXPECT_EQ(t.set("nothing"), nullptr);
    EXPECT_EQ(t.source("memo")->trust, Trust::Memory);
    ASSERT_EQ(t.rows.size(), 4u);
    EXPECT_EQ(t.rows[1].method_on("far"), "gaia-z:hooks=textures");
    EXPECT_EQ(t.rows[1].method_on("near"), "gaia-z");
    EXPECT_EQ(t.rows[2].fit_on_test, "from test labels");
    EXPECT_EQ(t.rows[3].reference, "not stated");
}

TEST(PaperTable, TolerancesAndSourcesFallBackFromFigureToRowToColumn) {
    const PaperTable t = paper_table_from_json(test::kSampleTable, "t.json");
    const TableRow& msp = t.rows[0];
    EXPECT_EQ(msp.printed("near", 0)->tolerance, 2) << "the row's";
    EXPECT_EQ(msp.printed("near", 1)->tolerance, 0.25) << "the figure's";
    EXPECT_EQ(msp.printed("Mean", 1)->tolerance, 0.5) << "the column's";
    EXPECT_EQ(msp.printed("far", 0), nullptr) << "nothing printed";
    EXPECT_EQ(msp.printed("far", 1)->source, "memo");
    EXPECT_EQ(msp.printed("near", 1)->source, "paper");
    EXPECT_EQ(msp.printed("nowhere", 0), nullptr);
}

TEST(PaperTable, WrongFilesAreRefusedWithTheirPlace) {
    EXPECT_THAT(error_of("[]"), HasSubstr("t.json: is not an object"));
    EXPECT_THAT(error_of(sample_with("table/1", "table/9")), HasSubstr("schema is 'gradscore/table/9'"));
    EXPECT_THAT(error_of(sample_with("\"notes\"", "\"note\"")), HasSubstr("note is not known here"));
    EXPECT_THAT(error_of(sample_with("\"tolerance\": [2, null]", "\"tolerence\": [2, null]")),
                HasSubstr("rows[0].tolerence is not known here"));
    EXPECT_THAT(error_of(sample_with("fpr95_closest", "fpr96")),
                HasSubstr("columns[0].metric is none of auroc"));
    EXPECT_THAT(error_of(sample_with("\"lower\"", "\"less\"")), HasSubstr("columns[0].better"));
    EXPECT_THAT(error_of(sample_with("\"tolerance\": 1}", "\"tolerance\": -1}")),
                HasSubstr("columns[0].tolerance is not between 0 and 100"));
    EXPECT_THAT(error_of(sample_with("[50, 80]", "[50]")),
                HasSubstr("rows[0].figures.near does not have one"));
    EXPECT_THAT(error_of(sample_with("[50, 80]", "[50, 180]")), HasSubstr("rows[0].figures.near[1]"));
    EXPECT_THAT(error_of(sample_with("\"figures\": {\"near\"", "\"figures\": {\"neer\"")),
                HasSubstr("figures.neer is neither a set nor a group of checkpoint net"));
    EXPECT_THAT(error_of(sample_with("\"tolerances\": {\"near\"", "\"tolerances\": {\"nowhere\"")),
                HasSubstr("has no figures"));
    EXPECT_THAT(error_of(sample_with("\"trust\": \"read\"", "\"trust\": \"sure\"")),
                HasSubstr("sources.paper.trust is none of read, aggregator"));
    EXPECT_THAT(error_of(sample_with("0b59e178", "0B59E178")), HasSubstr("sha256[0] is not 8 to 64"));
    EXPECT_THAT(error_of(sample_with("\"id\": \"id\"", "\"id\": \"x\"")),
                HasSubstr("is no set of this table"));
    EXPECT_THAT(error_of(sample_with("\"ood\": [\"near\"", "\"ood\": [\"id\"")), HasSubstr("twice"));
    EXPECT_THAT(error_of(sample_with("\"Mean\": [\"near\"", "\"Mean\": [\"id\"")),
                HasSubstr("not among ood"));
    EXPECT_THAT(error_of(sample_with("\"checkpoint\": \"net\"", "\"checkpoint\": \"nut\"")),
                HasSubstr("rows[0].checkpoint is no checkpoint"));
    EXPECT_THAT(error_of(sample_with("\"statistics\": \"fit\"", "\"statistics\": \"fat\"")),
                HasSubstr("rows[2].statistics is no statistics"));
    EXPECT_THAT(error_of(sample_with("\"method\": \"msp\", ", "")), HasSubstr("needs either a method or"));
    EXPECT_THAT(error_of(sample_with("\"sets\": {\"id\"", "\"sets\": {\"../id\"")),
                HasSubstr("no plain name"));
    EXPECT_THAT(error_of(sample_with("\"papers\"", "\"draws\": {\"count\": 0, \"images\": 9}, \"papers\"")),
                HasSubstr("draws.count is not between 1 and 1000"));
}

TEST(PaperTable, AFigureWithoutASourceIsRefused) {
    EXPECT_THAT(error_of(sample_with("\"source\": \"paper\", ", "")),
                HasSubstr("has a figure without a source"));
    EXPECT_THAT(error_of(sample_with("[null, \"memo\"]", "[null, \"mema\"]")), HasSubstr("('mema')"));
}

}  // namespace
}  // namespace gs
