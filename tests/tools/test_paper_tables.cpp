// The tables that gradscore carries: whole, sourced, and their printed means true to their rows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "core/files.h"
#include "report/paper_table.h"
#include "scores/score.h"
#include "tools/embedded_tables.h"
#include "tools/reproduce_plan.h"

namespace gs {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;
using testing::UnorderedElementsAre;

std::vector<PaperTable> all_tables() {
    std::vector<PaperTable> tables;
    for (const std::string_view text : embedded_tables())
        tables.push_back(paper_table_from_json(text, "built-in table"));
    return tables;
}

const PrintedFigure& figure(const PaperTable& table, const std::string& row, const std::string& place,
                            size_t column) {
    const auto at =
        std::find_if(table.rows.begin(), table.rows.end(), [&](const TableRow& r) { return r.label == row; });
    if (at == table.rows.end() || at->printed(place, column) == nullptr)
        throw std::runtime_error(table.name + " has no figure " + row + ", " + place);
    return *at->printed(place, column);
}

TEST(PaperTables, AreThoseOfTheFolderNamedLikeTheirFiles) {
    size_t files = 0;
    for (const auto& entry : fs::directory_iterator(fs::path(GS_SOURCE_DIR) / "tools/tables")) {
        const PaperTable table = read_paper_table(entry.path());
        EXPECT_EQ(table.name, entry.path().stem());
        EXPECT_EQ(find_table(table.name).title, table.title) << "in the binary";
        ++files;
    }
    EXPECT_EQ(files, embedded_tables().size());
    std::vector<std::string> names;
    for (const PaperTable& t : all_tables()) names.push_back(t.name);
    EXPECT_THAT(names, UnorderedElementsAre("bit-imagenet", "demo", "energy-wrn", "gaia", "nac", "nac-v1",
                                            "openood", "outlier-exposure"));
}

TEST(PaperTables, EverythingNeededIsSaid) {
    for (const PaperTable& t : all_tables()) {
        SCOPED_TRACE(t.name);
        EXPECT_EQ(t.papers.empty(), t.name == "demo");
        for (const TableSet& s : t.sets) {
            EXPECT_NE(s.get, "") << s.name;
            EXPECT_NE(s.hint, "") << s.name;
            EXPECT_TRUE(std::any_of(t.checkpoints.begin(), t.checkpoints.end(),
                                    [&](const auto& c) {
                                        return c.id == s.name ||
                                               std::find(c.ood.begin(), c.ood.end(), s.name) != c.ood.end();
                                    }))
                << s.name << " is of no use";
        }
        for (const TableCheckpoint& c : t.checkpoints) {
            EXPECT_NE(c.get, "") << c.name;
            EXPECT_NE(c.file, "") << c.name;
            EXPECT_NE(c.licence, "") << c.name;
            EXPECT_TRUE(std::any_of(t.rows.begin(), t.rows.end(),
                                    [&](const TableRow& r) { return r.checkpoint == c.name; }))
                << c.name << " has no row";
        }
        for (const FigureSource& s : t.sources) EXPECT_NE(s.text, "") << s.name;
        for (const TableColumn& c : t.columns) EXPECT_GT(c.tolerance, 0) << c.name;
    }
}

// A fit of another preprocessing than its rows' is refused by them.
TEST(PaperTables, StatisticsAreFittedWithTheirCheckpointsPreprocessing) {
    for (const PaperTable& t : all_tables())
        for (const TableRow& row : t.rows) {
            if (row.statistics.empty()) continue;
            const std::string& fit = t.statistic(row.statistics)->fit;
            EXPECT_TRUE(t.checkpoint(row.checkpoint)->preprocess.empty())
                << t.name << ", " << row.label << ": name the flags in its fit and look for them here";
            for (const char* flag : {" --resize ", " --crop ", " --mean ", " --std "})
                EXPECT_THAT(fit, Not(HasSubstr(flag))) << t.name << ", " << row.label;
        }
}

TEST(PaperTables, PrintedMeansAreTheMeansOfTheirRows) {
    // A mean of figures printed with two decimals is off by up to 0.005, and so is the printed mean itself.
    constexpr double kRounding = 0.01 + 1e-9;
    int means = 0;
    for (const PaperTable& t : all_tables())
        for (const TableRow& row : t.rows)
            for (const TableGroup& group : t.checkpoint(row.checkpoint)->groups)
                for (size_t c = 0; c < t.columns.size(); ++c) {
                    const PrintedFigure* printed = row.printed(group.name, c);
                    double sum = 0;
                    bool whole = printed != nullptr;
                    for (const std::string& set : group.sets)
                        if ((whole = whole && row.printed(set, c) != nullptr))
                            sum += row.printed(set, c)->value;
                    if (!whole) continue;
                    EXPECT_NEAR(sum / double(group.sets.size()), printed->value, kRounding)
                        << t.name << ", " << row.label << ", " << t.columns[c].label;
                    ++means;
                }
    // bit-imagenet 7 × 2, nac-v1 11 × 2, energy-wrn 4 × 2, outlier-exposure 5 × 3, nac 2 + 1, demo 7 × 3.
    EXPECT_EQ(means, 14 + 22 + 8 + 15 + 3 + 21);
}

TEST(PaperTables, SomeFiguresByHand) {
    EXPECT_EQ(figure(find_table("bit-imagenet"), "GradNorm", "Average", 1).value, 86.31);
    EXPECT_EQ(figure(find_table("bit-imagenet"), "MOS", "inaturalist", 0).value, 9.28);
    EXPECT_EQ(figure(find_table("nac-v1"), "BiT-S NAC-UE, as printed", "textures", 0).value, 1.22);
    EXPECT_EQ(figure(find_table("openood"), "CIFAR-100 GradNorm", "near", 0).value, 70.13);
    EXPECT_EQ(figure(find_table("energy-wrn"), "CIFAR-10 Energy", "Mean", 0).value, 33.01);
    EXPECT_EQ(figure(find_table("outlier-exposure"), "CIFAR-10 baseline", "svhn", 0).value, 28.82);
    EXPECT_EQ(figure(find_table("gaia"), "ImageNet-1k GAIA, as listed", "textures", 0).value, 11.32);
}

TEST(PaperTables, FiguresThatWereNotReadAtTheirSourceSaySo) {
    const auto trust = [](const PaperTable& t, const PrintedFigure& f) { return t.source(f.source)->trust; };
    const PaperTable energy = find_table("energy-wrn");
    EXPECT_EQ(trust(energy, figure(energy, "CIFAR-10 MSP", "svhn", 0)), Trust::Memory);
    EXPECT_EQ(trust(energy, figure(energy, "CIFAR-10 MSP", "Mean", 0)), Trust::Read) << "in the README";
    EXPECT_EQ(trust(energy, figure(energy, "CIFAR-10 MSP", "Mean", 1)), Trust::Memory);
    const PaperTable nac = find_table("nac");
    EXPECT_EQ(trust(nac, figure(nac, "ImageNet-1k NAC-UE, ResNet-50", "textures", 1)), Trust::Aggregator);
    EXPECT_EQ(trust(nac, figure(nac, "ImageNet-1k NAC-UE, ResNet-50", "far", 1)), Trust::Read);
    for (const TableRow& row : find_table("gaia").rows)
        EXPECT_TRUE(row.figures.empty() || !row.reference.empty()) << "nothing verified to be compared";
}

TEST(PaperTables, TrapsAreMarked) {
    const auto rows = [](const std::string& table, auto marked) {
        const PaperTable t = find_table(table);
        return std::count_if(t.rows.begin(), t.rows.end(), marked);
    };
    const auto fits_on_test = [](const TableRow& r) { return !r.fit_on_test.empty(); };
    EXPECT_EQ(rows("bit-imagenet", fits_on_test), 1) << "KL templates";
    EXPECT_EQ(rows("nac-v1", fits_on_test), 3) << "NAC-UE, first release";
    EXPECT_EQ(rows("nac-v1",
                   [](const TableRow& r) { return r.method == "nac:variant=v1" && r.fit_on_test.empty(); }),
              3)
        << "each beside its corrected protocol";
    EXPECT_EQ(rows("gaia", [](const TableRow& r) { return r.method_for.contains("textures"); }), 1);
}

// OpenOOD has a list of its own for every set of every benchmark.
TEST(PaperTables, OpenOodsSetsAreThoseOfTheirBenchmark) {
    for (const std::string name : {"openood", "nac"}) {
        const PaperTable t = find_table(name);
        for (const TableCheckpoint& c : t.checkpoints) {
            EXPECT_THAT(t.set(c.id)->hint, testing::HasSubstr("benchmark_imglist/" + c.name + "/"));
            for (const std::string& ood : c.ood)
                EXPECT_THAT(t.set(ood)->hint, testing::HasSubstr("benchmark_imglist/" + c.name + "/"));
        }
    }
}

TEST(PaperTables, MethodsAreWrittenAsTheCommandTakesThem) {
    for (const PaperTable& t : all_tables())
        for (const TableRow& row : t.rows) {
            if (!row.method.empty()) {
                EXPECT_EQ(parse_methods(row.method).size(), 1u) << row.label;
            }
            for (const auto& [set, method] : row.method_for) EXPECT_EQ(parse_methods(method).size(), 1u);
        }
}

TEST(PaperTables, UnknownNamesListTheTables) {
    try {
        find_table("table-5");
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::Usage);
        EXPECT_THAT(e.what(), testing::HasSubstr("bit-imagenet, demo, energy-wrn"));
    }
}

}  // namespace
}  // namespace gs
