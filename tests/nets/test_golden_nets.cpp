// Every family against PyTorch in float64: what is guessed from the weights, logits and features, input
// gradients and ODIN's second pass, and the tap reductions that GAIA and NAC are made of. Everything of a net
// is asked for in one request, so its cotangents go down stacked.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "passes/executor.h"
#include "tests/support/backends.h"
#include "tests/support/expect_close.h"
#include "tests/support/golden_net.h"

namespace gs::test {
namespace {

const Cotangent kUniform{Cotangent::Kind::UniformCrossEntropy, 1};
const Cotangent kMaxLogit{Cotangent::Kind::MaxLogit, 1};
const Cotangent kFeatureSum{Cotangent::Kind::FeatureSum, 1};

Cotangent predicted(float temperature) {
    return {Cotangent::Kind::PredictedCrossEntropy, temperature};
}

std::vector<TapReduction> at_each(const std::vector<std::string>& taps, Reduction reduction) {
    std::vector<TapReduction> wanted;
    for (const std::string& tap : taps) wanted.push_back({tap, reduction});
    return wanted;
}

// The rows of several matrices side by side.
std::vector<float> side_by_side(const std::vector<const Matrix*>& parts) {
    std::vector<float> all;
    for (int64_t row = 0; row < parts.at(0)->rows; ++row)
        for (const Matrix* part : parts) all.insert(all.end(), part->row(row).begin(), part->row(row).end());
    return all;
}

std::vector<float> transformed(std::vector<float> values, const auto& f) {
    for (float& v : values) v = f(v);
    return values;
}

class GoldenNetTest : public testing::TestWithParam<GoldenCase> {
  protected:
    void SetUp() override {
        if (!GetParam().is_here()) GTEST_SKIP() << "needs the folder ../shared, which is not here";
        golden_ = std::make_unique<GoldenNet>(GetParam());
    }
    const GoldenFile& file() const { return golden_->file(); }
    bool deep() const { return GetParam().deep; }

    Evidence run(Backend& backend, const Request& request, bool fuse = true) const {
        const Net net = golden_->build(backend);
        Executor executor(backend, net, request, {.fuse = fuse});
        const ref::Tensor<float> x = golden_->input();
        return executor.run(x.values, x.shape.n, x.shape.h, x.shape.w);
    }
    void expect(const std::string& key, const std::vector<float>& got, double floor,
                double floor_of_deep) const {
        expect_close(key, got, file().doubles(key), golden_->tolerance(key, floor, floor_of_deep));
    }
    std::vector<std::string> names(const std::string& key) const { return file().names(key); }
    std::unique_ptr<GoldenNet> golden_;
};

TEST_P(GoldenNetTest, LogitsAndFeatures) {
    on_every_backend_and_default([&](Backend& backend) {
        for (const bool fuse : {true, false}) {
            const Evidence e = run(backend, {.logits = true, .features = true}, fuse);
            EXPECT_EQ(e.samples, file().shape("input")[0]);
            expect("logits", e.logits.values, 2e-5, 1e-4);
            expect("features", e.features.values, 2e-5, 1e-4);
        }
    });
}

// One pass with all that ODIN, GAIA-Z, GAIA-A and NAC read.
class Everything {
  public:
    Everything(const GoldenFile& file, const std::vector<std::string>& nac_taps) : file_(file) {
        request.logits = true;
        const auto add = [&](const Backward& b) {
            Request one;
            one.backwards.push_back(b);
            request.merge(one);
        };
        for (const float t : {1000.0f, 10.0f})
            if (file.has("odin_grad_T" + label(t))) add({.cotangent = predicted(t), .input_gradient = true});
        for (const auto& [t, epsilon] : kSteps)
            if (file.has(odin_key(t, epsilon)))
                add({.cotangent = predicted(t), .second = {SecondPass{.epsilon = epsilon}}});
        if (file.has("gaiaA/head_component")) {
            z_taps = file.names("gaiaZ_layers");
            a_taps = file.names("gaiaA_layers");
            add({.cotangent = kMaxLogit, .gradients = at_each(z_taps, Reduction::NonzeroShare)});
            add({.cotangent = kFeatureSum, .gradients = at_each(a_taps, Reduction::Mean)});
        }
        if (!nac_taps.empty()) add({.cotangent = kUniform, .gradients = at_each(nac_taps, Reduction::Sum)});
        Request activations;
        activations.activations = at_each(nac_taps, Reduction::Sum);
        request.merge(activations);
    }
    static std::string label(float value) {
        std::ostringstream text;
        text << value;
        return text.str();
    }
    static std::string odin_key(float t, float epsilon) {
        return "odin_T" + label(t) + "_eps" + label(epsilon) + "/logits";
    }
    static constexpr std::pair<float, float> kSteps[] = {{1000.f, 0.f}, {1000.f, 0.0014f}, {10.f, 0.005f}};

    Request request;
    std::vector<std::string> z_taps, a_taps;

