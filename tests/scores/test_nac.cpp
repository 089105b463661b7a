// NAC-UE against the oracle's states, histograms and scores, on stored values and through whole nets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "passes/executor.h"
#include "scores/nac_coverage.h"
#include "scores/nac_products.h"
#include "scores/statistics.h"
#include "tests/support/backends.h"
#include "tests/support/expect_close.h"
#include "tests/support/golden_net.h"

namespace gs::test {
namespace {

// nac_<net>.safetensors beside the net's own golden file.
class NacGoldenTest : public testing::TestWithParam<std::string> {
  protected:
    void SetUp() override {
        GS_SKIP_WITHOUT_SHARED();
        file_ =
            std::make_unique<GoldenFile>(*shared_dir() / "golden" / ("nac_" + GetParam() + ".safetensors"));
        const nlohmann::ordered_json constants = file_->json("hp");
        for (const auto& [tap, hp] : constants.items())
            layers_.push_back({tap, hp.at("O"), hp.at("M"), hp.at("alpha")});
    }

    static constexpr std::pair<NacVariant, const char*> kVariants[] = {{NacVariant::V1, "v1"},
                                                                       {NacVariant::V15, "v15"}};

    std::vector<uint32_t> counts_of(const NacThresholds& thresholds, const std::string& key) const {
        const std::vector<float> states = file_->floats(key);
        const int64_t neurons = file_->shape(key)[1];
        std::vector<uint32_t> counts(static_cast<size_t>(neurons * thresholds.bins()), 0);
        for (size_t i = 0; i < states.size(); ++i) {
            const int64_t b = thresholds.bin(states[i]);
            if (b >= 0)
                ++counts[i % static_cast<size_t>(neurons) * static_cast<size_t>(thresholds.bins()) +
                         static_cast<size_t>(b)];
        }
        return counts;
    }

    std::string method(const std::string& variant) const {
        std::string o, m, alpha, taps;
        for (const NacLayer& layer : layers_) {
            const std::string plus = taps.empty() ? "" : "+";
            taps += plus + layer.tap;
            o += plus + std::to_string(layer.o);
            m += plus + std::to_string(layer.m);
            alpha += plus + std::to_string(layer.alpha);
        }
        return "nac:images=0:variant=" + variant + ":layers=" + taps + ":O=" + o + ":M=" + m +
               ":alpha=" + alpha;
    }

    Evidence run(Backend& backend, const Net& net, const Request& request, const std::string& input) const {
        Executor executor(backend, net, request);
        const auto x = ref::cast<float>(file_->nhwc(input));
        return executor.run(x.values, x.shape.n, x.shape.h, x.shape.w);
    }

    // States of the test images: at most 1 % of the neurons move, by one bin (golden/README.md).
    void expect_states(const Evidence& evidence, const Net& net, NacVariant variant) const {
        std::vector<std::string> taps;
        for (const NacLayer& layer : layers_) taps.push_back(layer.tap);
        const std::vector<Matrix> products = NacProducts(net, taps).of(evidence);
        for (size_t l = 0; l < taps.size(); ++l) {
            SCOPED_TRACE(taps[l]);
            const NacThresholds thresholds(variant, layers_[l].m);
            const std::vector<float> states = file_->floats(taps[l] + "/test_state");
            ASSERT_EQ(states.size(), products[l].values.size());
            size_t moved = 0;
            for (size_t i = 0; i < states.size(); ++i) {
                const int64_t got = thresholds.bin(nac_state(products[l].values[i], layers_[l].alpha));
                // Outside stands beyond the last bin: where v1 puts a state of 1.
                const auto place = [&](int64_t b) { return b < 0 ? thresholds.bins() : b; };
                const int64_t distance = std::abs(place(got) - place(thresholds.bin(states[i])));
                EXPECT_LE(distance, 1) << i;
                moved += distance > 0;
            }
            EXPECT_LE(moved * 100, states.size());
        }
    }

