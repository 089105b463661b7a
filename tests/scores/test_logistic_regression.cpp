// Logistic regression against scikit-learn's optimum (tests/golden/make_logistic.py), and against what
// defines it.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "scores/logistic_regression.h"
#include "tests/support/expect_close.h"
#include "tests/support/golden_net.h"
#include "tests/support/json.h"

namespace gs::test {
namespace {

// The gradient of the objective at a model, by the definition: columns, then the bias.
std::vector<double> gradient(const LabelledRows& data, const LogisticModel& model, double c) {
    std::vector<double> g = model.weight;
    g.push_back(0);
    for (size_t n = 0; n < data.rows(); ++n) {
        const double y = data.labels[n] == 1 ? 1 : -1;
        const double factor = -c * y / (1 + std::exp(y * decision(model, data.row(n))));
        for (size_t i = 0; i < data.columns; ++i) g[i] += factor * data.row(n)[i];
        g.back() += factor;
    }
    return g;
}

// What the gradient's summands add up to in magnitude: the yardstick of its rounding.
std::vector<double> gradient_size(const LabelledRows& data, const LogisticModel& model, double c) {
    std::vector<double> size(data.columns + 1, 1e-300);
    for (size_t n = 0; n < data.rows(); ++n)
        for (size_t i = 0; i < size.size(); ++i)
            size[i] +=
                c * (i < data.columns ? std::abs(data.row(n)[i]) : 1) / static_cast<double>(data.rows());
    for (size_t i = 0; i < data.columns; ++i) size[i] += std::abs(model.weight[i]);
    return size;
}

void expect_optimum(const LabelledRows& data, double c) {
    const LogisticModel model = fit_logistic(data, c);
    const std::vector<double> g = gradient(data, model, c), size = gradient_size(data, model, c);
    for (size_t i = 0; i < g.size(); ++i)
        EXPECT_LE(std::abs(g[i]), 1e-8 * size[i]) << "derivative " << i << " at c = " << c;
}

class LogisticOfScikitLearn : public testing::Test {
  protected:
    nlohmann::json cases_ = read_json(own_golden_dir().parent_path() / "logistic.json").at("cases");

    static LabelledRows rows_of(const nlohmann::json& test_case) {
        LabelledRows data{
            .columns = test_case["rows"][0].size(), .values = {}, .labels = test_case["labels"]};
        for (const auto& row : test_case["rows"])
            for (const double v : row) data.values.push_back(v);
        return data;
    }

    // Both solvers stop at their rounding; weights of 1e-3 beside a bias of 1 are compared by themselves.
    static void expect_model(const LogisticModel& got, const nlohmann::json& want) {
        expect_close("weight", got.weight, want["weight"].get<std::vector<double>>(), 1e-6);
        const double bias = want["bias"];
        EXPECT_NEAR(got.bias, bias, 1e-6 * std::max(1.0, std::abs(bias)));
    }
};

TEST_F(LogisticOfScikitLearn, FoldsAreEqual) {
    for (const auto& [name, c] : cases_.items())
        EXPECT_EQ(stratified_folds(c["labels"].get<std::vector<int>>(), 5),
                  c["folds"].get<std::vector<int>>())
            << name;
}

TEST_F(LogisticOfScikitLearn, FitsAreEqual) {
    for (const auto& [name, test_case] : cases_.items())
        for (const auto& fit : test_case["fits"]) {
            SCOPED_TRACE(name + ", c = " + fit["c"].dump());
            expect_model(fit_logistic(rows_of(test_case), fit["c"]), fit);
        }
}

TEST_F(LogisticOfScikitLearn, CrossValidationChoosesTheSame) {
    for (const auto& [name, test_case] : cases_.items()) {
        SCOPED_TRACE(name);
        const CrossValidated got = fit_logistic_cv(rows_of(test_case));
        EXPECT_NEAR(got.c, test_case["cv"]["c"].get<double>(), 1e-12 * got.c);
        expect_model(got.model, test_case["cv"]);
    }
}

TEST_F(LogisticOfScikitLearn, TheGradientVanishes) {
    for (const auto& [name, test_case] : cases_.items())
        for (const double c : {1e-4, 1.0, 1e4}) {
            SCOPED_TRACE(name);
            expect_optimum(rows_of(test_case), c);
        }
}

// One column, brute force: no weight and bias of a fine grid around the optimum is better.
TEST(Logistic, IsTheMinimum) {
    const LabelledRows data{
        .columns = 1, .values = {-2, -1, -0.5, 0.25, 0.5, 3, 1, -1.5}, .labels = {0, 0, 1, 0, 1, 1, 1, 0}};
    const double c = 0.75;
    const auto objective = [&](double weight, double bias) {
        double sum = weight * weight / 2;
        for (size_t n = 0; n < data.rows(); ++n) {
            const double y = data.labels[n] == 1 ? 1 : -1;
            sum += c * std::log(1 + std::exp(-y * (weight * data.values[n] + bias)));
        }
        return sum;
    };
    const LogisticModel model = fit_logistic(data, c);
    const double best = objective(model.weight[0], model.bias);
    for (int i = -50; i <= 50; ++i)
        for (int j = -50; j <= 50; ++j) EXPECT_GE(objective(0.1 * i, 0.1 * j), best - 1e-12);
    for (const double d : {-1e-4, 1e-4}) {
        EXPECT_GT(objective(model.weight[0] + d, model.bias), best);
        EXPECT_GT(objective(model.weight[0], model.bias + d), best);
    }
}

TEST(Logistic, SeparableAndConstantColumnsConverge) {
    LabelledRows data{.columns = 2, .values = {}, .labels = {}};
    for (int n = 0; n < 40; ++n) {
        data.values.insert(data.values.end(), {(n < 20 ? -2000.0 : -1000.0) + n, 7.0});
        data.labels.push_back(n < 20 ? 0 : 1);
    }
    for (const double c : {1e-4, 1.0, 1e4}) expect_optimum(data, c);
    const LogisticModel model = fit_logistic(data, 1e4);
    EXPECT_NEAR(model.weight[1], 0, 1e-30) << "a constant column has no weight";
    EXPECT_GT(model.weight[0], 0);
    const CrossValidated chosen = fit_logistic_cv(data);
    EXPECT_EQ(chosen.accuracy, 1);
    EXPECT_NEAR(chosen.c, 1e-4, 1e-16) << "of equals the smallest";
}

TEST(Logistic, TooFewRowsOfAClass) {
    EXPECT_THROW(stratified_folds(std::vector<int>{0, 0, 0, 0, 0, 1, 1, 1, 1}, 5), Error);
    EXPECT_EQ(stratified_folds(std::vector<int>{0, 0, 1, 1}, 2), (std::vector<int>{0, 1, 0, 1}));
}

}  // namespace
}  // namespace gs::test