  private:
    const GoldenFile& file_;
};

TEST_P(GoldenNetTest, GradientsOfEveryScore) {
    std::vector<std::string> nac_taps;
    if (!GetParam().shared) nac_taps = names("taps");
    const Everything everything(file(), nac_taps);
    on_every_backend_and_default([&](Backend& backend) {
        const Net net = golden_->build(backend);
        Request request = everything.request;
        // What GAIA-A's first half reads: the last stage before the pooling, or the pooled features.
        const bool pooled =
            net.architecture.family == Family::ResNetV2 || net.architecture.family == Family::WideResNet;
        const TapReduction output{pooled ? net.pooled : net.stages.back(), Reduction::Mean};
        Request more;
        more.backwards.push_back({.cotangent = kUniform, .gradients = {output}});
        request.merge(more);

        const Evidence e = run(backend, request);
        expect("logits", e.logits.values, 2e-5, 1e-4);
        for (const auto& [cotangent, gradient] : e.input_gradients) {
            const std::string key = "odin_grad_T" + Everything::label(cotangent.temperature);
            expect_close(key, gradient.values, file().nhwc(key).values, golden_->tolerance(key, 5e-5, 5e-2));
        }
        for (const auto& [t, epsilon] : Everything::kSteps)
            if (const std::string key = Everything::odin_key(t, epsilon); file().has(key))
                expect(key, e.second(predicted(t), {.epsilon = epsilon}).values, epsilon == 0 ? 2e-5 : 1e-4,
                       2e-2);
        if (!everything.z_taps.empty()) {
            std::vector<const Matrix*> density, inner;
            for (const auto& tap : everything.z_taps)
                density.push_back(&e.gradient(kMaxLogit, {tap, Reduction::NonzeroShare}));
            for (const auto& tap : everything.a_taps)
                inner.push_back(&e.gradient(kFeatureSum, {tap, Reduction::Mean}));
            if (file().has("gaiaZ/density"))  // exact: one flip would be 1 / (h w), 1e-3 and more
                expect_close("gaiaZ/density", side_by_side(density), file().doubles("gaiaZ/density"),
                             deep() ? 0.02 : 1e-7);
            if (file().has("gaiaA/inner"))
                expect("gaiaA/inner", transformed(side_by_side(inner), [](float v) { return std::abs(v); }),
                       5e-5, 2e-2);
            // The oracle's is of the sum of log p, ours of minus that.
            expect("gaiaA/head_component",
                   transformed(e.gradient(kUniform, output).values, [](float v) { return -v; }), 5e-5, 2e-2);
        }
        const auto classes = static_cast<float>(net.head.classes);
        for (const std::string& tap : nac_taps) {
            SCOPED_TRACE(tap);
            expect("nac/" + tap + "/test_o", e.activation({tap, Reduction::Sum}).values, 2e-5, 1e-4);
            expect("nac/" + tap + "/test_g",
                   transformed(e.gradient(kUniform, {tap, Reduction::Sum}).values,
                               [&](float v) { return v / classes; }),
                   5e-5, 2e-2);
        }
    });
}

// The first half of GAIA-A and NAC at the pooled features need no backward pass: W^T (C p - 1).
TEST_P(GoldenNetTest, HeadGradientHasAClosedForm) {
    on_every_backend_and_default([&](Backend& backend) {
        const Net net = golden_->build(backend);
        const TapReduction pooled{net.pooled, Reduction::Sum};
        Request request{.logits = true, .features = true, .activations = {pooled}};
        request.backwards.push_back({.cotangent = kUniform, .gradients = {pooled}});
        const Evidence e = run(backend, request);
        expect_same_bits("pooled", e.activation(pooled).values, e.features.values);
        const auto classes = static_cast<size_t>(net.head.classes),
                   width = static_cast<size_t>(net.head.features);
        std::vector<double> want(static_cast<size_t>(e.samples) * width);
        for (int64_t n = 0; n < e.samples; ++n) {
            const auto z = e.logits.row(n);
            const double top = *std::max_element(z.begin(), z.end());
            double sum = 0;
            for (const float v : z) sum += std::exp(v - top);
            for (size_t c = 0; c < classes; ++c) {
                const double dz = static_cast<double>(classes) * std::exp(z[c] - top) / sum - 1;
                for (size_t d = 0; d < width; ++d)
                    want[static_cast<size_t>(n) * width + d] += dz * net.head.weight[c * width + d];
            }
        }
        expect_close("pooled gradient", e.gradient(kUniform, pooled).values, want, 2e-6);
    });
}

INSTANTIATE_TEST_SUITE_P(All, GoldenNetTest, testing::ValuesIn(all_golden_nets()),
                         [](const auto& param) { return param.param.name; });

// NAC's states, layer by layer, of ../shared's nets.
class GoldenNac : public testing::TestWithParam<std::string> {};

TEST_P(GoldenNac, SumsOfActivationsAndGradients) {
    GS_SKIP_WITHOUT_SHARED();
    const GoldenNet golden(GoldenCase{GetParam(), true});
    const GoldenFile nac(*shared_dir() / "golden" / ("nac_" + GetParam() + ".safetensors"));
    const nlohmann::ordered_json layers = nac.json("hp");
    std::vector<std::string> taps;
    for (const auto& [tap, unused] : layers.items()) taps.push_back(tap);
    const auto x = ref::cast<float>(nac.nhwc("test_input"));
    Request request{.activations = at_each(taps, Reduction::Sum)};
    request.backwards.push_back({.cotangent = kUniform, .gradients = at_each(taps, Reduction::Sum)});
    on_every_backend_and_default([&](Backend& backend) {
        const Net net = golden.build(backend);
        const Evidence e = Executor(backend, net, request).run(x.values, x.shape.n, x.shape.h, x.shape.w);
        for (const std::string& tap : taps) {
            SCOPED_TRACE(tap);
            const auto classes = static_cast<float>(net.head.classes);
            expect_close("o", e.activation({tap, Reduction::Sum}).values, nac.doubles(tap + "/test_o"), 2e-5);
            expect_close("g",
                         transformed(e.gradient(kUniform, {tap, Reduction::Sum}).values,
                                     [&](float v) { return v / classes; }),
                         nac.doubles(tap + "/test_g"), 5e-5);
        }
    });
}

INSTANTIATE_TEST_SUITE_P(Shared, GoldenNac, testing::Values("bit_small", "tv_resnet_tiny", "mobilenet_tiny"),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace gs::test
