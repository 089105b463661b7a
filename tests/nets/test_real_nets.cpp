// The real nets on the first images of the real sets, through the loader: logits, per-sample norms of every
// weight's gradient and GAIA-Z against float64 PyTorch.
#include <gtest/gtest.h>

#include "data/loader.h"
#include "passes/executor.h"
#include "tests/support/backends.h"
#include "tests/support/expect_close.h"
#include "tests/support/golden_net.h"

namespace gs::test {
namespace {

struct RealCase {
    std::string golden, weights, set;
    int64_t images;
};

class RealNets : public testing::TestWithParam<RealCase> {
  protected:
    void SetUp() override {
        GS_SKIP_WITHOUT_SHARED();
        backend_ = backends_under_test().back().backend.get();
        net_ = build_net(*backend_, read_weights(*shared_dir() / "data" / "weights" / GetParam().weights));
    }
    GoldenFile golden(const std::string& suffix) const {
        return GoldenFile(*shared_dir() / "golden" / "real" / (GetParam().golden + suffix + ".safetensors"));
    }
    Evidence run(const Request& request, int64_t images) const {
        std::string spec = GetParam().set;
        spec.insert(spec.find(':') + 1, (*shared_dir() / "data/").string());
        const auto set = open_image_set(spec);
        Loader loader(*set, net_.preprocess, {.batch = images, .last = images});
        const auto batch = loader.next();
        EXPECT_TRUE(batch && batch->count == images && batch->failures.empty());
        Executor executor(*backend_, net_, request);
        return executor.run(batch->pixels, batch->count, batch->height, batch->width);
    }

    Backend* backend_ = nullptr;
    Net net_;
};

TEST_P(RealNets, FirstLogitsMatchTheOracle) {
    const GoldenFile oracle = golden("");
    const Evidence e = run({.logits = true, .features = true}, GetParam().images);
    const auto first_rows = [&](const std::string& key, const Matrix& got) {
        std::vector<double> want = oracle.doubles(key);
        want.resize(got.values.size());
        expect_close(key, got.values, want, 2e-4);
    };
    first_rows("logits", e.logits);
    first_rows("features", e.features);
}

// golden/README.md: 5e-3 of each column's maximum (ReLU kinks), GAIA-Z 1e-4.
TEST_P(RealNets, FirstGradientsMatchTheOracle) {
    const GoldenFile oracle = golden("__gradients");
    const auto weights = oracle.names("layers");
    const auto images = static_cast<size_t>(GetParam().images);
    const Cotangent uniform{Cotangent::Kind::UniformCrossEntropy, 1}, largest{Cotangent::Kind::MaxLogit, 1};
    Request request{.backwards = {{.cotangent = uniform}, {.cotangent = largest}}};
    for (const std::string& weight : weights)
        for (const double p : {1.0, 2.0}) request.backwards[0].weight_norms.push_back({weight, p});
    for (const std::string& norm : net_.norms)
        request.backwards[1].gradients.push_back({norm, Reduction::NonzeroShare});
    const Evidence e = run(request, GetParam().images);

    for (const double p : {1.0, 2.0}) {
        const std::string key = p == 1 ? "weight_l1" : "weight_l2";
        const std::vector<double> all = oracle.doubles(key);
        for (size_t l = 0; l < weights.size(); ++l) {
            std::vector<float> got;
            std::vector<double> want;
            for (size_t n = 0; n < images; ++n) {
                const double sum = e.weight_norm(uniform, {weights[l], p}, static_cast<int64_t>(n));
                got.push_back(static_cast<float>(p == 1 ? sum : std::sqrt(sum)));
                want.push_back(all[n * weights.size() + l]);
            }
            expect_close(key + " " + weights[l], got, want, 5e-3);
        }
    }
    std::vector<float> gaia;
    for (size_t n = 0; n < images; ++n) {
        double squares = 0, channels = 0;
        for (const TapReduction& tap : request.backwards[1].gradients)
            for (const float share : e.gradient(largest, tap).row(static_cast<int64_t>(n))) {
                squares += static_cast<double>(share) * share;
                ++channels;
            }
        gaia.push_back(static_cast<float>(-squares / channels));
    }
    std::vector<double> want = oracle.doubles("gaia_z");
    want.resize(images);
    expect_close("gaia_z", gaia, want, 1e-4);
}

INSTANTIATE_TEST_SUITE_P(
    All, RealNets,
    testing::Values(RealCase{"mobilenet_v2__imagenet-sample", "imagenet_mobilenet_v2.pth",
                             "list:imagenet-sample.txt", 6},
                    RealCase{"mobilenet_v2__dtd", "imagenet_mobilenet_v2.pth", "folder:dtd", 6},
                    RealCase{"cifar10_resnet20__cifar10-490", "cifar10_resnet20-12fca82f.th",
                             "cifar10:cifar10_test_490.bin", 16},
                    RealCase{"cifar10_resnet20__dtd", "cifar10_resnet20-12fca82f.th", "folder:dtd", 16},
                    RealCase{"cifar10_resnet56__cifar10-490", "cifar10_resnet56-4bfd9763.th",
                             "cifar10:cifar10_test_490.bin", 16},
                    RealCase{"cifar10_resnet56__dtd", "cifar10_resnet56-4bfd9763.th", "folder:dtd", 16}),
    [](const auto& param) {
        std::string name = param.param.golden;
        std::replace(name.begin(), name.end(), '-', '_');
        return name;
    });

}  // namespace
}  // namespace gs::test
