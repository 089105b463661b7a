// GAIA-Z and GAIA-A against the float64 oracle on every golden net that holds them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "passes/executor.h"
#include "scores/score.h"
#include "tests/support/backends.h"
#include "tests/support/expect_close.h"
#include "tests/support/failure.h"
#include "tests/support/golden_net.h"

namespace gs::test {
namespace {

class GaiaTest : public testing::TestWithParam<GoldenCase> {
  protected:
    void SetUp() override {
        if (!GetParam().is_here()) GTEST_SKIP() << "needs the folder ../shared, which is not here";
        golden_ = std::make_unique<GoldenNet>(GetParam());
    }

    // Mean of each row's f(value).
    template <class F>
    std::vector<double> row_means(const std::string& key, const F& f) const {
        const std::vector<double> values = golden_->file().doubles(key);
        const auto rows = static_cast<size_t>(golden_->input().shape.n);
        const size_t columns = values.size() / rows;
        std::vector<double> means(rows, 0.0);
        for (size_t i = 0; i < values.size(); ++i)
            means[i / columns] += f(values[i]) / static_cast<double>(columns);
        return means;
    }

    // The stored score, or what its definition makes of the stored reductions (the project's own files).
    std::vector<double> wanted(const std::string& key) const {
        if (golden_->file().has(key)) return golden_->file().doubles(key);
        const auto square = [](double v) { return v * v; };
        std::vector<double> scores =
            row_means(key == "gaiaZ/score" ? "gaiaZ/density" : "gaiaA/inner", square);
        const std::vector<double> omega_squared =
            row_means("gaiaA/head_component", [](double v) { return std::abs(v); });
        for (size_t n = 0; n < scores.size(); ++n) scores[n] /= key == "gaiaZ/score" ? -1 : -omega_squared[n];
        return scores;
    }

    std::vector<double> score(Backend& backend, const std::string& method) const {
        const Net net = golden_->build(backend);
        const auto made = make_score(parse_methods(method).at(0), {net, net.preprocess});
        Executor executor(backend, net, made->request());
        const ref::Tensor<float> x = golden_->input();
        const Evidence evidence = executor.run(x.values, x.shape.n, x.shape.h, x.shape.w);
        std::vector<double> out(static_cast<size_t>(evidence.samples));
        made->compute(evidence, out);
        return out;
    }

    // Small nets were chosen without ReLU inputs near zero, so that float32 sees the oracle's masks; deep
    // nets flip a few (golden/README.md, "Tolerances").
    void expect(const std::string& method, const std::string& key, double small, double deep) const {
        for (const BackendUnderTest& b : backends_under_test()) {
            SCOPED_TRACE(b.name);
            const std::vector<double> got = score(*b.backend, method);
            expect_close(key, std::vector<float>(got.begin(), got.end()), wanted(key),
                         golden_->tolerance(key, small, deep));
        }
    }

