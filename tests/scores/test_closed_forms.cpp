// Scores as functions of evidence: against their definitions, against the oracle's arrays, and at the edges.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "scores/score.h"
#include "tests/scores/reference_scores.h"
#include "tests/support/golden_file.h"
#include "tests/support/random.h"
#include "tests/support/shared_dir.h"

namespace gs::test {
namespace {

using testing::Each;

constexpr double kInf = std::numeric_limits<double>::infinity();

std::unique_ptr<Score> score_of(const std::string& method) {
    static const Net net{};
    static const Preprocess preprocess{};
    return make_score(parse_methods(method).at(0), {net, preprocess});
}

std::vector<double> compute(const std::string& method, const Evidence& evidence) {
    std::vector<double> out(static_cast<size_t>(evidence.samples), NAN);
    score_of(method)->compute(evidence, out);
    return out;
}

Evidence evidence_of(Matrix logits, Matrix features) {
    Evidence evidence;
    evidence.samples = logits.rows;
    evidence.logits = std::move(logits);
    evidence.features = std::move(features);
    return evidence;
}

Evidence of_row(const std::vector<float>& z, const std::vector<float>& f = {1}) {
    return evidence_of({1, static_cast<int64_t>(z.size()), z}, {1, static_cast<int64_t>(f.size()), f});
}

// Rows of very different spread, with features of both signs.
Evidence random_evidence(int64_t rows, int64_t classes, int64_t features) {
    SplitMix64 random(7);
    Matrix z{rows, classes}, f{rows, features};
    for (int64_t n = 0; n < rows; ++n) {
        const double spread = std::pow(10.0, static_cast<double>(n % 5) - 2);
        for (int64_t c = 0; c < classes; ++c)
            z.values.push_back(static_cast<float>(spread * (2 * random.uniform() - 1)));
        for (int64_t i = 0; i < features; ++i)
            f.values.push_back(static_cast<float>(2 * random.uniform() - 0.5));
    }
    return evidence_of(std::move(z), std::move(f));
}

std::vector<double> row(const Matrix& matrix, int64_t n) {
    return {matrix.row(n).begin(), matrix.row(n).end()};
}

// Relative, and absolute below 1.
void expect_near(const std::vector<double>& got, const std::vector<double>& want, double tolerance,
                 const std::string& name) {
    ASSERT_EQ(got.size(), want.size()) << name;
    for (size_t i = 0; i < got.size(); ++i)
        EXPECT_NEAR(got[i], want[i], tolerance * std::max(1.0, std::abs(want[i]))) << name << "[" << i << "]";
}

template <class F>
void expect_definition(const std::string& method, const Evidence& e, double tolerance, const F& definition) {
    std::vector<double> want;
    for (int64_t n = 0; n < e.samples; ++n)
        want.push_back(static_cast<double>(definition(row(e.logits, n), row(e.features, n))));
    expect_near(compute(method, e), want, tolerance, method);
}

TEST(ClosedForms, LogitScoresAreTheirDefinitions) {
    const Evidence e = random_evidence(40, 17, 3);
    for (const double t : {0.1, 1.0, 2.5, 1000.0}) {
        const std::string temperature = ":temperature=" + std::to_string(t);
        expect_definition("energy" + temperature, e, 1e-13,
                          [&](const auto& z, const auto&) { return energy(z, t); });
        const auto largest = [&](const auto& z, const auto&) {
            const auto p = softmax(z, t);
            return *std::max_element(p.begin(), p.end());
        };
        expect_definition("odin" + temperature, e, 1e-13, largest);
        if (t == 1) expect_definition("msp", e, 1e-13, largest);
        expect_definition("odin:form=log" + temperature, e, 1e-13, [&](const auto& z, const auto& f) {
            return std::log(static_cast<Real>(z.size()) * largest(z, f));
        });
    }
    expect_definition("maxlogit", e, 0,
                      [](const auto& z, const auto&) { return *std::max_element(z.begin(), z.end()); });
}

// The closed form against every element of the gradient.
TEST(ClosedForms, Case19_GradNormIsTheNormOfTheOuterProduct) {
    const Evidence e = random_evidence(25, 13, 11);
    for (const double t : {0.5, 1.0, 2.0, 1000.0})
        for (const double p : {0.3, 0.5, 1.0, 2.0, 3.0, 4.0, kInf})
            for (const bool bias : {false, true}) {
                const std::string method = "gradnorm:temperature=" + std::to_string(t) +
                                           ":p=" + (std::isinf(p) ? "inf" : std::to_string(p)) +
                                           ":params=" + (bias ? "all" : "weights");
                const auto got = compute(method, e);
                for (int64_t n = 0; n < e.samples; ++n) {
                    const auto want = static_cast<double>(
                        norm(head_gradient(row(e.logits, n), row(e.features, n), t, bias), p));
                    EXPECT_NEAR(got[static_cast<size_t>(n)], want, 1e-10 * want) << method << " row " << n;
                }
            }
}

TEST(ClosedForms, Edges) {
    const std::vector<float> uniform(10, 3.25f), huge{1000, -1000, 0, 999}, one{5};
    EXPECT_NEAR(compute("gradnorm", of_row(uniform))[0], 0, 1e-14) << "all classes alike: no gradient";
    EXPECT_DOUBLE_EQ(compute("msp", of_row(uniform))[0], 0.1);
    EXPECT_DOUBLE_EQ(compute("energy", of_row(huge))[0], 1000 + std::log1p(std::exp(-1.0)));
    // log max p = -log(1 + 2 e^-d), which is -2 e^-d to rounding long before the probability is 1 in float64.
    for (const float d : {37.5f, 50.0f, 300.0f})
        for (const std::vector<float>& z : {std::vector{d, 0.0f, 0.0f}, {0, d, 0}, {0, 0, d}, {-d, 0, -d}})
            EXPECT_NEAR(compute("msp:form=log", of_row(z))[0] / (-2 * std::exp(-static_cast<double>(d))), 1,
                        1e-12)
                << d << ": no underflow, no saturation, in any order";
    EXPECT_NEAR(compute("odin:form=log:temperature=1e10", of_row({11, 0, 0}))[0] / (11 / 1e10 * 2 / 3), 1,
                1e-8)
        << "close to uniform nothing cancels";
    EXPECT_DOUBLE_EQ(compute("msp", of_row(one))[0], 1);
    EXPECT_EQ(compute("gradnorm", of_row(one))[0], 0);
    EXPECT_EQ(compute("gradnorm", of_row({1, 2}, {0, 0}))[0], 0) << "no features, no gradient";
    // (C p - 1) for p -> 0 and p -> 1: |-1| (C - 1) and C - 1.
    EXPECT_DOUBLE_EQ(compute("gradnorm", of_row({2000, 0, 0, 0}, {2, -3}))[0], 5 * 6);
    // Next to uniform the difference must not cancel: z = (d, 0), C p - 1 = tanh(d / 2).
    const float d = 1e-6f;
    EXPECT_NEAR(compute("gradnorm", of_row({d, 0}))[0] / (2 * std::tanh(d / 2.0)), 1, 1e-9);
    for (const char* method : {"msp", "msp:form=log", "msp:form=f32", "energy", "gradnorm", "odin"}) {
        EXPECT_TRUE(std::isnan(compute(method, of_row({NAN, 0, 0}))[0])) << method;
        EXPECT_TRUE(std::isnan(compute(method, of_row({0, 0, NAN}))[0])) << method;
    }
    EXPECT_TRUE(std::isnan(compute("maxlogit", of_row({0, NAN, 2}))[0])) << "as NaN as the others";
}

TEST(ClosedForms, ImagesWithoutFiniteLogitsHaveNoScore) {
    Evidence e = random_evidence(4, 3, 5);
    e.logits.values[3 * 1] = std::numeric_limits<float>::infinity();
    e.logits.values[3 * 2 + 2] = NAN;
    for (const char* method : {"maxlogit", "msp", "energy", "gradnorm:p=inf"}) {
        const auto score = score_of(method);
        std::vector<double> out(4);
        compute_scores(*score, e, out);
        for (size_t n = 0; n < 4; ++n) EXPECT_EQ(std::isnan(out[n]), n == 1 || n == 2) << method << n;
    }
}

// 1 / (1 + others) in float32, as the published scripts hold it: 1 up to others = 2^-24, and then 1 - 2^-23.
// Rounded once from float64 there would be 1 - 2^-24 between them.
TEST(ClosedForms, FloatSoftmaxSaturatesAsPublished) {
    const auto probability = [](float others) {
        return compute("msp:form=f32", of_row({0, std::log(others)}))[0];
    };
    EXPECT_EQ(probability(4e-8F), 1);
    EXPECT_EQ(probability(5.9e-8F), 1);
    EXPECT_EQ(probability(7e-8F), 1 - std::ldexp(1.0, -23));
    EXPECT_EQ(compute("msp:form=f32", of_row({30, 0, 0}))[0], 1);
    // Ten classes are added in pairs 8, 4, 2 and 1 apart: small ones that lie so meet before they meet the 1.
    // In a row, each would be lost.
    std::vector<float> pairs(10, -100);
    pairs[0] = 0;
    for (const size_t other : {1, 3, 5, 7}) pairs[other] = std::log(2e-8F);
    EXPECT_EQ(compute("msp:form=f32", of_row(pairs))[0], 1 - std::ldexp(1.0, -23));
}

TEST(ClosedForms, FloatSoftmaxIsTheSoftmaxToRounding) {
    for (const int64_t classes : {1, 2, 10, 31, 32, 33, 100, 1000, 1025, 21843}) {
        const Evidence e = random_evidence(5, classes, 3);
        const auto got = compute("msp:form=f32", e), want = compute("msp", e);
        for (size_t n = 0; n < got.size(); ++n) {
            EXPECT_EQ(got[n], static_cast<float>(got[n]));
            // As many roundings as a lane adds, five of pairs, and those of exp and the division.
            const double roundings = static_cast<double>(classes) / 32 + 10;
            EXPECT_NEAR(got[n], want[n], roundings * std::ldexp(want[n], -24)) << classes;
        }
    }
}

// Logits that are not finite give scores that metrics exclude or rank, never a wrong number.
TEST(ClosedForms, GoldenArraysOfLogits) {
    GS_SKIP_WITHOUT_SHARED();
    const GoldenFile golden(*shared_dir() / "golden" / "logits.safetensors");
    const Evidence e = evidence_of({48, 20, golden.floats("logits")}, {48, 40, golden.floats("features")});
    const auto check = [&](const std::string& method, const std::string& key) {
        expect_near(compute(method, e), golden.doubles("score/" + key), 1e-10, method);
    };
    check("msp", "msp");
    check("msp:form=log", "log_msp");
    check("maxlogit", "maxlogit");
    check("gradnorm:params=all", "gradnorm_l1_with_bias");
    for (const char* t : {"1", "0.5", "10", "1000"}) {
        const std::string option = std::string(":temperature=") + t, suffix = std::string("_T") + t;
        check("energy" + option, "energy" + suffix);
        check("odin" + option, "odin0" + suffix);
        check("gradnorm" + option, "gradnorm" + suffix);
    }
    for (const char* p : {"0.3", "0.5", "1", "2", "3", "4", "inf"})
        check(std::string("gradnorm:p=") + p, std::string("gradnorm_lp_") + p);
}

}  // namespace
}  // namespace gs::test
