#include "metrics/threshold_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "metrics/metrics.h"
#include "metrics/threshold.h"

namespace gs {
namespace {

using Sets = std::vector<std::vector<double>>;

Sets made_up(size_t id, size_t ood) {
    Sets sets(3);
    for (size_t k = 0; k < id; ++k) sets[0].push_back(std::sin(double(k)) + 0.5);
    for (size_t k = 0; k < ood; ++k) sets[1].push_back(std::cos(3.0 * double(k)));
    for (size_t k = 0; k < ood; ++k) sets[2].push_back(double(k % 5) / 5);
    for (auto& set : sets) std::sort(set.begin(), set.end());
    return sets;
}

TEST(ThresholdTable, CountsAreThoseOfEveryScore) {
    const Sets sets = made_up(4000, 1500);
    const ThresholdTable table = threshold_table(sets, 500);
    ASSERT_GE(table.thresholds.size(), 250u);
    ASSERT_LE(table.thresholds.size(), 510u);
    EXPECT_EQ(table.scores, (std::vector<int64_t>{4000, 1500, 1500}));
    for (size_t s = 0; s < sets.size(); ++s)
        for (size_t k = 0; k < table.thresholds.size(); k += 7)
            EXPECT_EQ(table.accepted[s][k], count_accepted(sets[s], table.thresholds[k]).accepted);
    EXPECT_TRUE(std::is_sorted(table.thresholds.begin(), table.thresholds.end()));
    EXPECT_EQ(table.accepted[0].front(), 4000) << "the loosest accepts every ID image";
}

TEST(ThresholdTable, BeginsWhereTheMetricStands) {
    const Sets sets = made_up(777, 333);
    const ThresholdTable table = threshold_table(sets, 100);
    EXPECT_EQ(table.thresholds[table.at_95], threshold_at_tpr(sets[0], 0.95));
    for (size_t s = 1; s < sets.size(); ++s)
        EXPECT_EQ(double(table.accepted[s][table.at_95]) / double(table.scores[s]),
                  detection_metrics(sets[0], sets[s]).fpr95_first);
}

// The least finite threshold stands in where more than 5 % of the ID set lies at -inf.
TEST(ThresholdTable, TellsWhetherAnyThresholdAccepts95Percent) {
    Sets sets = made_up(100, 50);
    std::fill(sets[0].begin(), sets[0].begin() + 5, -INFINITY);
    EXPECT_TRUE(threshold_table(sets, 100).reaches_95);
    sets[0][5] = -INFINITY;
    const ThresholdTable table = threshold_table(sets, 100);
    EXPECT_FALSE(table.reaches_95);
    EXPECT_EQ(table.at_95, 0u);
    EXPECT_EQ(table.accepted[0][0], 94);
    std::fill(sets[0].begin(), sets[0].end(), INFINITY);
    EXPECT_TRUE(threshold_table(sets, 100).reaches_95) << "all are accepted";
}

// Between the score below and the threshold every number accepts the same images.
TEST(ThresholdTable, KnowsTheScoreBelowEachThreshold) {
    const Sets sets = made_up(300, 200);
    const ThresholdTable table = threshold_table(sets, 50);
    ASSERT_EQ(table.below.size(), table.thresholds.size());
    for (size_t k = 0; k < table.thresholds.size(); ++k) {
        double below = -INFINITY;
        for (const auto& set : sets)
            for (const double score : set)
                if (score < table.thresholds[k]) below = std::max(below, score);
        EXPECT_EQ(table.below[k], below);
    }
}

TEST(ThresholdTable, OfLittle) {
    EXPECT_TRUE(threshold_table(Sets{{}, {1.0}}, 500).thresholds.empty());
    EXPECT_TRUE(threshold_table(Sets{}, 500).thresholds.empty());
    const ThresholdTable alone = threshold_table(Sets{{2.0}}, 500);
    EXPECT_EQ(alone.thresholds, (std::vector<double>{2}));
    const ThresholdTable infinite = threshold_table(Sets{{-INFINITY, 1, INFINITY}, {0}}, 500);
    EXPECT_EQ(infinite.thresholds, (std::vector<double>{0, 1})) << "thresholds are numbers";
    EXPECT_EQ(infinite.at_95, 0u);
    EXPECT_TRUE(threshold_table(Sets{{-INFINITY}, {-INFINITY}}, 500).thresholds.empty());
}

}  // namespace
}  // namespace gs
