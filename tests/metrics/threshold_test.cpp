#include "metrics/threshold.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "metrics/metrics.h"

namespace gs {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

double share_from(const std::vector<double>& scores, double threshold) {
    int64_t all = 0, from = 0;
    for (double s : scores) {
        all += !std::isnan(s);
        from += s >= threshold;
    }
    return double(from) / double(all);
}

// The definition, word by word: candidates are the scores themselves, as the share only falls at one of them.
double by_definition(const std::vector<double>& scores, double tpr) {
    double best = -kInf;
    for (double t : scores)
        if (!std::isnan(t) && share_from(scores, t) >= tpr) best = std::max(best, t);
    return best;
}

TEST(Threshold, SmallCases) {
    const std::vector<double> scores{3, 1, 4, 2};
    EXPECT_EQ(threshold_at_tpr(scores, 1), 1);
    EXPECT_EQ(threshold_at_tpr(scores, 0.75), 2);
    EXPECT_EQ(threshold_at_tpr(scores, 0.76), 1);
    EXPECT_EQ(threshold_at_tpr(scores, 0.5), 3);
    EXPECT_EQ(threshold_at_tpr(scores, 0.25), 4);
    EXPECT_EQ(threshold_at_tpr(scores, 1e-300), 4) << "at least one image";
    EXPECT_EQ(threshold_at_tpr(std::vector{7.0}, 0.95), 7);
}

TEST(Threshold, EqualScoresAreAcceptedTogether) {
    const std::vector<double> scores{5, 2, 2, 2, 1};
    EXPECT_EQ(threshold_at_tpr(scores, 0.4), 2);
    EXPECT_EQ(count_accepted(scores, 2), (Acceptance{5, 4, 0}));
    EXPECT_EQ(threshold_at_tpr(std::vector<double>(9, 3), 0.01), 3);
}

TEST(Threshold, NaNIsLeftOutAndInfinitiesAreRanked) {
    const std::vector<double> scores{kNaN, -kInf, 1, kNaN, 2, kInf};
    EXPECT_EQ(threshold_at_tpr(scores, 0.5), 2) << "two of four";
    EXPECT_EQ(threshold_at_tpr(scores, 1), -kInf);
    EXPECT_EQ(threshold_at_tpr(scores, 0.25), kInf);
    EXPECT_EQ(count_accepted(scores, 2), (Acceptance{4, 2, 2}));
    EXPECT_EQ(count_accepted(scores, -kInf), (Acceptance{4, 4, 2}));
    EXPECT_TRUE(std::isnan(threshold_at_tpr(std::vector{kNaN}, 0.95)));
    EXPECT_TRUE(std::isnan(threshold_at_tpr({}, 0.95)));
    EXPECT_TRUE(std::isnan(Acceptance{}.rate()));
}

// Rates that are multiples of 1 / n, where the product of rate and n may be rounded to either side.
TEST(Threshold, IsTheDefinitionForEveryCountAndRate) {
    std::mt19937_64 random(7);
    for (int n = 1; n <= 60; ++n) {
        std::vector<double> scores(static_cast<size_t>(n));
        for (double& s : scores) s = double(random() % 40) / 8;  // with ties
        if (n % 3 == 0) scores[0] = kNaN;
        for (int k = 1; k <= n; ++k)
            for (const double rate : {double(k) / n, std::nextafter(double(k) / n, 0.0), 0.95, 0.05})
                EXPECT_EQ(threshold_at_tpr(scores, rate), by_definition(scores, rate)) << n << " " << rate;
    }
}

TEST(Threshold, FalsePositiveRateAt95IsFpr95First) {
    std::mt19937_64 random(11);
    std::normal_distribution<double> normal;
    for (int n : {1, 19, 20, 21, 333}) {
        std::vector<double> id(static_cast<size_t>(n)), ood(100);
        for (double& s : id) s = std::round(8 * (normal(random) + 1)) / 8;
        for (double& s : ood) s = std::round(8 * normal(random)) / 8;
        const double t = threshold_at_tpr(id, 0.95);
        EXPECT_EQ(count_accepted(ood, t).rate(), detection_metrics(id, ood).fpr95_first) << n;
    }
}

}  // namespace
}  // namespace gs
