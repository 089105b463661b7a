// Losses against their definitions in double, gradients by finite differences, both against the oracle's.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>

#include "tests/support/expect_close.h"
#include "tests/support/golden_net.h"
#include "tests/support/random.h"
#include "train/loss.h"
#include "train/schedule.h"

namespace gs::test {
namespace {

using train::Loss;
using train::LossBatch;
using train::Recipe;

struct LossCase {
    const char* name;
    Recipe recipe;
    std::vector<int64_t> labels, others;
    double lambda = 1;
    int64_t auxiliary = 0;
};

Recipe recipe_of(Loss loss) {
    Recipe r;
    r.classes = 5;
    r.loss = loss;
    r.margin_in = -1.5;
    r.margin_out = -2.5;
    if (loss == Loss::GroupSoftmax) r.groups = {2, 1, 2};
    return r;
}

std::vector<LossCase> loss_cases() {
    Recipe smooth = recipe_of(Loss::CrossEntropy);
    smooth.label_smoothing = 0.2;
    return {{"cross entropy", recipe_of(Loss::CrossEntropy), {0, 4, 2, 2}, {}},
            {"mixed cross entropy", recipe_of(Loss::CrossEntropy), {0, 4, 2, 2}, {2, 2, 0, 4}, 0.7},
            {"smoothed, mixed", smooth, {0, 4, 2, 2}, {2, 2, 0, 4}, 0.7},
            {"groups", recipe_of(Loss::GroupSoftmax), {0, 4, 2, 3}, {}},
            {"mixed groups", recipe_of(Loss::GroupSoftmax), {0, 4, 2, 3}, {4, 1, 2, 0}, 0.4},
            {"energy", recipe_of(Loss::EnergyMargins), {0, 4, 2}, {}, 1, 4},
            {"binary", recipe_of(Loss::BinaryCrossEntropy), {0, 4, 2, 2}, {}},
            {"mixed binary", recipe_of(Loss::BinaryCrossEntropy), {0, 4, 2, 2}, {2, 2, 0, 4}, 0.7}};
}

train::LossResult run(const LossCase& c, const std::vector<float>& z, std::vector<float>& gradient) {
    LossBatch batch;
    batch.logits = z;
    batch.labels = c.labels;
    batch.other_labels = c.others;
    batch.lambda = c.lambda;
    batch.labelled = static_cast<int64_t>(c.labels.size());
    batch.auxiliary = c.auxiliary;
    gradient.resize(z.size());
    return train::loss_gradient(c.recipe, batch, gradient);
}

std::vector<float> logits_of(const LossCase& c) {
    const auto rows = static_cast<int64_t>(c.labels.size()) + c.auxiliary;
    return random_values(rows * train::logit_count(c.recipe), Fill::Normal, 3);
}

// The formulas of docs/training.md, written down again.
double log_p(const float* z, size_t n, size_t c) {
    double sum = 0;
    for (size_t k = 0; k < n; ++k) sum += std::exp(static_cast<double>(z[k]));
    return static_cast<double>(z[c]) - std::log(sum);
}
double energy(const float* z, size_t n) {
    double sum = 0;
    for (size_t k = 0; k < n; ++k) sum += std::exp(static_cast<double>(z[k]));
    return -std::log(sum);
}
double of_label(const LossCase& c, const float* z, int64_t label) {
    const auto y = static_cast<size_t>(label);
    double loss = 0;
    switch (c.recipe.loss) {
        case Loss::CrossEntropy:
        case Loss::EnergyMargins:
            for (size_t k = 0; k < 5; ++k)
                loss -= ((k == y ? 1 - c.recipe.label_smoothing : 0) + c.recipe.label_smoothing / 5) *
                        log_p(z, 5, k);
            return loss;
        case Loss::BinaryCrossEntropy:
            for (size_t k = 0; k < 5; ++k)
                loss += (std::log1p(std::exp(static_cast<double>(z[k]))) -
                         (k == y ? static_cast<double>(z[k]) : 0)) /
                        5;
            return loss;
        case Loss::GroupSoftmax:
            break;
    }
    const size_t group = y < 2   ? 0
                         : y < 3 ? 1
                                 : 2,
                 starts[] = {0, 3, 5}, first[] = {0, 2, 3}, width[] = {3, 2, 3};
    for (size_t g = 0; g < 3; ++g) loss -= log_p(z + starts[g], width[g], g == group ? y - first[g] + 1 : 0);
    return loss;
}
double wanted_loss(const LossCase& c, const std::vector<float>& z) {
    const auto width = static_cast<size_t>(train::logit_count(c.recipe));
    const double n = static_cast<double>(c.labels.size());
    double loss = 0;
    for (size_t i = 0; i < c.labels.size(); ++i) {
        const float* row = z.data() + i * width;
        loss += c.lambda * of_label(c, row, c.labels[i]) / n;
        if (!c.others.empty()) loss += (1 - c.lambda) * of_label(c, row, c.others[i]) / n;
        if (c.recipe.loss == Loss::EnergyMargins)
            loss += 0.1 * std::pow(std::max(energy(row, width) + 1.5, 0.0), 2) / n;
    }
    for (size_t i = c.labels.size(); i * width < z.size(); ++i)
        loss += 0.1 * std::pow(std::max(-2.5 - energy(z.data() + i * width, width), 0.0), 2) /
                static_cast<double>(c.auxiliary);
    return loss;
}

TEST(TrainingLoss, IsItsDefinition) {
    for (const LossCase& c : loss_cases()) {
        const std::vector<float> z = logits_of(c);
        std::vector<float> gradient;
        EXPECT_NEAR(run(c, z, gradient).loss, wanted_loss(c, z), 1e-12) << c.name;
    }
}

TEST(TrainingLoss, GradientsAreThoseOfTheLoss) {
    for (const LossCase& c : loss_cases()) {
        SCOPED_TRACE(c.name);
        std::vector<float> z = logits_of(c), gradient, unused;
        run(c, z, gradient);
        std::vector<double> want;
        for (float& value : z) {
            const float at = value;
            const float above = at + 1e-3f, below = at - 1e-3f;
            value = above;
            const double up = run(c, z, unused).loss;
            value = below;
            want.push_back((up - run(c, z, unused).loss) /
                           (static_cast<double>(above) - static_cast<double>(below)));
            value = at;
        }
        expect_close("gradient", gradient, want, 2e-6);  // the next term of the series, near h^2
    }
}

// Parts add up to the batch.
TEST(TrainingLoss, PartsAddUp) {
    for (const LossCase& c : loss_cases()) {
        SCOPED_TRACE(c.name);
        const std::vector<float> z = logits_of(c);
        const auto width = static_cast<size_t>(train::logit_count(c.recipe));
        std::vector<float> whole, parts(z.size());
        const train::LossResult all = run(c, z, whole);
        train::LossResult sum;
        for (size_t i = 0; i * width < z.size(); ++i) {
            LossBatch batch;
            batch.logits = std::span(z).subspan(i * width, width);
            const bool labelled = i < c.labels.size();
            if (labelled) batch.labels = std::span(c.labels).subspan(i, 1);
            if (labelled && !c.others.empty()) batch.other_labels = std::span(c.others).subspan(i, 1);
            batch.lambda = c.lambda;
            batch.labelled = static_cast<int64_t>(c.labels.size());
            batch.auxiliary = c.auxiliary;
            const auto part =
                train::loss_gradient(c.recipe, batch, std::span(parts).subspan(i * width, width));
            sum.loss += part.loss;
            sum.correct += part.correct;
        }
        EXPECT_NEAR(sum.loss, all.loss, 1e-12);
        EXPECT_EQ(sum.correct, all.correct);
        EXPECT_EQ(parts, whole);
    }
}

TEST(TrainingLoss, HugeLogitsAndNaN) {
    for (const LossCase& c : loss_cases()) {
        SCOPED_TRACE(c.name);
        std::vector<float> z = logits_of(c), gradient;
        for (float& v : z) v *= 1e4f;
        EXPECT_TRUE(std::isfinite(run(c, z, gradient).loss));
        for (const float g : gradient) EXPECT_TRUE(std::isfinite(g));
        z[1] = std::nanf("");
        EXPECT_FALSE(std::isfinite(run(c, z, gradient).loss));
    }
}

TEST(TrainingLoss, CountsByTheRuleOfTheLoss) {
    // Groups {2, 1, 2}: the best class of the best group is by the groups' own softmax, not by the logits.
    const std::vector<float> z = {0, 3, 1, /**/ 0, 5, /**/ 9, 8, 7};
    std::vector<float> gradient(z.size());
    LossBatch batch;
    batch.logits = z;
    batch.labelled = 1;
    const std::vector<int64_t> yes{2}, no{3};
    batch.labels = yes;
    EXPECT_EQ(train::loss_gradient(recipe_of(Loss::GroupSoftmax), batch, gradient).correct, 1);
    batch.labels = no;
    EXPECT_EQ(train::loss_gradient(recipe_of(Loss::GroupSoftmax), batch, gradient).correct, 0);
    // "others" is all but certain in every group: the probabilities of all classes underflow.
    const std::vector<float> others = {1000, 0, -5, /**/ 900, 0, /**/ 2000, 0, 0};
    batch.logits = others;
    batch.labels = yes;
    EXPECT_EQ(train::loss_gradient(recipe_of(Loss::GroupSoftmax), batch, gradient).correct, 1);
}

// Epochs and recipes are compared by it.
TEST(EvaluationLoss, IsThatOfTheLabelsAlone) {
    LossCase want{"cross entropy", recipe_of(Loss::CrossEntropy), {0, 4, 2, 2}, {}};
    const std::vector<float> z = logits_of(want);
    const auto loss = [&](const Recipe& recipe, const std::vector<float>& logits) {
        return train::evaluation_loss(recipe, logits, want.labels).loss;
    };
    Recipe smoothed = want.recipe, energy = recipe_of(Loss::EnergyMargins);
    smoothed.label_smoothing = 0.2;
    energy.margin_in = -23;  // all energies are above it
    for (const Recipe& recipe : {want.recipe, smoothed, energy})
        EXPECT_NEAR(loss(recipe, z), wanted_loss(want, z), 1e-12);
    for (const Loss other : {Loss::BinaryCrossEntropy, Loss::GroupSoftmax}) {
        want.recipe = recipe_of(other);
        const std::vector<float> own = logits_of(want);
        EXPECT_NEAR(loss(want.recipe, own), wanted_loss(want, own), 1e-12);
    }
}

TEST(TrainingLoss, OfTheOracle) {
    GS_SKIP_WITHOUT_SHARED();
    const GoldenFile file(*shared_dir() / "golden" / "logits.safetensors");
    const std::vector<float> z = file.floats("logits");
    const std::vector<int64_t> y = file.integers("labels");
    Recipe recipe;
    recipe.classes = file.shape("logits").at(1);
    std::vector<float> gradient(z.size());
    const auto expect = [&](const std::string& key, size_t labelled) {
        SCOPED_TRACE(key);
        LossBatch batch;
        batch.logits = z;
        batch.labels = std::span(y).first(labelled);
        batch.labelled = static_cast<int64_t>(labelled);
        batch.auxiliary = static_cast<int64_t>(y.size() - labelled);
        const double want = file.doubles("loss/" + key).at(0);
        EXPECT_NEAR(train::loss_gradient(recipe, batch, gradient).loss, want, 1e-9 * std::abs(want));
        expect_close("gradient", gradient, file.doubles("loss/" + key + "_dlogits"), 1e-6);
    };
    expect("ce", y.size());
    recipe.loss = Loss::BinaryCrossEntropy;
    expect("bce_mean", y.size());
    recipe.loss = Loss::EnergyMargins;
    const auto margins = file.json("margin");
    recipe.margin_in = margins.at(0);
    recipe.margin_out = margins.at(1);
    expect("energy_margin", std::stoull(file.text("n_in")));
}

TEST(LearningRate, WarmsUpAndDropsBehindItsSteps) {
    Recipe r;  // BiT on ImageNet: docs/training.md
    r.learning_rate = 0.003;
    r.schedule = train::Schedule::Staircase;
    r.warmup = 500;
    r.drops = {6000, 12000, 18000};
    r.steps = 20000;
    const auto rate = [&](int64_t step) { return train::learning_rate(r, step); };
    EXPECT_EQ(rate(0), 0);
    EXPECT_DOUBLE_EQ(rate(250), 0.0015);
    EXPECT_EQ(rate(500), 0.003);
    EXPECT_EQ(rate(6000), 0.003);
    EXPECT_DOUBLE_EQ(rate(6001), 0.0003);
    EXPECT_DOUBLE_EQ(rate(12001), 0.00003);
    EXPECT_DOUBLE_EQ(rate(19999), 0.000003);
}

TEST(LearningRate, CosineByStepAndAStepAhead) {
    Recipe r;
    r.learning_rate = 0.1;
    r.cosine_floor = 1e-6;
    r.steps = 100;
    EXPECT_DOUBLE_EQ(train::learning_rate(r, 0), 0.1);
    EXPECT_DOUBLE_EQ(train::learning_rate(r, 50), 1e-6 + (0.1 - 1e-6) / 2);
    r.cosine_ahead = 1;  // energy_ood's scheduler moves first
    EXPECT_DOUBLE_EQ(train::learning_rate(r, 49), 1e-6 + (0.1 - 1e-6) / 2);
    EXPECT_DOUBLE_EQ(train::learning_rate(r, 99), 1e-6);
    EXPECT_LT(train::learning_rate(r, 0), 0.1);
    r.cosine_ahead = 30;
    for (const int64_t step : {70, 85, 99}) EXPECT_DOUBLE_EQ(train::learning_rate(r, step), 1e-6) << step;
}

}  // namespace
}  // namespace gs::test
