#include "report/scores_csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "core/error.h"
#include "tests/report/sample.h"
#include "tests/support/failure.h"

namespace gs {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
const std::string kHead = "index,path,label,prediction,reason,msp\n";

std::string text_of(const std::filesystem::path& path) {
    const auto bytes = read_file(path, ErrorKind::Data);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string csv_of(const ScoreTable& table) {
    std::string text = scores_csv_header(table.methods);
    for (const ScoreRow& row : table.rows) text += scores_csv_line(row, table.methods.size());
    return text;
}

TEST(ScoresCsv, Layout) {
    const ScoreTable table{{"msp", "odin:temperature=1000,epsilon=0"},
                           {{0, "dog/a.jpg", 3, 5, "", {0.1, -kInf}},
                            {1, "a, \"b\"\n.png", {}, 0, "", {kNaN, 1e-7}},
                            {2, "c.png", 4, {}, "no PNG", {}}}};
    EXPECT_EQ(csv_of(table),
              "index,path,label,prediction,reason,msp,\"odin:temperature=1000,epsilon=0\"\n"
              "0,dog/a.jpg,3,5,,0.1,-inf\n"
              "1,\"a, \"\"b\"\"\n.png\",,0,,nan,1e-07\n"
              "2,c.png,4,,no PNG,,\n");
}

TEST(ScoresCsv, EveryDoubleComesBackBitForBit) {
    std::mt19937_64 random(5);
    ScoreTable table{{"a", "b"}, {}};
    using Limits = std::numeric_limits<double>;
    std::vector<double> values{0.0,  -0.0, Limits::denorm_min(), -Limits::min(), Limits::max(), 0.1, 1.0 / 3,
                               kInf, -kInf};
    while (values.size() < 5000) {
        const auto v = std::bit_cast<double>(random());
        if (!std::isnan(v)) values.push_back(v);
    }
    for (size_t k = 0; k < values.size(); ++k)
        table.rows.push_back({int64_t(k), "x", {}, {}, "", {values[k], kNaN}});
    const ScoreTable back = scores_from_csv(csv_of(table), "t");
    ASSERT_EQ(back.rows.size(), values.size());
    for (size_t k = 0; k < values.size(); ++k) {
        EXPECT_EQ(std::bit_cast<uint64_t>(back.rows[k].scores[0]), std::bit_cast<uint64_t>(values[k]))
            << values[k];
        EXPECT_TRUE(std::isnan(back.rows[k].scores[1]));
    }
}

TEST(ScoresCsv, StrangePathsComeBackByteForByte) {
    ScoreTable table{{"a,b", "c\"d"}, {}};
    const std::vector<std::string> paths{"",   " ",      ",",        "\"",         "\"\"", "a\nb", "a\r\nb",
                                         "\r", "a\"b,c", "\xFF\xFE", "纹理/ä.jpg", "a\tb", "#x"};
    for (size_t k = 0; k < paths.size(); ++k)
        table.rows.push_back({int64_t(k),
                              paths[k],
                              1,
                              {},
                              k % 2 ? "bad: " + paths[k] : "",
                              k % 2 ? std::vector<double>{} : std::vector<double>{1, 2}});
    const ScoreTable back = scores_from_csv(csv_of(table), "t");
    EXPECT_EQ(back.methods, table.methods);
    ASSERT_EQ(back.rows.size(), paths.size());
    for (size_t k = 0; k < paths.size(); ++k) {
        EXPECT_EQ(back.rows[k].path, paths[k]);
        EXPECT_EQ(back.rows[k].reason, table.rows[k].reason);
    }
}

TEST(ScoresCsv, ColumnsLeaveExcludedImagesOut) {
    const ScoreTable t = scores_from_csv(kHead + "0,a,,,,1\n1,b,,,broken,\n2,c,,,,nan\n", "t");
    const auto columns = t.columns();
    ASSERT_EQ(columns.size(), 1u);
    ASSERT_EQ(columns[0].size(), 2u);
    EXPECT_EQ(columns[0][0], 1);
    EXPECT_TRUE(std::isnan(columns[0][1]));
}

TEST(ScoresCsv, OtherProgramsHabitsAreRead) {
    const std::string plain = kHead + "0,a b,3,4,,0.5\n1,\"x\ny\",,,,inf\n";
    std::string windows = "\xEF\xBB\xBF";
    for (char c : plain) windows += c == '\n' ? std::string("\r\n") : std::string(1, c);
    const std::string quoted =
        "\"index\",\"path\",\"label\",\"prediction\",\"reason\",\"msp\"\n\"0\",\"a "
        "b\",\"3\",\"4\",\"\",\"0.5\"";
    for (const std::string& text : {plain, windows, quoted, plain.substr(0, plain.size() - 1)}) {
        const ScoreTable t = scores_from_csv(text, "t");
        EXPECT_THAT(t.methods, ElementsAre("msp"));
        EXPECT_EQ(t.rows[0].path, "a b");
        EXPECT_EQ(t.rows[0].label, 3);
        EXPECT_EQ(t.rows[0].prediction, 4);
        EXPECT_EQ(t.rows[0].scores[0], 0.5);
    }
    EXPECT_EQ(scores_from_csv(windows, "t").rows[1].path, "x\r\ny");
    EXPECT_TRUE(scores_from_csv("index,path,label,prediction,reason\n", "t").rows.empty());
}

std::string error_of(const std::string& text) {
    return test::failure_of(ErrorKind::Data, [&] { scores_from_csv(text, "s.csv"); });
}

TEST(ScoresCsv, ErrorsNameTheLine) {
    const std::string good = "0,\"a\nb\",,,,1\n";  // two lines of the file
    EXPECT_THAT(error_of(""), HasSubstr("s.csv:1: the file is empty"));
    EXPECT_THAT(error_of("a,b\n1,2\n"), HasSubstr("s.csv:1: no score table"));
    EXPECT_THAT(error_of("index,path,label,prediction,reason,msp,msp\n"),
                HasSubstr("s.csv:1: column 'msp' is there twice"));
    EXPECT_THAT(error_of(kHead + good + "1,a,,,,\n"), HasSubstr("s.csv:4: score '' of msp is not a number"));
    EXPECT_THAT(error_of(kHead + good + "1,a,,,,1x\n"), HasSubstr("s.csv:4: score '1x' of msp"));
    EXPECT_THAT(error_of(kHead + good + "1,a,,,,1e999\n"), HasSubstr("s.csv:4: score '1e999' of msp"));
    EXPECT_THAT(error_of(kHead + good + "1,a,,,, 1\n"), HasSubstr("s.csv:4: score ' 1' of msp"));
    EXPECT_THAT(error_of(kHead + good + "1,a,,,\n"), HasSubstr("s.csv:4: 5 fields, the header has 6"));
    EXPECT_THAT(error_of(kHead + good + "\n"), HasSubstr("s.csv:4: 1 fields, the header has 6"));
    EXPECT_THAT(error_of(kHead + good + "-1,a,,,,1\n"),
                HasSubstr("s.csv:4: index '-1' is not a whole number"));
    EXPECT_THAT(error_of(kHead + good + "1,a,dog,,,1\n"), HasSubstr("s.csv:4: label 'dog' is not"));
    EXPECT_THAT(error_of(kHead + good + "1,a,,1.5,,1\n"), HasSubstr("s.csv:4: prediction '1.5' is not"));
    EXPECT_THAT(error_of(kHead + good + "1,a,,,bad,1\n"),
                HasSubstr("s.csv:4: an excluded image (reason 'bad') has a score"));
    EXPECT_THAT(error_of(kHead + good + "1,\"a,,,,1\n2,b,,,,1\n"),
                HasSubstr("s.csv:4: a quoted field without its closing quote"));
    EXPECT_THAT(error_of(kHead + good + "1,\"a\"b,,,,1\n"),
                HasSubstr("s.csv:4: text after the closing quote of field 2"));
    EXPECT_THAT(error_of(kHead + good + "1,a\"b,,,,1\n"),
                HasSubstr("s.csv:4: a quote inside an unquoted field"));
    EXPECT_THAT(error_of(kHead + good + "0,a,,,,1\n"), HasSubstr("s.csv: image 0 is there twice"));
}

TEST(ScoresCsv, CutAtAnyByteIsReadOrRefused) {
    const std::string text = kHead + "0,\"a,\"\"b\"\"\n\",3,4,,0.125\r\n1,c,,,broken,\n2,d,7,,,-inf\n";
    for (size_t k = 0; k < text.size(); ++k) {
        const std::string error = error_of(text.substr(0, k));
        if (error == "no error") {
            EXPECT_GE(k, size_t(34)) << "the header's fixed columns";
        }
        for (int flip = 1; flip < 256; flip *= 2) {
            std::string damaged = text;
            damaged[k] = char(damaged[k] ^ flip);
            error_of(damaged);
        }
    }
}

TEST(ScoreCsvWriter, CommitsAtTheEnd) {
    test::TemporaryFolder folder("scores_csv");
    const auto path = folder / "dtd.csv";
    ScoreCsvWriter writer(path, {"msp"});
    writer.write({0, "a", {}, 1, "", {0.25}});
    writer.write({1, "b", {}, {}, "broken", {}});
    EXPECT_FALSE(std::filesystem::exists(path));
    EXPECT_EQ(writer.rows(), 2);
    writer.commit();
    EXPECT_EQ(text_of(path), kHead + "0,a,,1,,0.25\n1,b,,,broken,\n");
    EXPECT_EQ(read_scores_csv(path).rows.size(), 2u);
}

TEST(ScoreCsvWriter, InterruptedRunsCommitWhatIsThereOrLeaveNothing) {
    test::TemporaryFolder folder("scores_csv_interrupted");
    {
        ScoreCsvWriter abandoned(folder / "a.csv", {"msp"});
        abandoned.write({0, "a", {}, {}, "", {1}});
    }
    EXPECT_TRUE(std::filesystem::is_empty(folder / ""));
    ScoreCsvWriter writer(folder / "b.csv", {"msp"});
    for (int64_t k = 0; k < 3; ++k) writer.write({k, "a", {}, {}, "", {double(k)}});
    writer.commit();
    EXPECT_EQ(read_scores_csv(folder / "b.csv").rows.size(), 3u);
}

TEST(ScoreCsvWriter, RowsMustFitTheHeader) {
    test::TemporaryFolder folder("scores_csv_contract");
    ScoreCsvWriter writer(folder / "a.csv", {"msp", "energy"});
    EXPECT_THROW(writer.write({0, "a", {}, {}, "", {1}}), Error);
    EXPECT_THROW(writer.write({0, "a", {}, {}, "broken", {1, 2}}), Error);
    EXPECT_EQ(writer.rows(), 0);
}

}  // namespace
}  // namespace gs
