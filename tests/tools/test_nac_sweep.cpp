// The sweep over NAC's constants against scores of each combination by itself.
#include <gtest/gtest.h>

#include <numeric>

#include "metrics/metrics.h"
#include "scores/nac_coverage.h"
#include "tests/support/random.h"
#include "tools/nac_sweep.h"

namespace gs::test {
namespace {

Matrix random_products(int64_t images, int64_t neurons, double spread, uint64_t seed) {
    SplitMix64 random(seed);
    Matrix products{images, neurons, {}};
    for (int64_t i = 0; i < images * neurons; ++i)
        products.values.push_back(static_cast<float>(spread * (2 * random.uniform() - 1)));
    return products;
}

std::vector<double> layer_scores(const NacLayer& layer, const Matrix& build, const Matrix& set) {
    const NacThresholds thresholds(NacVariant::V15, layer.m);
    NacHistogram histogram(thresholds, layer.alpha, build.cols);
    histogram.add(build.values);
    const NacCoverage coverage(thresholds, layer, histogram.counts());
    std::vector<double> scores;
    for (int64_t n = 0; n < set.rows; ++n) scores.push_back(coverage.score(set.row(n)));
    return scores;
}

TEST(NacSweep, FindsTheLargestMeanAurocOfAllCombinations) {
    const std::vector<Matrix> build{random_products(60, 9, 1, 1), random_products(60, 4, 1, 2)};
    // ID as the build set, OOD wider and narrower.
    std::vector<std::vector<Matrix>> sets(2);
    for (size_t l = 0; l < 2; ++l)
        for (const double spread : {1.0, 2.0, 0.3})
            sets[l].push_back(
                random_products(25, build[l].cols, spread, 10 * l + static_cast<uint64_t>(10 * spread)));
    const std::vector<NacGrid> grids{{{1, 8}, {10, 30}, {0.5, 5}}, {{3}, {20}, {0.1, 1, 10}}};
    const std::vector<NacLayerSweep> sweeps{sweep_layer(NacVariant::V15, "a", grids[0], build[0], sets[0]),
                                            sweep_layer(NacVariant::V15, "b", grids[1], build[1], sets[1])};
    ASSERT_EQ(combinations(sweeps), 8 * 3);

    NacBest want;
    for (const NacLayer& a : sweeps[0].candidates)
        for (const NacLayer& b : sweeps[1].candidates) {
            const auto scores = [&](size_t set) {
                std::vector<double> sum = layer_scores(a, build[0], sets[0][set]);
                const std::vector<double> other = layer_scores(b, build[1], sets[1][set]);
                for (size_t n = 0; n < sum.size(); ++n) sum[n] = (sum[n] + other[n]) / 2;
                return sum;
            };
            const double first = detection_metrics(scores(0), scores(1)).auroc;
            const double second = detection_metrics(scores(0), scores(2)).auroc;
            if ((first + second) / 2 > want.auroc) want = {{a, b}, (first + second) / 2, {first, second}};
        }
    std::vector<int64_t> counted;
    const NacBest got = best_combination(sweeps, [&](int64_t tried) { counted.push_back(tried); });
    EXPECT_EQ(got.layers, want.layers);
    EXPECT_NEAR(got.auroc, want.auroc, 1e-12);
    ASSERT_EQ(got.auroc_by_set.size(), 2u);
    EXPECT_NEAR(got.auroc_by_set[1], want.auroc_by_set[1], 1e-12);
    std::vector<int64_t> all(24);
    std::iota(all.begin(), all.end(), 1);
    EXPECT_EQ(counted, all);
}

TEST(NacSweep, RefusesTooManyCombinations) {
    NacLayerSweep sweep;
    sweep.candidates.resize(1000);
    EXPECT_THROW(combinations({sweep, sweep}), Error);
}

}  // namespace
}  // namespace gs::test
