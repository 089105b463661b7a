#include "report/reproduction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "tests/report/sample_table.h"
#include "tests/support/json.h"

namespace gs {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

DetectionMetrics figures(double fpr95, double auroc) {
    DetectionMetrics m;
    m.fpr95_closest = fpr95;
    m.auroc = auroc;
    return m;
}

RowRun ran(const std::map<std::string, DetectionMetrics>& sets) {
    RowRun run;
    for (const auto& [name, metrics] : sets) run.sets[name].all = metrics;
    return run;
}

RowRun not_run(const std::string& why) {
    RowRun run;
    run.not_run = why;
    return run;
}

class Compared : public testing::Test {
  protected:
    const PaperTable table_ = paper_table_from_json(test::kSampleTable, "sample");
    // MSP within tolerance everywhere but at near's AUROC; the others not run.
    std::vector<RowRun> runs_{ran({{"near", figures(.515, .803)}, {"far", figures(.305, .905)}}),
                              not_run("no weights"), not_run("fits on test"), RowRun()};

    Reproduction reproduce(std::optional<int64_t> limit = std::nullopt) const {
        return compare(table_, runs_, limit);
    }
    // Of the row MSP.
    const ComparedFigure& at(const Reproduction& r, size_t place, size_t column) const {
        return r.rows[0].figures[place][column];
    }
};

TEST_F(Compared, DifferencesAndVerdicts) {
    const Reproduction r = reproduce();
    EXPECT_THAT(r.rows[0].places, ElementsAre("near", "far", "Mean"));
    EXPECT_NEAR(*at(r, 0, 0).difference(), 1.5, 1e-12);
    EXPECT_EQ(at(r, 0, 0).verdict, Verdict::Within) << "the row's tolerance is 2";
    EXPECT_EQ(at(r, 0, 1).verdict, Verdict::Out) << "0.3 points, this figure's tolerance is 0.25";
    EXPECT_EQ(at(r, 1, 0).verdict, Verdict::NotCompared) << "nothing printed";
    EXPECT_EQ(at(r, 1, 1).verdict, Verdict::Within);
    EXPECT_NEAR(*at(r, 2, 0).ours, 41.0, 1e-12) << "the mean of both sets";
    EXPECT_EQ(at(r, 2, 0).verdict, Verdict::Within);
    EXPECT_EQ(r.count(Verdict::Within), 4);
    EXPECT_EQ(r.count(Verdict::Out), 1);
    EXPECT_FALSE(r.complete()) << "two rows were not run";
}

TEST_F(Compared, AMeanNeedsAllItsSets) {
    runs_[0].sets.erase("near");
    const Reproduction r = reproduce();
    EXPECT_FALSE(at(r, 0, 0).ours);
    EXPECT_FALSE(at(r, 2, 1).ours);
    EXPECT_EQ(at(r, 2, 1).verdict, Verdict::NotCompared);
    EXPECT_EQ(at(r, 1, 1).verdict, Verdict::Within);
    for (size_t k = 1; k < runs_.size(); ++k) runs_[k].asked = false;
    EXPECT_FALSE(reproduce().complete()) << "a set is missing";
}

TEST_F(Compared, CompleteIsWhereEveryRowThatWasAskedForIsCompared) {
    runs_[1].asked = runs_[2].asked = false;
    EXPECT_TRUE(reproduce().complete()) << "a row for comparison only is not run";
    EXPECT_EQ(reproduce().rows.size(), 2u);
    runs_[0].sets["far"].not_comparable = "other images";
    EXPECT_FALSE(reproduce().complete());
}

TEST_F(Compared, NaNIsOutOfTolerance) {
    runs_[0].sets["near"].all.auroc = std::numeric_limits<double>::quiet_NaN();
    const Reproduction r = reproduce();
    EXPECT_EQ(at(r, 0, 1).verdict, Verdict::Out);
    EXPECT_EQ(at(r, 2, 1).verdict, Verdict::Out);
    EXPECT_THAT(reproduction_text(r, true), HasSubstr("n/a"));
    EXPECT_TRUE(
        test::parse_json(reproduction_json(r))["rows"][0]["figures"]["near"]["auroc"]["ours"].is_null());
}

TEST_F(Compared, OtherImagesAndLimitsAreNotComparable) {
    runs_[0].sets["near"].not_comparable = "near has 3 images";
    const Reproduction r = reproduce();
    EXPECT_EQ(at(r, 0, 1).verdict, Verdict::NotComparable);
    EXPECT_EQ(at(r, 1, 1).verdict, Verdict::Within);
    EXPECT_EQ(at(r, 2, 0).verdict, Verdict::NotComparable) << "near is part of the mean";
    EXPECT_THAT(r.rows[0].why_not_comparable, ElementsAre("near has 3 images"));
    EXPECT_THAT(reproduction_text(r, true), HasSubstr("not comparable: near has 3 images"));

    const Reproduction limited = reproduce(20);
    EXPECT_EQ(limited.count(Verdict::Within) + limited.count(Verdict::Out), 0);
    EXPECT_EQ(limited.count(Verdict::NotComparable), 5);
    EXPECT_THAT(reproduction_text(limited, true), HasSubstr("NOT COMPARABLE: only the first 20 images"));
    EXPECT_THAT(reproduction_markdown(limited), HasSubstr("**Not comparable:** only the first 20 images"));
}

TEST_F(Compared, DrawsAreMeansWithTheirSpread) {
    runs_[0].sets["near"].draws = {figures(.50, .80), figures(.52, .80), figures(.54, .80)};
    const Reproduction r = reproduce();
    EXPECT_NEAR(*at(r, 0, 0).ours, 52, 1e-12);
    EXPECT_NEAR(*at(r, 0, 0).spread, 2, 1e-12);
    EXPECT_NEAR(*at(r, 0, 0).all, 51.5, 1e-12);
    EXPECT_EQ(at(r, 0, 1).verdict, Verdict::Within) << "80.00 over draws, 80.30 on all images";
    EXPECT_NEAR(*at(r, 2, 0).ours, (52 + 30.5) / 2, 1e-12);
    EXPECT_FALSE(at(r, 2, 0).all) << "far has no draws";
    EXPECT_THAT(reproduction_text(r, true), HasSubstr("all images"));
}

TEST_F(Compared, AsAReaderSeesIt) {
    Reproduction r = reproduce();
    r.missing = {"weights other"};
    EXPECT_EQ(reproduction_text(r, true), R"(A sample
  Nobody 2020
Figures in percent: FPR95 is fpr95_closest, AUROC is auroc.

MSP (msp; A net)
  note: a note
  printed figures from: memo, paper
                             near       far      Mean
  FPR95↓   printed          50.00               40.00
           ours             51.50     30.50     41.00
           difference       +1.50               +1.00
  AUROC↑   printed          80.00     90.50     85.25
           ours             80.30     90.50     85.40
           difference      +0.30!      0.00     +0.15

Other (A net)
  for comparison only: not stated
  printed figures from: memo
                             near       far      Mean
  FPR95↓   printed                    12.00

Not run
  GAIA (gaia-z; on far gaia-z:hooks=textures; A net): no weights
  KL (klm; A net): fits on test

Missing
  weights other

Notes on this table
  Places is a guess.

Sources of the printed figures
  paper: table 1 (read at the source)
  memo: a memo (low trust: written down from memory)

4 figures within tolerance, 1 out of it (!); not the whole table was compared.
)");
}

TEST_F(Compared, FitsOnTestAreLabelledInvalid) {
    runs_[2] = ran({{"near", figures(.1, .9)}, {"far", figures(.1, .9)}});
    const Reproduction r = reproduce();
    EXPECT_THAT(reproduction_text(r, true),
                HasSubstr("INVALID, learns from the images it scores: from test"));
    EXPECT_THAT(reproduction_markdown(r), HasSubstr("INVALID, learns from the images it scores: from test"));
    const auto json = test::parse_json(reproduction_json(r));
    EXPECT_EQ(json["rows"][2]["valid"], false);
    EXPECT_EQ(json["rows"][0]["valid"], true);
}

TEST_F(Compared, JsonHasWhatTheTextHas) {
    const auto json = test::parse_json(reproduction_json(reproduce()));
    EXPECT_EQ(json["schema"], "gradscore/reproduction/1");
    EXPECT_EQ(json["within"], 4);
    EXPECT_EQ(json["out"], 1);
    EXPECT_EQ(json["complete"], false);
    const auto figure = json["rows"][0]["figures"]["far"]["auroc"];
    EXPECT_EQ(figure["printed"], 90.5);
    EXPECT_EQ(figure["tolerance"], 0.5);
    EXPECT_EQ(figure["source"], "memo");
    EXPECT_EQ(figure["trust"], "memory");
    EXPECT_EQ(figure["verdict"], "within");
    EXPECT_EQ(json["rows"][1]["not_run"], "no weights");
    EXPECT_EQ(json["rows"][3]["reference"], "not stated");
}

TEST_F(Compared, TextOfATableIsShownHarmless) {
    PaperTable hostile = table_;
    hostile.title = "a\x1b[2J|b`c";
    hostile.rows[0].label = "x\ny";
    hostile.columns[0].label = "col\x1b]0;";
    const Reproduction r = compare(hostile, runs_, std::nullopt);
    EXPECT_THAT(reproduction_text(r, true), Not(HasSubstr("\x1b")));
    EXPECT_THAT(reproduction_text(r, true), HasSubstr("x\\x0ay"));
    EXPECT_THAT(reproduction_markdown(r), HasSubstr("\\|b\\`c"));
}

}  // namespace
}  // namespace gs