    std::unique_ptr<GoldenFile> file_;
    std::vector<NacLayer> layers_;
};

TEST_P(NacGoldenTest, Thresholds) {
    for (const NacLayer& layer : layers_)
        for (const auto& [variant, name] : kVariants) {
            const NacThresholds ours(variant, layer.m);
            const std::vector<double> want = file_->doubles(layer.tap + "/" + name + "/thresholds");
            ASSERT_EQ(ours.values().size(), want.size());
            // v1: one unit in the last place of float32 in [0.5, 1); v15: rounding of a logarithm.
            const double tolerance = variant == NacVariant::V1 ? 6e-8 : 1e-15;
            for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(ours.values()[i], want[i], tolerance) << i;
        }
}

TEST_P(NacGoldenTest, HistogramsAndScoresOfTheStoredStates) {
    for (const auto& [variant, name] : kVariants) {
        std::vector<double> total(static_cast<size_t>(file_->shape("test_input")[0]), 0);
        for (const NacLayer& layer : layers_) {
            SCOPED_TRACE(layer.tap + " " + name);
            const NacThresholds thresholds(variant, layer.m);
            const std::vector<uint32_t> counts = counts_of(thresholds, layer.tap + "/build_state");
            const std::vector<uint8_t> want =
                file_->bytes(layer.tap + "/" + name + "/hist");  // [bins][neurons]
            const auto neurons = static_cast<size_t>(file_->shape(layer.tap + "/build_state")[1]);
            for (size_t i = 0; i < want.size(); ++i)
                ASSERT_EQ(counts[i % neurons * (want.size() / neurons) + i / neurons], want[i]) << i;

            const NacCoverage coverage(thresholds, layer, std::span<const uint32_t>(counts));
            const std::vector<float> states = file_->floats(layer.tap + "/test_state");
            std::vector<double> scores(total.size(), 0);
            for (size_t i = 0; i < states.size(); ++i)
                scores[i / neurons] +=
                    static_cast<double>(coverage.covered(static_cast<int64_t>(i % neurons), states[i])) /
                    (static_cast<double>(layer.o) * static_cast<double>(neurons));
            const std::vector<double> want_scores = file_->doubles(layer.tap + "/" + name + "/score");
            for (size_t n = 0; n < scores.size(); ++n) {
                EXPECT_NEAR(scores[n], want_scores[n], 1e-12);  // sums of integers: rounding of one division
                total[n] += scores[n] / static_cast<double>(layers_.size());
            }
        }
        const std::vector<double> want = file_->doubles(std::string("score/nac_") + name);
        for (size_t n = 0; n < total.size(); ++n) EXPECT_NEAR(total[n], want[n], 1e-12);
    }
}

// Products within float32 rounding of sums; states may cross an edge of a bin where they lie on it.
TEST_P(NacGoldenTest, WholePipeline) {
    const GoldenNet golden({GetParam(), true});
    for (const BackendUnderTest& b : backends_under_test()) {
        SCOPED_TRACE(b.name);
        const Net net = golden.build(*b.backend);
        for (const auto& [variant, name] : kVariants) {
            const MethodSpec spec = parse_methods(method(name)).at(0);
            const auto fit = make_fit(spec, {net, net.preprocess});
            const Evidence build = run(*b.backend, net, fit->request(), "build_input");
            fit->add(build, std::vector<int64_t>(static_cast<size_t>(build.samples), -1));
            StatisticsStore store("", {});
            store.add(fit->state());
            const auto score = make_score(spec, {net, net.preprocess, &store});
            const Evidence evidence = run(*b.backend, net, score->request(), "test_input");
            std::vector<double> got(static_cast<size_t>(evidence.samples));
            score->compute(evidence, got);
            // 1 % of the neurons of build and test images may move one bin (golden/README.md).
            const std::vector<double> want = file_->doubles(std::string("score/nac_") + name);
            for (size_t n = 0; n < got.size(); ++n) EXPECT_NEAR(got[n], want[n], 0.02) << n;
            expect_states(evidence, net, variant);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Shared, NacGoldenTest,
                         testing::Values("bit_small", "tv_resnet_tiny", "mobilenet_tiny"),
                         [](const auto& param) { return param.param; });

// o * g on every family against the oracle, at the pooled features (closed form) and at stages (backward).
class NacProductsTest : public testing::TestWithParam<GoldenCase> {};

TEST_P(NacProductsTest, AgreeWithTheOracle) {
    const GoldenNet golden(GetParam());
    for (const BackendUnderTest& b : backends_under_test()) {
        SCOPED_TRACE(b.name);
        const Net net = golden.build(*b.backend);
        std::vector<std::string> taps{net.pooled};
        // Not BiT's root: each of its channels is a group of the next norm by itself, so that its g is zero
        // but for rounding.
        for (const std::string& stage : net.stages)
            if (stage != "root" && golden.file().has("nac/" + stage + "/test_o")) taps.push_back(stage);
        ASSERT_GE(taps.size(), 2U);
        const NacProducts products(net, taps);
        Executor executor(*b.backend, net, products.request());
        const auto x = golden.input();
        const auto got = products.of(executor.run(x.values, x.shape.n, x.shape.h, x.shape.w));
        for (size_t l = 0; l < taps.size(); ++l) {
            const std::vector<double> o = golden.file().doubles("nac/" + taps[l] + "/test_o");
            const std::vector<double> g = golden.file().doubles("nac/" + taps[l] + "/test_g");
            std::vector<double> want;
            for (size_t i = 0; i < o.size(); ++i) want.push_back(o[i] * g[i]);
            expect_close(taps[l], got[l].values, want, 5e-5);  // as input gradients of small nets
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Golden, NacProductsTest, testing::ValuesIn(own_golden_nets()),
                         [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace gs::test
