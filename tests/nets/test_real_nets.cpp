// The real nets on the first images of the real sets, through the loader: logits against float64 PyTorch.
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

class RealNets : public testing::TestWithParam<RealCase> {};

TEST_P(RealNets, FirstLogitsMatchTheOracle) {
    GS_SKIP_WITHOUT_SHARED();
    const std::filesystem::path shared = *shared_dir();
    const GoldenFile golden(shared / "golden" / "real" / (GetParam().golden + ".safetensors"));
    Backend& backend = *backends_under_test().back().backend;
    const Net net = build_net(backend, read_weights(shared / "data" / "weights" / GetParam().weights));
    std::string spec = GetParam().set;
    spec.insert(spec.find(':') + 1, (shared / "data/").string());
    const auto set = open_image_set(spec);
    Loader loader(*set, net.preprocess, {.batch = GetParam().images, .last = GetParam().images});
    Executor executor(backend, net, {.logits = true, .features = true});
    const auto batch = loader.next();
    ASSERT_TRUE(batch && batch->count == GetParam().images && batch->failures.empty());
    const Evidence e = executor.run(batch->pixels, batch->count, batch->height, batch->width);
    const auto first_rows = [&](const std::string& key, const Matrix& got) {
        std::vector<double> want = golden.doubles(key);
        want.resize(got.values.size());
        expect_close(key, got.values, want, 2e-4);
    };
    first_rows("logits", e.logits);
    first_rows("features", e.features);
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