    std::unique_ptr<GoldenNet> golden_;
};

TEST_P(GaiaTest, Z) {
    expect("gaia-z", "gaiaZ/score", 1e-6, 1e-3);
}

TEST_P(GaiaTest, A) {
    expect("gaia-a", "gaiaA/score", 5e-5, 2e-2);
}

using GaiaOfBitTest = GaiaTest;

TEST_P(GaiaOfBitTest, ZWithThePublishedImageNetHooks) {
    expect("gaia-z:hooks=reference", "gaiaZ/score_ref_before_head", 1e-6, 1e-3);
    expect("gaia-z:hooks=textures", "gaiaZ/score_ref_textures", 1e-6, 1e-3);
}

// Nets with GAIA values: the shared torchvision-style ones have none.
std::vector<GoldenCase> nets_with_gaia() {
    std::vector<GoldenCase> cases = all_golden_nets();
    std::erase_if(
        cases, [](const GoldenCase& c) { return c.name == "tv_resnet_tiny" || c.name == "mobilenet_tiny"; });
    return cases;
}

INSTANTIATE_TEST_SUITE_P(Golden, GaiaTest, testing::ValuesIn(nets_with_gaia()),
                         [](const auto& param) { return param.param.name; });
INSTANTIATE_TEST_SUITE_P(Golden, GaiaOfBitTest,
                         testing::Values(GoldenCase{"bit_small", true}, GoldenCase{"bit_r101x1", true, true}),
                         [](const auto& param) { return param.param.name; });

TEST(Gaia, RefusesBitHooksOnOtherNets) {
    const auto backend = make_cpu_backend({.threads = 1});
    const Net net = build_random_net(*backend, "resnet8-cifar", 10, 1);
    EXPECT_THAT(
        failure_of(ErrorKind::Usage,
                   [&] {
                       make_score(parse_methods("gaia-z:hooks=reference").at(0), {net, net.preprocess});
                   }),
        testing::HasSubstr("of BiT nets only"));
}

// Behind the norms of the last block: what before_head gives, or its norm alone for the set "textures".
TEST(Gaia, ThePublishedBitHooksAddOneTap) {
    const GoldenNet golden(GoldenCase{"bit"});
    const auto backend = make_cpu_backend({.threads = 1});
    const Net net = golden.build(*backend);
    const auto made = [&](const std::string& method) {
        return make_score(parse_methods(method).at(0), {net, net.preprocess});
    };
    const auto taps = [&](const std::string& method) {
        std::vector<std::string> names;
        const Request request = made(method)->request();
        for (const TapReduction& wanted : request.backwards.at(0).gradients) {
            EXPECT_EQ(wanted.reduction, Reduction::NonzeroShare);
            names.push_back(wanted.tap);
        }
        return names;
    };
    const std::vector<std::string> norms = taps("gaia-z");
    EXPECT_GE(norms.size(), 3U);
    for (const auto& [hooks, tap] : {std::pair{"reference", "before_head"}, {"textures", "before_head.gn"}}) {
        std::vector<std::string> want = norms;
        want.emplace_back(tap);
        EXPECT_EQ(taps(std::string("gaia-z:hooks=") + hooks), want);
    }

    // No weight of the head is 0, so that all of before_head's densities are 1.
    const auto reference = made("gaia-z:hooks=reference");
    Executor executor(*backend, net, reference->request());
    const ref::Tensor<float> x = golden.input();
    const Evidence evidence = executor.run(x.values, x.shape.n, x.shape.h, x.shape.w);
    std::vector<double> got(static_cast<size_t>(evidence.samples)), want;
    reference->compute(evidence, got);
    const std::vector<double> densities = golden.file().doubles("gaiaZ/density");
    const auto channels = static_cast<size_t>(golden.file().shape("gaiaZ/density")[1]);
    const auto more = static_cast<double>(net.head.features);
    for (size_t n = 0; n < got.size(); ++n) {
        double sum = more;
        for (size_t c = 0; c < channels; ++c) sum += std::pow(densities[n * channels + c], 2);
        want.push_back(-sum / (static_cast<double>(channels) + more));
    }
    expect_close("reference", got, want, 1e-6);  // densities are float32
}

// s = -mean(r^2) / (mean |h| + eps), over channels and not over layers of unlike many.
TEST(Gaia, EpsIsAddedToTheDenominator) {
    const auto backend = make_cpu_backend({.threads = 1});
    const Net net = build_random_net(*backend, "resnet8-cifar", 10, 1);
    const auto made = [&](const std::string& eps) {
        return make_score(parse_methods("gaia-a" + eps).at(0), {net, net.preprocess});
    };
    const Request request = made("")->request();
    ASSERT_EQ(request.backwards.size(), 2U);
    const Backward &inner = request.backwards[0], &output = request.backwards[1];
    ASSERT_EQ(inner.cotangent.kind, Cotangent::Kind::FeatureSum);
    ASSERT_EQ(output.gradients.size(), 1U);
    // An image of known gradients, and one without any.
    Evidence evidence;
    evidence.samples = 2;
    double squares = 0, channels = 0;
    for (const TapReduction& tap : inner.gradients) {
        const size_t count = evidence.gradients.size() + 1;
        std::vector<float> rows(2 * count);
        for (size_t c = 0; c < count; ++c) {
            rows[c] = 0.25F * static_cast<float>(c + count) * (c % 2 == 0 ? 1.0F : -1.0F);
            squares += static_cast<double>(rows[c]) * rows[c];
        }
        channels += static_cast<double>(count);
        evidence.gradients[{inner.cotangent, tap}] = {2, static_cast<int64_t>(count), rows};
    }
    const double mean_h = 0.75;
    evidence.gradients[{output.cotangent, output.gradients[0]}] = {2, 3, {1, -0.5F, 0.75F, 0, 0, 0}};
    for (const auto& [option, eps] : {std::pair{"", 0.0}, {":eps=0", 0.0}, {":eps=0.5", 0.5}}) {
        std::vector<double> out(2);
        made(option)->compute(evidence, out);
        EXPECT_DOUBLE_EQ(out[0], -squares / channels / (mean_h + eps)) << option;
        EXPECT_EQ(std::isnan(out[1]), eps == 0) << option;
        if (eps > 0) {
            EXPECT_EQ(out[1], 0);
            EXPECT_TRUE(std::signbit(out[1]));
        }
    }
}

TEST(Gaia, SaysWhichNormsArePublished) {
    const auto backend = make_cpu_backend({.threads = 1});
    for (const auto& [name, source] : {std::pair{"resnet18-cifar", "published"},
                                       {"wrn-40-2", "published"},
                                       {"wrn-16-1", "extension"},
                                       {"resnet8-cifar", "extension"}}) {
        const Net net = build_random_net(*backend, name, 10, 1);
        for (const char* method : {"gaia-z", "gaia-a"}) {
            const auto score = make_score(parse_methods(method).at(0), {net, net.preprocess});
            EXPECT_EQ(score->options().at("norms"), source) << name;
        }
    }
}

}  // namespace
}  // namespace gs::test
