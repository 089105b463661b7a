// Nets with bfloat16 maps: what plans store as what, and how far scores' inputs move from the float64 oracle.
#include <gtest/gtest.h>

#include <cmath>

#include "passes/executor.h"
#include "tests/support/expect_close.h"
#include "tests/support/golden_net.h"
#include "tests/support/maps.h"

namespace gs::test {
namespace {

const Maps kMaps(DType::BF16);
const Cotangent kUniform{Cotangent::Kind::UniformCrossEntropy, 1};
const Cotangent kMaxLogit{Cotangent::Kind::MaxLogit, 1};

class Bf16Net : public testing::TestWithParam<GoldenCase> {
  protected:
    void SetUp() override {
        if (!GetParam().is_here()) GTEST_SKIP() << "needs the folder ../shared, which is not here";
        golden_ = std::make_unique<GoldenNet>(GetParam());
    }
    Evidence run(Backend& backend, const Net& net, const Request& request, bool fuse = true) const {
        const ref::Tensor<float> x = golden_->input();
        Executor executor(backend, net, request, {.fuse = fuse});
        return executor.run(x.values, x.shape.n, x.shape.h, x.shape.w);
    }
    std::unique_ptr<GoldenNet> golden_;
};

// The yardstick of ../shared/golden/README.md, a thousand times float32's deviation, and no less than what a
// rounding of up to 2^-8 a layer, through tens of layers, leaves at the worst of thousands of values: 0.6 to
// 2.7 % of the largest was seen, 7.8 to 10 % through 101 layers (5.4 % root mean square), alike with every
// backend's sums.
TEST_P(Bf16Net, LogitsAndFeaturesStayNearTheOracle) {
    const double floor = GetParam().deep ? 1.3e-1 : 4e-2;
    kMaps.on_every_backend_and_default([&](Backend& backend) {
        const Net net = golden_->build(backend);
        const Evidence e = run(backend, net, {.logits = true, .features = true});
        for (const auto& [key, got] : {std::pair("logits", &e.logits), std::pair("features", &e.features)})
            expect_close(key, got->values, golden_->file().doubles(key),
                         std::max(100 * golden_->tolerance(key, 0, 0), floor));
    });
}

double cosine(const std::vector<float>& a, const std::vector<float>& b) {
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < a.size(); ++i) {
        ab += static_cast<double>(a[i]) * b[i];
        aa += static_cast<double>(a[i]) * a[i];
        bb += static_cast<double>(b[i]) * b[i];
    }
    return ab / std::sqrt(aa * bb);
}

// Gradients of float32's direction: what the roundings leave of it, and flipped gates (a share of positions
// counts those). Sums over positions cancel and tell nothing.
TEST_P(Bf16Net, GradientsKeepTheirDirection) {
    Backend& exact = *backends_under_test().back().backend;
    const Net reference = golden_->build(exact);
    const TapReduction share{reference.norms.back(), Reduction::NonzeroShare};
    Request request{.logits = true};
    request.backwards.push_back({.cotangent = kMaxLogit, .gradients = {share}, .input_gradient = true});
    const Evidence want = run(exact, reference, request);
    kMaps.on_every_backend_and_default([&](Backend& backend) {
        const Evidence got = run(backend, golden_->build(backend), request);
        EXPECT_GT(cosine(got.gradient(kMaxLogit, share).values, want.gradient(kMaxLogit, share).values),
                  0.99);
        EXPECT_GT(cosine(got.input_gradients.at(kMaxLogit).values, want.input_gradients.at(kMaxLogit).values),
                  GetParam().deep ? 0.5 : 0.85);
    });
}

// Steps that fuse, and steps that do not, store the same numbers.
TEST_P(Bf16Net, FusionChangesNoMoreThanARounding) {
    kMaps.on_every_backend_and_default([&](Backend& backend) {
        const Net net = golden_->build(backend);
        const Request request{.logits = true};
        const Evidence fused = run(backend, net, request), plain = run(backend, net, request, false);
        expect_close("logits", fused.logits.values, plain.logits.values, 2e-2);
    });
}

INSTANTIATE_TEST_SUITE_P(All, Bf16Net, testing::ValuesIn(all_golden_nets()),
                         [](const auto& param) { return param.param.name; });

// Maps, and gradients of maps, are bfloat16; image, its gradient, features, logits, sums are not.
TEST(Bf16Plan, StoresMapsAlone) {
    kMaps.on_every_backend([](Backend& backend) {
        const Net net = GoldenNet(GoldenCase{"bit"}).build(backend);
        Request request{.logits = true, .features = true};
        request.backwards.push_back({.cotangent = kMaxLogit,
                                     .gradients = {{net.norms.front(), Reduction::Sum}},
                                     .input_gradient = true});
        const Plan plan = plan_passes(backend, net, request, 64, 80, 2);
        for (const PlannedBuffer& b : plan.buffers) {
            const bool image = b.shape == (Shape{1, 64, 80, 3}), winners = b.dtype == DType::U8;
            const bool small = b.shape.h == 1;  // rows of values, and statistics of groups
            if (winners) continue;
            EXPECT_EQ(b.dtype == DType::F32, image || small) << to_string(b.shape);
        }
        EXPECT_EQ(plan.buffers[static_cast<size_t>(plan.input)].dtype, DType::F32);
        for (const Output& output : plan.outputs)
            EXPECT_EQ(plan.buffers[static_cast<size_t>(output.buffer)].dtype, DType::F32);
    });
}

}  // namespace
}  // namespace gs::test
