// Merging nodes changes the list and not the numbers.
#include <gmock/gmock.h>

#include "layers/norm.h"
#include "layers/pointwise.h"
#include "tests/passes/support.h"

namespace gs::test {
namespace {

class FusedNets : public testing::TestWithParam<std::string> {};

// The same operations in the same order: the same bits, but for the statistics of a sum, which are merged in
// another order when the sum is made in the same sweep.
TEST_P(FusedNets, GiveTheSameNumbers) {
    on_all_backends([](Backend& backend) {
        const Net net = family_net(backend, GetParam());
        const Images images(2, 40, 32);
        const Evidence fused = run(backend, net, everything(net), images);
        const Evidence plain = run(backend, net, everything(net), images, {.fuse = false});
        if (net.architecture.family != Family::ResNetV2) {
            expect_same_evidence(backend, fused, plain);
            return;
        }
        compare_evidence(fused, plain, [](const std::string& what, const auto& got, const auto& want) {
            expect_close(what, got, want, 2e-5);
        });
    });
}

TEST_P(FusedNets, LeaveNoActivationThatCouldBeMerged) {
    Backend& backend = *backends_under_test().front().backend;
    const Net net = family_net(backend, GetParam());
    const Net fused = fuse(net);
    const auto relus = [](const Net& n) {
        return std::count_if(n.nodes.begin(), n.nodes.end(), [](const Node& node) {
            return dynamic_cast<const Relu*>(node.layer.get()) != nullptr;
        });
    };
    EXPECT_GT(relus(net), 0);
    EXPECT_EQ(relus(fused), 0);
    EXPECT_EQ(fused.nodes.size() + static_cast<size_t>(relus(net)), net.nodes.size());
    // Every group norm behind a sum finds its statistics ready, but one that shares the sum.
    for (size_t i = 0; i < fused.nodes.size(); ++i) {
        const Node& node = fused.nodes[i];
        if (dynamic_cast<const Add*>(node.layer.get()) == nullptr) continue;
        const bool normed = GetParam() == "bit";
        EXPECT_EQ(node.stats_of >= 0, normed) << i;
        if (node.stats_of < 0) continue;
        EXPECT_EQ(fused.nodes[static_cast<size_t>(node.stats_of)].inputs[0], static_cast<ValueId>(i + 1));
    }
}

TEST_P(FusedNets, KeepTheirTaps) {
    Backend& backend = *backends_under_test().front().backend;
    const Net net = family_net(backend, GetParam());
    const Net fused = fuse(net);
    ASSERT_EQ(fused.taps.size(), net.taps.size());
    for (const auto& [name, tap] : net.taps) EXPECT_FALSE(tap.before_activation) << name;
    for (const std::string& stage : net.stages) EXPECT_FALSE(fused.tap(stage).before_activation) << stage;
    EXPECT_FALSE(fused.tap(net.pooled).before_activation);
    EXPECT_EQ(fused.tap(net.pooled).value, fused.features());
    EXPECT_EQ(fuse(net, {.enabled = false, .keep_apart = {}}).nodes.size(), net.nodes.size());
}

// An activation that is read before its ReLU keeps the two apart; the numbers stay.
TEST_P(FusedNets, ActivationsOfNormsCanBeRead) {
    on_all_backends([](Backend& backend) {
        const Net net = family_net(backend, GetParam());
        const Images images(2, 32, 32);
        Request request = everything(net);
        for (size_t i = 0; i < net.norms.size(); i += 2) {
            request.activations.push_back({net.norms[i], Reduction::Sum});
            request.activations.push_back({net.norms[i], Reduction::NonzeroShare});
        }
        const Evidence fused = run(backend, net, request, images);
        const Evidence plain = run(backend, net, request, images, {.fuse = false});
        compare_evidence(fused, plain, [](const std::string& what, const auto& got, const auto& want) {
            expect_close(what, got, want, 2e-5);
        });
        // Before the activation there are negative values, so nothing is missing.
        for (size_t i = 0; i < net.norms.size(); i += 2)
            for (const float share : fused.activation({net.norms[i], Reduction::NonzeroShare}).values)
                EXPECT_EQ(share, 1.0f) << net.norms[i];
    });
}

INSTANTIATE_TEST_SUITE_P(All, FusedNets, testing::ValuesIn(families()),
                         [](const auto& p) { return p.param; });

}  // namespace
}  // namespace gs::test
