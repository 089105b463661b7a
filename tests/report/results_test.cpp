#include "report/results.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "core/error.h"
#include "tests/report/sample.h"
#include "tests/support/failure.h"

namespace gs {
namespace {

using test::sample_methods;
using test::sample_run;
using test::scored_set;
using test::steps;
using testing::HasSubstr;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

std::vector<std::string> kinds(const Results& results) {
    std::vector<std::string> list;
    for (const Warning& w : results.warnings) list.push_back(w.kind + "/" + w.method + "/" + w.set);
    return list;
}

Results one_method(std::vector<double> id, std::vector<double> ood, RunInfo run = sample_run()) {
    const std::vector<ScoredSet> sets{scored_set("ood", SetRole::Ood, {std::move(ood)}),
                                      scored_set("id", SetRole::Id, {std::move(id)})};
    return summarise(std::move(run), {{"msp", {}}}, sets);
}

TEST(Summarise, MetricsByMethodAndSetWithAverages) {
    const Results r = test::sample_results();
    ASSERT_EQ(r.metrics.size(), 4u);
    ASSERT_EQ(r.averages.size(), 2u);
    const auto sets = test::sample_sets();
    for (size_t m = 0; m < 2; ++m)
        for (size_t s = 1; s < 3; ++s) {
            const MethodMetrics* found = r.find(r.methods[m].name, sets[s].info.name);
            ASSERT_NE(found, nullptr);
            const DetectionMetrics want = detection_metrics(sets[0].scores[m], sets[s].scores[m]);
            for (const MetricField& f : metric_fields())
                EXPECT_EQ(found->metrics.*f.value, want.*f.value) << f.name;
            EXPECT_EQ(found->metrics.ood_count, 20);
        }
    const MethodMetrics* average = r.find_average("msp");
    ASSERT_NE(average, nullptr);
    for (const MetricField& f : metric_fields())
        EXPECT_DOUBLE_EQ(
            average->metrics.*f.value,
            (r.find("msp", "dtd")->metrics.*f.value + r.find("msp", "sun")->metrics.*f.value) / 2)
            << f.name;
    EXPECT_EQ(average->metrics.ood_count, 40);
    EXPECT_EQ(r.find("msp", "imagenet"), nullptr);
    EXPECT_EQ(r.find_average("gradnorm"), nullptr);
    EXPECT_TRUE(r.warnings.empty()) << r.warnings[0].message;
}

TEST(Summarise, EveryFigureOfTheMetricsHasItsName) {
    // 13 doubles and 4 counts: a figure added to DetectionMetrics must be added to metric_fields() as well.
    EXPECT_EQ(sizeof(DetectionMetrics), metric_fields().size() * sizeof(double) + 4 * sizeof(int64_t));
    std::set<std::string_view> names;
    for (const MetricField& f : metric_fields()) EXPECT_TRUE(names.insert(f.name).second) << f.name;
}

TEST(Summarise, IdSetComesFirstWhateverTheOrder) {
    const Results r = one_method(steps(0, 1, 30), steps(-5, 1, 30));
    EXPECT_EQ(r.sets[0].name, "id");
    EXPECT_EQ(r.id_set().name, "id");
    EXPECT_EQ(r.sets[1].name, "ood");
}

TEST(Summarise, WithoutOodSetsThereAreNoMetrics) {
    const std::vector<ScoredSet> sets{scored_set("id", SetRole::Id, {steps(0, 1, 30)})};
    const Results r = summarise(sample_run(), {{"msp", {}}}, sets);
    EXPECT_TRUE(r.metrics.empty());
    EXPECT_TRUE(r.averages.empty());
    EXPECT_TRUE(r.comparable());
}

TEST(Summarise, ALimitMakesResultsIncomparable) {
    RunInfo run = sample_run();
    run.limit = 30;
    EXPECT_FALSE(one_method(steps(0, 1, 30), steps(-5, 1, 30), run).comparable());
}

std::string usage_error(const std::vector<MethodInfo>& methods, const std::vector<ScoredSet>& sets) {
    return test::failure_of(ErrorKind::Usage, [&] { summarise(sample_run(), methods, sets); });
}

TEST(Summarise, NamesMustBeUniqueAndTheIdSetAlone) {
    const auto id = scored_set("a", SetRole::Id, {{1.0}, {2.0}});
    const auto ood = scored_set("a", SetRole::Ood, {{1.0}, {2.0}});
    EXPECT_THAT(usage_error({{"msp", {}}, {"msp", {}}}, {id}), HasSubstr("'msp' is named twice"));
    EXPECT_THAT(usage_error(sample_methods(), {id, ood}), HasSubstr("two sets are named 'a'"));
    EXPECT_THAT(usage_error(sample_methods(), {ood}), HasSubstr("one in-distribution set is needed, not 0"));
}

TEST(Warnings, AccuracyNearChance) {
    const auto warned = [](double accuracy, int64_t classes, int labelled) {
        RunInfo run = sample_run();
        run.classes = classes;
        std::vector<ScoredSet> sets{scored_set("id", SetRole::Id, {steps(0, 1, 5000)})};
        sets[0].info.labelled_images = labelled;
        sets[0].info.accuracy = accuracy;
        const Results r = summarise(run, {{"msp", {}}}, sets);
        return std::any_of(r.warnings.begin(), r.warnings.end(),
                           [](const Warning& w) { return w.kind == "accuracy-near-chance"; });
    };
    EXPECT_TRUE(warned(0.001, 1000, 5000));
    EXPECT_TRUE(warned(0.0, 1000, 5000));
    EXPECT_TRUE(warned(0.11, 10, 10000));
    EXPECT_TRUE(warned(0.5, 2, 1000));
    EXPECT_FALSE(warned(0.5, 10, 100));
    EXPECT_FALSE(warned(0.8231, 1000, 260));
    EXPECT_FALSE(warned(0.6, 2, 1000));
    EXPECT_TRUE(warned(0.6, 2, 40));  // two standard errors of 40 labelled images are 16 points
}

TEST(Warnings, PerfectSeparation) {
    const Results r = one_method(steps(100, 1, 30), steps(0, 1, 30));
    EXPECT_THAT(kinds(r), testing::ElementsAre("auroc-one/msp/ood"));
    EXPECT_THAT(r.warnings[0].message, HasSubstr("msp on ood: AUROC is exactly 100 %"));
}

TEST(Warnings, TheSameSetTwice) {
    EXPECT_THAT(kinds(one_method(steps(0, 1, 30), steps(0, 1, 30))),
                testing::ElementsAre("auroc-half/msp/ood"));
}

TEST(Warnings, ConstantScores) {
    const Results r = one_method(std::vector<double>(30, 1.0), steps(0, 1, 30));
    ASSERT_THAT(kinds(r), testing::ElementsAre("constant-scores/msp/id"));
    EXPECT_THAT(r.warnings[0].message, HasSubstr("msp gives all 30 images of id the score 1"));
}

TEST(Warnings, ZeroFpr) {
    std::vector<double> id = steps(100, 1, 100);
    id[0] = -1;  // recall 0.99 at the OOD samples' level: AUROC below 1, FPR95 still 0
    EXPECT_THAT(kinds(one_method(id, steps(0, 1, 30))), testing::ElementsAre("fpr-zero/msp/ood"));
}

TEST(Warnings, NanScoresAreCounted) {
    std::vector<double> id = steps(0, 1, 30), ood = steps(-9, 1, 30);
    id[3] = ood[4] = ood[5] = kNaN;
    const Results r = one_method(id, ood);
    EXPECT_THAT(kinds(r), testing::UnorderedElementsAre("nan-scores/msp/id", "nan-scores/msp/ood"));
    EXPECT_EQ(r.metrics[0].metrics.id_excluded, 1);
    EXPECT_EQ(r.metrics[0].metrics.ood_excluded, 2);
}

TEST(Warnings, WorseThanChance) {
    // Beyond three standard errors: 30 against 30 have one of 7.5 points.
    const Results r = one_method(steps(0, 1, 30), steps(12, 1, 30));
    ASSERT_THAT(kinds(r), testing::ElementsAre("auroc-below-half/msp/ood"));
    EXPECT_THAT(r.warnings[0].message, HasSubstr("the wrong way round"));
    EXPECT_THAT(kinds(one_method(steps(0, 1, 30), steps(3, 1, 30))), testing::IsEmpty());
}

// Sets of 40 and 20 images whose facts are set by `change`; the scores overlap and say nothing themselves.
Results with_facts(const std::function<void(SetInfo& id, SetInfo& ood)>& change) {
    std::vector<ScoredSet> sets{scored_set("id", SetRole::Id, {steps(0, 1, 40)}),
                                scored_set("ood", SetRole::Ood, {steps(-5, 1, 20)})};
    change(sets[0].info, sets[1].info);
    return summarise(sample_run(), {{"msp", {}}}, sets);
}

TEST(Warnings, ManyExcluded) {
    const auto with = [](int64_t excluded) {
        return with_facts([&](SetInfo&, SetInfo& ood) {
            ood.total += excluded;
            ood.excluded = excluded;
            ood.failures = {{"a.jpg", "no JPEG"}};
        });
    };
    ASSERT_THAT(kinds(with(3)), testing::ElementsAre("many-excluded//ood"));
    EXPECT_THAT(with(3).warnings[0].message, HasSubstr("3 of 23 images of ood could not be used"));
    EXPECT_THAT(with(3).warnings[0].message, HasSubstr("no JPEG"));
    EXPECT_THAT(kinds(with(2)), testing::IsEmpty());
}

TEST(Warnings, ImagesOfTheIdSetAmongTheOod) {
    const auto shared = [](std::optional<int64_t> count) {
        return with_facts([&](SetInfo& id, SetInfo& ood) {
            ood.shared_with_id = count;
            id.description = ood.description = "folder:/data";
            id.digest = "one";
            ood.digest = "two";
        });
    };
    ASSERT_THAT(kinds(shared(7)), testing::ElementsAre("same-images//ood"));
    EXPECT_THAT(shared(7).warnings[0].message,
                HasSubstr("7 of the 20 images of ood are images of the ID set id"));
    EXPECT_THAT(kinds(shared(0)), testing::IsEmpty()) << "their bytes are known to differ";
    ASSERT_THAT(kinds(shared({})), testing::ElementsAre("same-images//ood"));
    EXPECT_THAT(shared({}).warnings[0].message, HasSubstr("read from the same place, folder:/data"));
    const Results same = with_facts([](SetInfo& id, SetInfo& ood) { id.digest = ood.digest = "one"; });
    ASSERT_THAT(kinds(same), testing::ElementsAre("same-images//ood"));
    EXPECT_THAT(same.warnings[0].message, HasSubstr("the same set given twice"));
}

TEST(Warnings, ImagesOfOtherSizes) {
    const auto sizes = [](int64_t width, int64_t height) {
        return with_facts([&](SetInfo& id, SetInfo& ood) {
            id.image_sizes = ImageSizes{16, {32, 32}, {32, 32}, {32, 32}};
            ood.image_sizes = ImageSizes{16, {8, 8}, {width, height}, {900, 900}};
        });
    };
    ASSERT_THAT(kinds(sizes(256, 64)), testing::ElementsAre("image-sizes//ood"));
    EXPECT_THAT(sizes(256, 64).warnings[0].message, HasSubstr("about 256x64"));
    EXPECT_THAT(kinds(sizes(8, 8)), testing::ElementsAre("image-sizes//ood"));
    EXPECT_THAT(kinds(sizes(127, 127)), testing::IsEmpty());
    EXPECT_THAT(kinds(with_facts([](SetInfo&, SetInfo& ood) {
                    ood.image_sizes = ImageSizes{1, {1, 1}, {1, 1}, {1, 1}};
                })),
                testing::IsEmpty());
}

TEST(Warnings, NoUsableScoreAndFewImages) {
    const Results r = one_method(steps(0, 1, 30), {kNaN});
    EXPECT_THAT(kinds(r),
                testing::UnorderedElementsAre("few-images//ood", "nan-scores/msp/ood", "no-scores/msp/ood"));
    EXPECT_TRUE(std::isnan(r.metrics[0].metrics.auroc));
    EXPECT_TRUE(std::isnan(r.averages[0].metrics.auroc));
}

}  // namespace
}  // namespace gs
