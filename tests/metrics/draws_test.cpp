#include "metrics/draws.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

namespace gs {
namespace {

// OOD image k lies above k + 1 of the ID scores: its AUROC alone tells which it is.
const std::vector<double> kId{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
const std::vector<double> kOod{0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5};

int which(const DetectionMetrics& m) {
    return int(std::lround((1 - m.auroc) * 10)) - 1;
}

TEST(Draws, TakeEveryImageEquallyOften) {
    constexpr int kDraws = 8000;
    std::map<int, int> seen;
    for (const DetectionMetrics& m : drawn_metrics(kId, kOod, kDraws, 1, 7)) {
        EXPECT_EQ(m.ood_count, 1);
        EXPECT_EQ(m.id_count, 10);
        ++seen[which(m)];
    }
    ASSERT_EQ(seen.size(), kOod.size());
    // Binomial: 1000 ± 30 each; five standard deviations.
    for (const auto& [image, count] : seen) EXPECT_NEAR(count, kDraws / 8, 150) << image;
}

TEST(Draws, AreWithoutReplacement) {
    // Of 7 from 8 images one is missing: the sum of the AUROCs is that of all but one of them.
    std::map<int, int> missing;
    for (const DetectionMetrics& m : drawn_metrics(kId, kOod, 200, 7, 1)) {
        const double sum = 7 * (1 - m.auroc) * 10;  // of k + 1 over the images drawn; over all: 36
        const double left_out = 36 - sum;
        EXPECT_NEAR(left_out, std::round(left_out), 1e-9);
        ++missing[int(std::lround(left_out))];
    }
    EXPECT_EQ(missing.size(), 8u);
    EXPECT_EQ(missing.begin()->first, 1);
    EXPECT_EQ(missing.rbegin()->first, 8);
}

TEST(Draws, OfNoMoreImagesThanThereAreAreAllImages) {
    const DetectionMetrics all = detection_metrics(kId, kOod);
    for (const int64_t images : {int64_t{8}, int64_t{2000}})
        for (const DetectionMetrics& m : drawn_metrics(kId, kOod, 3, images, 0)) {
            EXPECT_EQ(m.ood_count, 8);
            EXPECT_DOUBLE_EQ(m.auroc, all.auroc);
            EXPECT_DOUBLE_EQ(m.fpr95_closest, all.fpr95_closest);
        }
    EXPECT_EQ(drawn_metrics(kId, {}, 2, 5, 0).size(), 2u) << "no scores: NaN metrics, no crash";
}

TEST(Draws, ComeFromTheSeed) {
    const auto aurocs = [](uint64_t seed) {
        std::vector<double> values;
        for (const auto& m : drawn_metrics(kId, kOod, 10, 3, seed)) values.push_back(m.auroc);
        return values;
    };
    EXPECT_EQ(aurocs(1), aurocs(1));
    EXPECT_NE(aurocs(1), aurocs(2));
}

}  // namespace
}  // namespace gs
