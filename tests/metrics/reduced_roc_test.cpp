#include "metrics/reduced_roc.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace gs {
namespace {

std::vector<double> normal_scores(size_t count, double mean, unsigned seed) {
    std::mt19937_64 generator(seed);
    std::normal_distribution<double> normal(mean, 1);
    std::vector<double> scores(count);
    for (double& s : scores) s = normal(generator);
    std::sort(scores.begin(), scores.end());
    return scores;
}

struct Place {
    double x, y;
};

// The larger of the two differences, to the nearest point of the segment: a plain search.
double distance(const Place& p, const Place& a, const Place& b) {
    double least = 1e9;
    for (int k = 0; k <= 400; ++k) {
        const double t = k / 400.0;
        least = std::min(
            least, std::max(std::abs(a.x + t * (b.x - a.x) - p.x), std::abs(a.y + t * (b.y - a.y) - p.y)));
    }
    return least;
}

// The farthest that a point of the whole curve is from the polygon, point by point and span by span.
double farthest(const std::vector<Place>& whole, const std::vector<Place>& polygon) {
    double worst = 0;
    for (const Place& p : whole) {
        double least = 1e9;
        for (size_t k = 0; k + 1 < polygon.size(); ++k)
            least = std::min(least, distance(p, polygon[k], polygon[k + 1]));
        worst = std::max(worst, least);
    }
    return worst;
}

std::vector<Place> roc_places(const RocCurve& curve, const std::vector<RocPoint>& points) {
    std::vector<Place> places{{0, 0}};
    for (const RocPoint& p : points) places.push_back({curve.fpr(p), curve.recall(p)});
    return places;
}

std::vector<Place> precision_places(const RocCurve& curve, const std::vector<RocPoint>& points) {
    std::vector<Place> places;
    for (const RocPoint& p : points) places.push_back({curve.recall(p), precision(p)});
    if (places.size() == 1) places.push_back(places.front());
    return places;
}

TEST(ReducedRoc, SaysNoLessThanTheTrueError) {
    const RocCurve curve = roc_curve(normal_scores(300, 1, 1), normal_scores(200, 0, 2));
    for (const size_t most : {8, 20, 60, 500}) {
        const ReducedRoc reduced = reduce_roc(curve, most);
        EXPECT_LE(reduced.points.size(), most);
        const double roc = farthest(roc_places(curve, curve.points), roc_places(curve, reduced.points));
        const double other =
            farthest(precision_places(curve, curve.points), precision_places(curve, reduced.points));
        EXPECT_LE(roc, reduced.roc_error + 0.003) << most;  // the search is on a grid
        EXPECT_LE(other, reduced.precision_error + 0.003) << most;
        EXPECT_GE(roc, reduced.roc_error / 2 - 0.003) << most << ": the error is overstated";
    }
}

// What the report promises: 500 points keep within a tenth of a percentage point, whatever the number of
// images.
TEST(ReducedRoc, FiveHundredPointsAreEnough) {
    for (const size_t id : {20, 300, 1000, 3000, 10000, 100000})
        for (const size_t ood : {50, 1000, 20000}) {
            const RocCurve curve = roc_curve(normal_scores(id, 0.5, 3), normal_scores(ood, 0, 4));
            const ReducedRoc reduced = reduce_roc(curve, 500);
            EXPECT_LE(reduced.points.size(), 500u);
            EXPECT_LE(reduced.roc_error, 1e-3) << id << " ID and " << ood << " OOD scores";
            EXPECT_LE(reduced.precision_error, 1e-2) << id << " ID and " << ood << " OOD scores";
        }
}

TEST(ReducedRoc, KeepsPointsOfTheCurve) {
    const RocCurve curve = roc_curve(normal_scores(5000, 1, 5), normal_scores(4000, 0, 6));
    const ReducedRoc reduced = reduce_roc(curve, 100);
    size_t at = 0;
    bool has_95 = false;
    for (const RocPoint& p : reduced.points) {
        while (at < curve.points.size() && curve.points[at].threshold != p.threshold) ++at;
        ASSERT_LT(at, curve.points.size()) << "not of the curve, or out of order";
        EXPECT_EQ(curve.points[at].tp, p.tp);
        EXPECT_EQ(curve.points[at].fp, p.fp);
        has_95 = has_95 || (at > 0 && curve.recall(p) >= 0.95 && curve.recall(curve.points[at - 1]) < 0.95);
    }
    EXPECT_EQ(reduced.points.back().tp, 5000);
    EXPECT_EQ(reduced.points.back().fp, 4000);
    EXPECT_TRUE(has_95) << "the threshold of 95 % is among them";
}

TEST(ReducedRoc, OfLittle) {
    const std::vector<double> one{1}, two{0, 2}, same{1, 1, 1};
    EXPECT_EQ(reduce_roc(roc_curve(one, one), 4).points.size(), 1u);
    EXPECT_EQ(reduce_roc(roc_curve(same, same), 500).roc_error, 0);
    const ReducedRoc perfect = reduce_roc(roc_curve(two, std::vector<double>{-1}), 500);
    EXPECT_EQ(perfect.points.size(), 3u);
    EXPECT_EQ(perfect.roc_error, 0);
}

}  // namespace
}  // namespace gs
