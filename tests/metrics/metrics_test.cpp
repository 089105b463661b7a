// Against the plain reference on random scores that hurt, and the floating-point habits of each convention by
// hand.
#include "metrics/metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "tests/reference/metrics.h"

namespace gs {
namespace {

using Scores = std::vector<double>;
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

void expect_as_reference(const Scores& id, const Scores& ood) {
    const DetectionMetrics m = detection_metrics(id, ood);
    const Scores minus_id = ref::negated(id), minus_ood = ref::negated(ood);
    const ref::CalMetric cal = ref::cal_metric(id, ood);
    EXPECT_EQ(m.id_count, int64_t(id.size()));
    EXPECT_EQ(m.ood_count, int64_t(ood.size()));
    EXPECT_NEAR(m.auroc, ref::auroc(id, ood), 1e-12);
    EXPECT_NEAR(m.auroc, cal.auroc, 1e-12);
    EXPECT_NEAR(m.aupr_in, ref::average_precision(id, ood), 1e-12);
    EXPECT_NEAR(m.aupr_out, ref::average_precision(minus_ood, minus_id), 1e-12);
    EXPECT_NEAR(m.aupr_in_trapezoid, cal.auin, 1e-12);
    EXPECT_NEAR(m.aupr_out_trapezoid, cal.auout, 1e-12);
    EXPECT_NEAR(m.aupr_in_openood, ref::trapezoid_pr(minus_ood, minus_id), 1e-12);
    EXPECT_NEAR(m.aupr_out_openood, ref::trapezoid_pr(id, ood), 1e-12);
    EXPECT_NEAR(m.dterr, cal.dterr, 1e-12);
    EXPECT_EQ(m.fpr95_closest, ref::fpr_at_closest_recall(id, ood));
    EXPECT_EQ(m.fpr95_first, ref::fpr_at_first_recall(id, ood));
    EXPECT_EQ(m.fpr95_threshold, cal.fpr);
    EXPECT_EQ(m.fpr95_ood_positive, ref::fpr_of_thinned_roc(minus_ood, minus_id));
    EXPECT_EQ(m.fpr95_ood_positive_closest, ref::fpr_at_closest_recall(minus_ood, minus_id));
}

Scores draw(std::mt19937_64& random, int count, int kinds) {
    Scores scores(static_cast<size_t>(count));
    std::uniform_int_distribution<int> grid(0, kinds - 1);
    std::normal_distribution<double> normal;
    for (double& s : scores) s = kinds == 0 ? normal(random) : grid(random);
    return scores;
}

TEST(Metrics, Case24_RandomScoresWithAndWithoutTies) {
    std::mt19937_64 random(1);
    for (int kinds : {0, 1, 2, 3, 5, 20, 100})
        for (int n : {1, 2, 3, 7, 10, 19, 20, 21, 30, 50, 70, 100})
            for (int m : {1, 2, 9, 20, 40, 61}) {
                SCOPED_TRACE(testing::Message() << kinds << " kinds, n " << n << ", m " << m);
                Scores id = draw(random, n, kinds), ood = draw(random, m, kinds);
                for (double& s : id) s += kinds == 0 ? 0.7 : kinds / 4;
                expect_as_reference(id, ood);
            }
}

TEST(Metrics, InfinitiesAndSignedZerosAreRanked) {
    std::mt19937_64 random(2);
    const Scores special{-kInf, kInf, 0.0, -0.0, 1.0, std::numeric_limits<double>::denorm_min(), 1e308};
    std::uniform_int_distribution<size_t> pick(0, special.size() - 1);
    for (int round = 0; round < 200; ++round) {
        Scores id(1 + round % 40), ood(1 + round % 23);
        for (double& s : id) s = special[pick(random)];
        for (double& s : ood) s = special[pick(random)];
        expect_as_reference(id, ood);
    }
    const DetectionMetrics zeros = detection_metrics(Scores{0.0}, Scores{-0.0});
    EXPECT_EQ(zeros.auroc, 0.5);
}

TEST(Metrics, OrderOfSamplesDoesNotMatter) {
    std::mt19937_64 random(3);
    Scores id = draw(random, 200, 6), ood = draw(random, 100, 6);
    const DetectionMetrics before = detection_metrics(id, ood);
    std::shuffle(id.begin(), id.end(), random);
    std::shuffle(ood.begin(), ood.end(), random);
    const DetectionMetrics after = detection_metrics(id, ood);
    EXPECT_EQ(before.auroc, after.auroc);
    EXPECT_EQ(before.aupr_in, after.aupr_in);
    EXPECT_EQ(before.aupr_out_trapezoid, after.aupr_out_trapezoid);
    EXPECT_EQ(before.fpr95_ood_positive, after.fpr95_ood_positive);
}

TEST(Metrics, NanScoresAreLeftOutAndCounted) {
    const DetectionMetrics with = detection_metrics(Scores{kNaN, 3, 2, -kNaN, 1}, Scores{0.5, kNaN, 2.5});
    const DetectionMetrics without = detection_metrics(Scores{3, 2, 1}, Scores{0.5, 2.5});
    EXPECT_EQ(with.id_count, 3);
    EXPECT_EQ(with.id_excluded, 2);
    EXPECT_EQ(with.ood_count, 2);
    EXPECT_EQ(with.ood_excluded, 1);
    EXPECT_EQ(with.auroc, without.auroc);
    EXPECT_EQ(with.fpr95_threshold, without.fpr95_threshold);
    EXPECT_EQ(without.auroc, 4.0 / 6);
}

TEST(Metrics, AnEmptySideMakesEveryFigureNan) {
    for (const auto& [id, ood] :
         {std::pair<Scores, Scores>{{}, {1, 2}}, {{1, 2}, {}}, {{}, {}}, {{kNaN}, {1}}}) {
        const DetectionMetrics m = detection_metrics(id, ood);
        for (double v : {m.auroc, m.aupr_in, m.aupr_out, m.aupr_in_trapezoid, m.aupr_out_trapezoid,
                         m.aupr_in_openood, m.aupr_out_openood, m.dterr, m.fpr95_closest, m.fpr95_first,
                         m.fpr95_threshold, m.fpr95_ood_positive, m.fpr95_ood_positive_closest})
            EXPECT_TRUE(std::isnan(v));
    }
    EXPECT_EQ(detection_metrics(Scores{kNaN}, Scores{1}).id_excluded, 1);
}

TEST(Metrics, Case11_ConstantScoresAreChance) {
    const DetectionMetrics m = detection_metrics(Scores(30, 1.0), Scores(10, 1.0));
    EXPECT_EQ(m.auroc, 0.5);
    EXPECT_EQ(m.aupr_in, 0.75);
    EXPECT_EQ(m.aupr_out, 0.25);
    EXPECT_EQ(m.fpr95_closest, 1);
    EXPECT_EQ(m.fpr95_first, 1);
    EXPECT_EQ(m.fpr95_threshold, 0);  // strict: nothing is above the threshold
    EXPECT_EQ(m.fpr95_ood_positive, 1);
    EXPECT_EQ(m.dterr, 0.25);
}

// Recall goes in steps of a tenth, 0.95 lies between 0.9 and 1, and in double 0.95 - 0.9 < 1 - 0.95.
TEST(Metrics, ClosestRecallOfTenSamplesIsNineTenths) {
    ASSERT_LT(0.95 - 0.9, 1 - 0.95);
    Scores id(10);
    std::iota(id.begin(), id.end(), 1.0);  // 1 … 10
    const Scores ood{0.5, 1, 1, 5.5, -1};
    const DetectionMetrics m = detection_metrics(id, ood);
    EXPECT_EQ(m.fpr95_closest, 1.0 / 5);
    EXPECT_EQ(m.fpr95_first, 3.0 / 5);
    EXPECT_EQ(m.fpr95_threshold, 1.0 / 5);  // round(0.5) = 0: strictly above the smallest ID score
}

// Between two ID scores recall stands still while OOD samples pass: the laxest of those thresholds counts.
TEST(Metrics, ClosestRecallTakesTheLaxestOfEqualThresholds) {
    Scores id(20);
    std::iota(id.begin(), id.end(), 1.0);
    const DetectionMetrics m =
        detection_metrics(id, Scores{1.2, 1.4, 1.6, 0});  // recall .95 from 2 down to 1.2
    EXPECT_EQ(m.fpr95_closest, 3.0 / 4);
    EXPECT_EQ(m.fpr95_first, 0);
}

TEST(Metrics, FixedThresholdRoundsHalvesToEven) {
    for (const auto& [n, rank] :
         {std::pair{10, 0}, {30, 2}, {50, 2}, {70, 4}, {90, 4}, {20, 1}, {29, 1}, {31, 2}}) {
        Scores id(static_cast<size_t>(n)), ood(static_cast<size_t>(n));
        std::iota(id.begin(), id.end(), 0.0);
        std::iota(ood.begin(), ood.end(), 0.0);  // the OOD sample equal to the threshold is not above it
        EXPECT_EQ(detection_metrics(id, ood).fpr95_threshold, double(n - 1 - rank) / n) << n;
    }
}

// Twenty groups of one ID and one OOD sample each: the ROC curve is a straight line, scikit-learn keeps only
// its ends, and the first kept point with OOD recall >= .95 flags all of ID instead of 19 in 20.
TEST(Metrics, OpenOodDropsCollinearPoints) {
    Scores line(20);
    std::iota(line.begin(), line.end(), 0.0);
    const DetectionMetrics m = detection_metrics(line, line);
    EXPECT_EQ(m.fpr95_ood_positive, 1);
    EXPECT_EQ(m.fpr95_ood_positive_closest, 0.95);
    EXPECT_EQ(m.fpr95_first, 0.95);
    // Unequal steps in the same direction are kept: only equal neighbours are dropped.
    Scores id = line, ood = line;
    id.insert(id.end(), {18, 18}), ood.insert(ood.end(), {18, 18});
    EXPECT_EQ(detection_metrics(id, ood).fpr95_ood_positive, 21.0 / 22);
}

TEST(Metrics, LargeCountsStayExact) {
    const size_t n = 300'000;
    Scores id(n), ood(n);
    for (size_t i = 0; i < n; ++i) id[i] = double(2 * i + 1), ood[i] = double(2 * i);
    const DetectionMetrics m = detection_metrics(id, ood);
    EXPECT_DOUBLE_EQ(m.auroc, 0.5 + 0.5 / double(n));
    EXPECT_EQ(m.fpr95_first, 284'999.0 / double(n));
}

}  // namespace
}  // namespace gs
