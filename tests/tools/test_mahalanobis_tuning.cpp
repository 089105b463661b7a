// The attack on labels, and the choice of Mahalanobis' step and weights.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "scores/logistic_regression.h"
#include "tests/support/random.h"
#include "tools/mahalanobis_tuning.h"

namespace gs::test {
namespace {

using testing::ElementsAre;

// Against the engine's own cross entropy of a class, one label at a time.
TEST(LabelAttack, StepsUpTheCrossEntropyOfTheLabelAndClamps) {
    const auto backend = make_cpu_backend({.threads = 1});
    const Net net = build_random_net(*backend, "resnet8-cifar", 4, 1);
    Batch batch;
    batch.count = 5;
    batch.height = batch.width = 8;
    batch.pixels = random_values(5 * 8 * 8 * 3, Fill::Normal, 2);
    const std::vector<int64_t> labels = {3, 0, 1, 3, 2};
    const std::array<float, 3> low{-1, 0, -0.5f}, high{1, 1, 0.5f};
    // Two images a run of the plan: labels follow their images through the parts of a batch.
    const std::vector<float> moved =
        LabelAttack(*backend, net, {.micro_batch = 2}, low, high).attacked(batch, labels);
    ASSERT_EQ(moved.size(), batch.pixels.size());
    size_t inside = 0;
    for (size_t n = 0; n < labels.size(); ++n) {
        const Cotangent loss{.kind = Cotangent::Kind::ClassCrossEntropy, .target = labels[n]};
        Executor executor(*backend, net, {.backwards = {{.cotangent = loss, .input_gradient = true}}});
        const Evidence evidence = executor.run(batch.pixels, 5, 8, 8);
        const auto gradient = evidence.input_gradients.at(loss).row(static_cast<int64_t>(n));
        float largest = 0;
        for (const float g : gradient) largest = std::max(largest, std::abs(g));
        for (size_t i = 0; i < gradient.size(); ++i) {
            if (std::abs(gradient[i]) < 1e-4f * largest) continue;  // the sign is rounding's
            const float x = batch.pixels[n * 192 + i], step = gradient[i] > 0 ? 0.05f : -0.05f;
            const float want = std::min(std::max(x + step, low[i % 3]), high[i % 3]);
            ASSERT_EQ(moved[n * 192 + i], want) << "image " << n << ", value " << i;
            inside += want == x + step ? 1 : 0;
        }
    }
    EXPECT_GT(inside, 200u);
    EXPECT_LT(inside, 900u) << "some are clamped";
}

// Scores of 40 images at two layers; `apart` of their spread between clean and attacked at the first.
LayerScores scores(double shift, std::vector<double> aparts, bool attacked) {
    LayerScores made;
    for (const double apart : aparts) {
        made.by_eta.emplace_back();
        SplitMix64 random(attacked ? 5 : 6);
        for (int n = 0; n < 40; ++n) {
            made.by_eta.back().push_back(-1000 + 100 * random.normal() - (attacked ? 100 * apart : 0));
            made.by_eta.back().push_back(shift + 10 * random.normal());
        }
    }
    return made;
}

TEST(TuneMahalanobis, TheSmallestFprWinsAndOfEqualsTheFirst) {
    const std::vector<double> etas = {0, 0.01, 0.005, 0.002}, aparts = {0.5, 20, 30, 1};
    const LayerScores clean = scores(-300, aparts, false), attacked = scores(-300, aparts, true);
    const TuningResult got = tune_mahalanobis(clean, attacked, 2, etas);
    EXPECT_EQ(got.tuning.eta, 0.01) << "0.005 is as good, and later";
    EXPECT_EQ(got.fpr95, 0);
    ASSERT_EQ(got.fpr95_by_eta.size(), 4u);
    EXPECT_THAT(std::vector(got.fpr95_by_eta.begin() + 1, got.fpr95_by_eta.begin() + 3), ElementsAre(0, 0));
    EXPECT_GT(got.fpr95_by_eta[0], got.fpr95_by_eta[3]);
    EXPECT_LT(got.tuning.weight[0], 0) << "a low score speaks for an attack";

    // The regression is of the first half alone: clean images first.
    LabelledRows rows{.columns = 2, .values = {}, .labels = {}};
    for (const auto* side : {&clean, &attacked}) {
        rows.values.insert(rows.values.end(), side->by_eta[1].begin(), side->by_eta[1].begin() + 40);
        rows.labels.insert(rows.labels.end(), 20, side == &attacked ? 1 : 0);
    }
    const CrossValidated fit = fit_logistic_cv(rows);
    EXPECT_EQ(got.tuning.weight, fit.model.weight);
    EXPECT_EQ(got.tuning.bias, fit.model.bias);
    EXPECT_EQ(got.c, fit.c);
}

TEST(TuneMahalanobis, FprIsCountedOnTheSecondHalf) {
    const std::vector<double> eta = {0};
    const LayerScores clean = scores(0, {0.5}, false), attacked = scores(0, {0.5}, true);
    const TuningResult got = tune_mahalanobis(clean, attacked, 2, eta);
    const LogisticModel model{got.tuning.weight, got.tuning.bias};
    const auto decisions = [&](const LayerScores& side) {
        std::vector<double> t;
        for (size_t n = 20; n < 40; ++n)
            t.push_back(decision(model, std::span(side.by_eta[0]).subspan(2 * n, 2)));
        std::sort(t.begin(), t.end());
        return t;
    };
    // 19 of 20 clean images are recall 0.95 exactly: the threshold is the 19th smallest decision.
    const std::vector<double> id = decisions(clean), ood = decisions(attacked);
    double passed = 0;
    for (const double t : ood) passed += t <= id[18] ? 1 : 0;
    EXPECT_EQ(got.fpr95, passed / 20);
    EXPECT_GT(passed, 0);
}

TEST(TuneMahalanobis, RefusesWhatItCannotUse) {
    const std::vector<double> eta = {0};
    LayerScores few = scores(0, {1}, false), other = scores(0, {1}, true);
    few.by_eta[0].resize(18);
    other.by_eta[0].resize(18);
    EXPECT_THROW(tune_mahalanobis(few, other, 2, eta), Error);
    EXPECT_THROW(tune_mahalanobis({}, {}, 2, eta), Error);
    few = scores(0, {1}, false);
    few.by_eta[0][3] = NAN;
    EXPECT_THROW(tune_mahalanobis(few, scores(0, {1}, true), 2, eta), Error);
}

}  // namespace
}  // namespace gs::test
