// What a plan leaves out, stacks and merges changes nothing of what it gives.
#include <gmock/gmock.h>

#include "tests/passes/support.h"
#include "tests/support/failure.h"

namespace gs::test {
namespace {

using testing::HasSubstr;

class Plans : public testing::TestWithParam<std::string> {};

TEST_P(Plans, StackedCotangentsGiveWhatEachGivesAlone) {
    on_all_backends([](Backend& backend) {
        const Net net = family_net(backend, GetParam());
        const Images images(2, 32, 40);
        const Evidence together = run(backend, net, everything(net), images);
        Evidence apart;
        for (const Backward& backward : backwards_of_all_depths(net)) {
            Evidence one = run(backend, net, {.backwards = {backward}}, images);
            apart.gradients.merge(one.gradients);
            apart.weight_norms.merge(one.weight_norms);
            apart.input_gradients.merge(one.input_gradients);
            apart.second_passes.merge(one.second_passes);
        }
        Request forward = everything(net);
        forward.backwards.clear();
        Evidence one = run(backend, net, forward, images);
        apart.samples = one.samples;
        apart.logits = one.logits;
        apart.features = one.features;
        apart.activations = one.activations;
        expect_same_evidence(backend, together, apart);
    });
}

// Every order of the same cotangents: which of them leads the stack at which depth changes.
TEST_P(Plans, OrderOfCotangentsDoesNotMatter) {
    Backend& backend = *backends_under_test().back().backend;
    const Net net = family_net(backend, GetParam());
    const Images images(1, 32, 32);
    std::vector<Backward> backwards = backwards_of_all_depths(net);
    const Evidence want = run(backend, net, {.backwards = backwards}, images);
    std::vector<size_t> order = {0, 1, 2, 3};
    while (std::next_permutation(order.begin(), order.end())) {
        if (order[0] == 1 || order[3] == 2) continue;  // half of them will do
        Request request;
        for (const size_t i : order) request.backwards.push_back(backwards[i]);
        expect_same_evidence(backend, run(backend, net, request, images), want);
    }
}

TEST_P(Plans, TruncatedPassesGiveWhatTheFullPassGives) {
    on_all_backends([](Backend& backend) {
        const Net net = family_net(backend, GetParam());
        const Images images(2, 32, 32);
        Backward full{.cotangent = kUniform, .input_gradient = true};
        for (const auto& [tap, where] : net.taps)
            if (where.value != net.logits())
                for (const Reduction r : {Reduction::Sum, Reduction::Mean, Reduction::NonzeroShare})
                    full.gradients.push_back({tap, r});
        const Evidence want = run(backend, net, {.backwards = {full}}, images);
        for (size_t i = 0; i < full.gradients.size(); i += 7) {
            const TapReduction& tap = full.gradients[i];
            const Request request{.backwards = {{.cotangent = kUniform, .gradients = {tap}}}};
            Executor executor(backend, net, request);
            expect_same_bits(tap.tap, run(executor, images).gradient(kUniform, tap).values,
                             want.gradient(kUniform, tap).values);
            const BackwardSummary& summary = executor.plan(32, 32).backwards.at(0);
            EXPECT_LE(summary.nodes, summary.nodes_of_net);
            EXPECT_NE(summary.deepest, "image");
        }
    });
}

// A tap on a norm and the stage behind its ReLU: the mask lies between the two gradients.
TEST_P(Plans, GradientsBeforeAnActivationAreMasked) {
    Backend& backend = *backends_under_test().front().backend;
    const Net net = family_net(backend, GetParam());
    const Images images(3, 32, 32);
    Backward backward{.cotangent = kMaxLogit};
    for (const std::string& norm : net.norms) backward.gradients.push_back({norm, Reduction::NonzeroShare});
    const Evidence e = run(backend, net, {.backwards = {backward}}, images);
    double lowest = 1;
    for (const auto& [key, matrix] : e.gradients)
        for (const float share : matrix.values) {
            EXPECT_GE(share, 0);
            EXPECT_LE(share, 1);
            lowest = std::min(lowest, static_cast<double>(share));
        }
    EXPECT_LT(lowest, 0.5);  // closed ReLUs are true zeros
}

// <gradient, v> against a central difference of the largest logit along the gradient itself.
TEST_P(Plans, InputGradientIsTheSlopeOfTheNet) {
    Backend& backend = *backends_under_test().back().backend;
    const Net net = family_net(backend, GetParam());
    const GoldenNet golden(GoldenCase{GetParam()});
    const ref::Tensor<float> x = golden.input();
    Request request{.logits = true};
    request.backwards.push_back({.cotangent = kMaxLogit, .input_gradient = true});
    Executor executor(backend, net, request);
    const Evidence e = executor.run(x.values, x.shape.n, x.shape.h, x.shape.w);
    const std::vector<float>& g = e.input_gradients.at(kMaxLogit).values;
    const auto image = static_cast<size_t>(x.shape.per_sample());
    for (size_t n = 0; n < static_cast<size_t>(x.shape.n); ++n) {
        double squares = 0;
        for (size_t i = 0; i < image; ++i)
            squares += static_cast<double>(g[n * image + i]) * g[n * image + i];
        const auto z = e.logits.row(static_cast<int64_t>(n));
        const auto k = static_cast<size_t>(std::max_element(z.begin(), z.end()) - z.begin());
        const double h = 2e-3 / std::sqrt(squares);  // moves the logit by about 2e-3 |g|
        const auto moved = [&](double step) {
            std::vector<float> at(x.values.begin() + static_cast<std::ptrdiff_t>(n * image),
                                  x.values.begin() + static_cast<std::ptrdiff_t>((n + 1) * image));
            for (size_t i = 0; i < image; ++i) at[i] += static_cast<float>(step * g[n * image + i]);
            return static_cast<double>(executor.run(at, 1, x.shape.h, x.shape.w).logits.values[k]);
        };
        const double slope = (moved(h) - moved(-h)) / (2 * h);
        EXPECT_NEAR(slope / squares, 1, 0.03) << "sample " << n;
    }
}

TEST_P(Plans, OddAndChangingSizesShareAnExecutor) {
    on_all_backends([](Backend& backend) {
        Net net = family_net(backend, GetParam());
        if (net.architecture.pool_window != 0) return;  // made for one size
        Executor executor(backend, net, everything(net), {.micro_batch = 2});
        for (const auto& [h, w] :
             std::vector<std::pair<int64_t, int64_t>>{{33, 47}, {64, 33}, {33, 47}, {37, 32}}) {
            const Images images(3, h, w);
            expect_same_evidence(backend, run(executor, images),
                                 run(backend, net, everything(net), images, {.micro_batch = 2}));
        }
    });
}

INSTANTIATE_TEST_SUITE_P(All, Plans, testing::ValuesIn(families()), [](const auto& p) { return p.param; });

// Cotangents whose needs are not nested: one wants a shortcut's norm early in the net, others a branch's norm
// later.
TEST(NarrowingStacks, SideBranchesOfAnyDepth) {
    on_all_backends([](Backend& backend) {
        const Net net = family_net(backend, "tv_basic");
        const std::vector<Backward> backwards = {
            {.cotangent = kUniform, .gradients = {{"layer4.0.downsample.1", Reduction::Sum}}},
            {.cotangent = kMaxLogit,
             .gradients = {{"layer2.0.downsample.1", Reduction::Sum}, {"layer4.0.bn1", Reduction::Mean}}},
            {.cotangent = kFeatureSum,
             .gradients = {{"layer4.0.bn2", Reduction::NonzeroShare}, {"layer4.0.bn2", Reduction::Sum}}},
            {.cotangent = kPredicted,
             .gradients = {{"layer3.0.bn1", Reduction::Sum},
                           {"layer3", Reduction::Sum},
                           {"avgpool", Reduction::Sum}}},
        };
        const Images images(2, 48, 48);
        const Evidence together = run(backend, net, {.backwards = backwards}, images);
        EXPECT_EQ(together.gradients.size(), 8u);
        for (const Backward& backward : backwards) {
            const Evidence alone = run(backend, net, {.backwards = {backward}}, images);
            for (const TapReduction& tap : backward.gradients)
                expect_same_in_any_batch(backend, tap.tap, together.gradient(backward.cotangent, tap).values,
                                         alone.gradient(backward.cotangent, tap).values);
        }
    });
}

// A cotangent that has ended costs nothing: stacked passes cost what they cost apart.
TEST(NarrowingStacks, CostWhatEachCostsAlone) {
    Backend& backend = *backends_under_test().front().backend;
    for (const std::string& family : families()) {
        const Net net = family_net(backend, family);
        const auto flops = [&](const std::vector<Backward>& backwards) {
            return Executor(backend, net, {.backwards = backwards}).plan(32, 32).flops(Step::Phase::Backward);
        };
        const std::vector<Backward> all = backwards_of_all_depths(net);
        double apart = 0;
        for (const Backward& backward : all) apart += flops({backward});
        EXPECT_DOUBLE_EQ(flops(all), apart) << family;
        const auto deepest_first =
            Executor(backend, net, {.backwards = all}).plan(32, 32).backwards.at(0).cotangents;
        EXPECT_EQ(deepest_first.front(), kPredicted) << family;
        EXPECT_EQ(deepest_first.back(), kFeatureSum) << family;
    }
}

// A weight's gradient is taken with the layer's input: behind a group norm it is computed again instead of
// kept.
TEST(WeightNorms, NeedNoMoreMemoryThanTheirBackwardPass) {
    Backend& backend = *backends_under_test().front().backend;
    const Net net = build_random_net(backend, "bit-r50x1", 10, 1);
    Backward backward{.cotangent = kUniform, .input_gradient = true};
    const auto arena = [&] {
        return static_cast<double>(
            Executor(backend, net, {.backwards = {backward}}, {.micro_batch = 1}).plan(224, 224).arena_bytes);
    };
    const double plain = arena();
    for (const Node& node : net.nodes)
        if (!node.weight.empty()) backward.weight_norms.push_back({node.weight, 1});
    EXPECT_LE(arena(), 1.05 * plain);
}

// The squared norm alone reads outputs of standardised convolutions, kept in any case or small: the arena
// stays that of the other exponents within a twentieth, and the norms stay what they are.
TEST(WeightNorms, SquaresReadOutputsAndKeepFewMore) {
    const auto backend = make_cpu_backend({.threads = 1});
    const Net net = build_random_net(*backend, "bit-r50x1", 4, 1);
    const auto norms = [&](double p) {
        Backward backward{.cotangent = kUniform};
        for (const Node& node : net.nodes)
            if (!node.weight.empty()) backward.weight_norms.push_back({node.weight, p});
        return Request{.backwards = {backward}};
    };
    const auto reads = [](const Plan& plan) {
        size_t count = 0;
        for (const Step& step : plan.steps)
            if (step.what.starts_with("gradient norms")) count += step.reads.size();
        return count;
    };
    Executor first(*backend, net, norms(1)), second(*backend, net, norms(2));
    const Plan &absolute = first.plan(224, 224), &squares = second.plan(224, 224);
    EXPECT_GE(reads(squares), reads(absolute) + 10);
    EXPECT_LE(static_cast<double>(squares.arena_bytes), 1.05 * static_cast<double>(absolute.arena_bytes));
    const Request one = norms(1), two = norms(2);
    Request both = two;
    both.merge(one);
    const Images images(1, 96, 96);
    const Evidence alone = run(second, images), among = run(*backend, net, both, images);
    for (const WeightNorm& norm : two.backwards[0].weight_norms)
        EXPECT_NEAR(alone.weight_norm(kUniform, norm, 0) / among.weight_norm(kUniform, norm, 0), 1, 2e-6)
            << norm.parameter;
}

// ODIN's second pass is a forward pass on x - epsilon / scale[c] * sgn(g), sgn(0) = +1.
TEST(SecondPasses, AreForwardPassesOnTheChangedImage) {
    on_all_backends([](Backend& backend) {
        const Net net = family_net(backend, "wrn");
        const Images images(3, 33,
                            31);  // of an odd number of bytes: the second cotangent's rows lie anywhere
        const SecondPass plain{.epsilon = 0.02f}, scaled{.epsilon = 0.01f, .scale = {0.5f, 2, 3}},
            nothing{.epsilon = 0};
        const Cotangent warm{Cotangent::Kind::PredictedCrossEntropy, 10};
        const Request request{
            .logits = true,
            .backwards = {{.cotangent = kPredicted, .input_gradient = true, .second = {plain, nothing}},
                          {.cotangent = warm, .input_gradient = true, .second = {scaled, plain}}}};
        const Evidence e = run(backend, net, request, images);
        const auto second = [&](const Cotangent& cotangent, const SecondPass& pass) {
            Images changed = images;
            const std::vector<float>& g = e.input_gradients.at(cotangent).values;
            for (size_t i = 0; i < g.size(); ++i) {
                const float step = pass.scale.empty() ? pass.epsilon : pass.epsilon / pass.scale[i % 3];
                changed.pixels[i] -= g[i] >= 0 ? step : -step;
            }
            expect_same_in_any_batch(backend, "second logits", e.second(cotangent, pass).values,
                                     run(backend, net, {.logits = true}, changed).logits.values);
        };
        second(kPredicted, plain);
        second(kPredicted, nothing);
        second(warm, scaled);
        second(warm, plain);
        expect_same_in_any_batch(backend, "epsilon 0", e.second(kPredicted, nothing).values, e.logits.values);
    });
}

TEST(Requests, MergeIsAUnion) {
    Request a{.logits = true, .activations = {{"layer1", Reduction::Sum}}};
    a.backwards.push_back({.cotangent = kUniform, .gradients = {{"layer4", Reduction::Sum}}});
    Request b{.features = true, .activations = {{"layer1", Reduction::Sum}, {"layer1", Reduction::Mean}}};
    b.backwards.push_back({.cotangent = kUniform,
                           .gradients = {{"layer4", Reduction::Sum}, {"layer3", Reduction::Sum}},
                           .input_gradient = true});
    const Cotangent warm{Cotangent::Kind::UniformCrossEntropy, 2};
    b.backwards.push_back({.cotangent = warm, .second = {{.epsilon = 1}, {.epsilon = 1}, {.epsilon = 2}}});
    a.merge(b);
    a.merge(b);
    EXPECT_TRUE(a.logits && a.features);
    EXPECT_EQ(a.activations.size(), 2u);
    ASSERT_EQ(a.backwards.size(), 2u);
    EXPECT_EQ(a.backwards[0].gradients.size(), 2u);
    EXPECT_TRUE(a.backwards[0].input_gradient);
    EXPECT_FALSE(a.backwards[1].input_gradient);
    EXPECT_EQ(a.backwards[1].second.size(), 2u);
}

// A request that says a thing twice gets it once.
TEST(Requests, RepetitionsAreCollectedOnce) {
    Backend& backend = *backends_under_test().front().backend;
    const Net net = family_net(backend, "option_a");
    const TapReduction layer1{"layer1", Reduction::Sum};
    const Backward backward{.cotangent = kUniform,
                            .gradients = {layer1, layer1},
                            .second = {{.epsilon = 0.1f}, {.epsilon = 0.1f}}};
    const Request twice{.logits = true, .activations = {layer1, layer1}, .backwards = {backward, backward}};
    const Evidence e = run(backend, net, twice, Images(3, 32, 32), {.micro_batch = 2});
    EXPECT_EQ(e.activation(layer1).rows, 3);
    EXPECT_EQ(e.gradient(kUniform, layer1).rows, 3);
    EXPECT_EQ(e.second(kUniform, {.epsilon = 0.1f}).rows, 3);
    EXPECT_THROW(e.activation({"layer2", Reduction::Sum}), Error);
}

TEST(Requests, EmptyOnesGiveNothing) {
    Backend& backend = *backends_under_test().front().backend;
    const Net net = family_net(backend, "option_a");
    const Evidence e = run(backend, net, {}, Images(3, 32, 32));
    EXPECT_EQ(e.samples, 3);
    EXPECT_TRUE(e.logits.values.empty() && e.gradients.empty());
    Request nothing_down{.logits = true, .backwards = {{.cotangent = kUniform}}};
    Executor executor(backend, net, nothing_down);
    EXPECT_TRUE(executor.plan(32, 32).backwards.empty());
    EXPECT_EQ(executor.run({}, 0, 32, 32).samples, 0);
}

TEST(Requests, UnknownTapsAndLogitsAreUsageErrors) {
    Backend& backend = *backends_under_test().front().backend;
    const Net net = family_net(backend, "option_a");
    const auto with_gradient = [&](const std::string& tap) {
        return failure_of(ErrorKind::Usage, [&] {
            Executor(backend, net,
                     {.backwards = {{.cotangent = kUniform, .gradients = {{tap, Reduction::Sum}}}}})
                .plan(32, 32);
        });
    };
    EXPECT_THAT(with_gradient("layer7"), HasSubstr("layer 'layer7'"));
    EXPECT_THAT(with_gradient("linear"), HasSubstr("not at the logits"));
    EXPECT_THAT(failure_of(ErrorKind::Usage,
                           [&] {
                               Executor(backend, net, {.activations = {{"layer7", Reduction::Sum}}});
                           }),
                HasSubstr("layer 'layer7'"));
}

TEST(ImageSizes, TooSmallAndTooLargeOnesAreDataErrors) {
    Backend& backend = *backends_under_test().front().backend;
    const Net cifar = family_net(backend, "cifar_basic"), mobilenet = family_net(backend, "mobilenet");
    const auto refusal = [&](const Net& net, int64_t h, int64_t w) {
        return failure_of(ErrorKind::Data, [&] { Executor(backend, net, {.logits = true}).plan(h, w); });
    };
    EXPECT_THAT(refusal(cifar, 16, 20), testing::AllOf(HasSubstr("images of 20x16 do not fit"),
                                                       HasSubstr("average pool"), HasSubstr("--resize")));
    EXPECT_THAT(
        refusal(cifar, 64, 64),
        HasSubstr("(at an average pool of 4x4 over a map of 8x8); choose another --resize or --crop, or "
                  R"(run the weights under --arch with {"pool_window": 0})"));
    EXPECT_EQ(refusal(cifar, 56, 56), "no error");
    EXPECT_THAT(refusal(mobilenet, 0, 0), testing::Not(HasSubstr("pool_window")));
    EXPECT_THAT(refusal(mobilenet, 0, 5), HasSubstr("images of 5x0"));
    // A net that is put together wrongly is our fault, and not the images'.
    Net wrong = cifar;
    wrong.nodes.back().inputs = {0};
    EXPECT_THAT(failure_of(ErrorKind::Internal,
                           [&] {
                               infer_shapes(wrong, {1, 32, 32, 3});
                           }),
                HasSubstr("internal check failed"));
    EXPECT_EQ(failure_of(ErrorKind::Data, [&] { Executor(backend, mobilenet, {.logits = true}).plan(1, 1); }),
              "no error");
}

// FLOPs of published nets (multiply-adds counted twice) and how far a pass goes down.
TEST(PlanSummary, FlopsAndDepth) {
    Backend& backend = *backends_under_test().front().backend;
    const Net net = build_random_net(backend, "resnet34-cifar", 10, 1);
    Request request{.logits = true};
    Executor forward(backend, net, request);
    EXPECT_NEAR(forward.plan(32, 32).flops(Step::Phase::Forward) / 1e9, 2.32, 0.01);
    EXPECT_EQ(forward.plan(32, 32).flops(Step::Phase::Backward), 0);

    const auto with = [&](const Backward& backward) {
        Request more = request;
        more.backwards.push_back(backward);
        return Executor(backend, net, more);
    };
    Executor layer4 = with({.cotangent = kUniform, .gradients = {{"layer4", Reduction::Mean}}});
    EXPECT_EQ(layer4.plan(32, 32).backwards.at(0).deepest, "layer4");
    EXPECT_LT(layer4.plan(32, 32).flops(Step::Phase::Backward), 1e5);  // the head's, no convolution
    Executor image = with({.cotangent = kUniform, .input_gradient = true});
    EXPECT_EQ(image.plan(32, 32).backwards.at(0).deepest, "image");
    Executor pooled = with({.cotangent = kUniform, .gradients = {{"avgpool", Reduction::Sum}}});
    EXPECT_EQ(pooled.plan(32, 32).backwards.at(0).deepest, "avgpool");
    Executor bn1 = with({.cotangent = kUniform, .gradients = {{"layer2.0.bn1", Reduction::Sum}}});
    EXPECT_EQ(bn1.plan(32, 32).backwards.at(0).deepest, "layer2.0.bn1");
    EXPECT_EQ(image.plan(32, 32).backwards.at(0).nodes, image.plan(32, 32).backwards.at(0).nodes_of_net);
    // One data gradient costs a forward pass.
    EXPECT_NEAR(image.plan(32, 32).flops(Step::Phase::Backward) / 1e9, 2.32, 0.01);
    Executor odin = with({.cotangent = kUniform, .second = {{.epsilon = 0.1f}}});
    EXPECT_NEAR(odin.plan(32, 32).flops(Step::Phase::Second) / 1e9, 2.32, 0.01);
}

}  // namespace
}  // namespace gs::test
