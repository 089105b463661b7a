// Cotangents of given classes and of losses that the host differentiates; second passes that end at a tap.
#include <gmock/gmock.h>

#include "tests/passes/support.h"
#include "tests/support/failure.h"

namespace gs::test {
namespace {

using testing::HasSubstr;

// 1/2 |f - a|^2 of the tap's spatial mean f, a the same vector times (sample + 1).
class Distance : public HostLoss {
  public:
    explicit Distance(std::string tap) : tap_(std::move(tap)) {}
    std::string name() const override { return "distance at " + tap_; }
    std::string tap() const override { return tap_; }
    static float anchor(int64_t sample, size_t channel) {
        return 0.1f * static_cast<float>(sample + 1) * (channel % 2 == 0 ? 1.0f : -1.0f);
    }
    void gradient(int64_t sample, std::span<const float> f, std::span<float> df) const override {
        for (size_t c = 0; c < f.size(); ++c) df[c] = f[c] - anchor(sample, c);
    }

  private:
    std::string tap_;
};

// CE(z, labels[sample]) in float64.
class LabelCrossEntropy : public HostLoss {
  public:
    explicit LabelCrossEntropy(std::vector<size_t> labels) : labels_(std::move(labels)) {}
    std::string name() const override { return "cross entropy to the label"; }
    std::string tap() const override { return ""; }
    void gradient(int64_t sample, std::span<const float> z, std::span<float> dz) const override {
        double sum = 0;
        for (const float v : z) sum += std::exp(static_cast<double>(v));
        for (size_t c = 0; c < z.size(); ++c)
            dz[c] = static_cast<float>(std::exp(static_cast<double>(z[c])) / sum -
                                       (c == labels_.at(static_cast<size_t>(sample)) ? 1 : 0));
    }

  private:
    std::vector<size_t> labels_;
};

Cotangent host(std::shared_ptr<const HostLoss> loss) {
    Cotangent cotangent;
    cotangent.kind = Cotangent::Kind::Host;
    cotangent.loss = std::move(loss);
    return cotangent;
}

Cotangent of_class(Cotangent::Kind kind, int64_t target) {
    Cotangent cotangent;
    cotangent.kind = kind;
    cotangent.target = target;
    return cotangent;
}

std::vector<Backward> distances(const Net& net) {
    std::vector<Backward> backwards;
    std::vector<std::string> taps = net.stages;
    taps.push_back(net.pooled);
    for (const std::string& tap : taps)
        backwards.push_back({.cotangent = host(std::make_shared<Distance>(tap)),
                             .gradients = {{net.stages.front(), Reduction::Sum}},
                             .input_gradient = true,
                             .second = {{.epsilon = 0.01f, .tap = tap}}});
    return backwards;
}

class HostLosses : public testing::TestWithParam<std::string> {};

// One loss a stage, all in one growing stack beside a stack from the logits.
TEST_P(HostLosses, StackedGiveWhatEachGivesAlone) {
    on_all_backends([](Backend& backend) {
        const Net net = family_net(backend, GetParam());
        const Images images(3, 32, 40);
        std::vector<Backward> all = distances(net);
        all.insert(all.begin() + 1, Backward{.cotangent = kMaxLogit, .input_gradient = true});
        Executor executor(backend, net, {.logits = true, .backwards = all}, {.micro_batch = 2});
        EXPECT_EQ(executor.plan(32, 40).backwards.size(), 2u);
        const Evidence together = run(executor, images);
        for (const Backward& one : all) {
            const Evidence alone = run(backend, net, {.backwards = {one}}, images, {.micro_batch = 3});
            expect_same_in_any_batch(backend, to_string(one.cotangent),
                                     together.input_gradients.at(one.cotangent).values,
                                     alone.input_gradients.at(one.cotangent).values);
            for (const TapReduction& tap : one.gradients)
                expect_same_in_any_batch(backend, tap.tap, together.gradient(one.cotangent, tap).values,
                                         alone.gradient(one.cotangent, tap).values);
        }
    });
}

// The loss falls along its gradient as the gradient says: a central difference in float64 of float32 means.
TEST_P(HostLosses, GradientIsTheSlopeOfTheLoss) {
    Backend& backend = *backends_under_test().back().backend;
    const Net net = family_net(backend, GetParam());
    const ref::Tensor<float> x = GoldenNet(GoldenCase{GetParam()}).input();
    const auto image = static_cast<size_t>(x.shape.per_sample());
    for (const Backward& one : distances(net)) {
        const TapReduction mean{one.cotangent.start(), Reduction::Mean};
        SCOPED_TRACE(mean.tap);
        Executor executor(backend, net, {.activations = {mean}, .backwards = {one}});
        const Evidence e = executor.run(x.values, x.shape.n, x.shape.h, x.shape.w);
        const std::vector<float>& g = e.input_gradients.at(one.cotangent).values;
        for (int64_t n = 0; n < x.shape.n; ++n) {
            const size_t at = static_cast<size_t>(n) * image;
            double squares = 0;
            for (size_t i = 0; i < image; ++i) squares += static_cast<double>(g[at + i]) * g[at + i];
            ASSERT_GT(squares, 0);
            const double h = 2e-3 / std::sqrt(squares);
            const auto moved = [&](double step) {
                std::vector<float> pixels(x.values);
                for (size_t i = 0; i < image; ++i) pixels[at + i] += static_cast<float>(step * g[at + i]);
                const Evidence there = executor.run(pixels, x.shape.n, x.shape.h, x.shape.w);
                const auto f = there.activation(mean).row(n);
                double loss = 0;
                for (size_t c = 0; c < f.size(); ++c)
                    loss += 0.5 * std::pow(static_cast<double>(f[c]) - Distance::anchor(n, c), 2);
                return loss;
            };
            // ReLU kinks, and float32 means whose differences are a thousandth of them.
            EXPECT_NEAR((moved(h) - moved(-h)) / (2 * h) / squares, 1, 0.03) << "sample " << n;
        }
    }
}

TEST_P(HostLosses, SecondPassesEndAtTheirTap) {
    on_all_backends([](Backend& backend) {
        const Net net = family_net(backend, GetParam());
        const Images images(3, 32, 32);
        const std::vector<Backward> all = distances(net);
        const Evidence e = run(backend, net, {.backwards = all}, images);
        for (const Backward& one : all) {
            Images changed = images;
            const std::vector<float>& g = e.input_gradients.at(one.cotangent).values;
            for (size_t i = 0; i < g.size(); ++i) changed.pixels[i] -= g[i] >= 0 ? 0.01f : -0.01f;
            const TapReduction mean{one.second[0].tap, Reduction::Mean};
            expect_same_in_any_batch(
                backend, mean.tap, e.second(one.cotangent, one.second[0]).values,
                run(backend, net, {.activations = {mean}}, changed).activation(mean).values);
        }
        const auto flops = [&](const Backward& one) {
            return Executor(backend, net, {.backwards = {one}}).plan(32, 32).flops(Step::Phase::Second);
        };
        EXPECT_LT(flops(all[0]), flops(all.back()));  // the first stage's ends early
    });
}

INSTANTIATE_TEST_SUITE_P(All, HostLosses, testing::ValuesIn(families()),
                         [](const auto& p) { return p.param; });

// Labels go by the image's place in the run, whatever the micro-batches.
// They were planned, and not collected.
TEST(Cotangents, ThatDoNotComeThroughTheLogitsHaveNoNormsOfTheHead) {
    Backend& backend = *backends_under_test().front().backend;
    const Net net = family_net(backend, "cifar_openood");
    Cotangent features;
    features.kind = Cotangent::Kind::FeatureSum;
    for (const std::string& parameter : net.nodes.back().parameters) {
        const Request request{.backwards = {{.cotangent = features, .weight_norms = {{parameter, 1}}}}};
        try {
            Executor(backend, net, request).plan(32, 32);
            ADD_FAILURE() << parameter;
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::Usage);
            EXPECT_NE(std::string(error.what()).find("'" + parameter + "' has no gradient of it"),
                      std::string::npos)
                << error.what();
        }
    }
}

TEST(HostLossesAtTheLogits, KnowWhichImageTheyDifferentiate) {
    on_all_backends([](Backend& backend) {
        const Net net = family_net(backend, "wrn");
        const Images images(5, 32, 32);
        const std::vector<size_t> labels = {3, 0, 1, 3, 2};
        const Cotangent loss = host(std::make_shared<LabelCrossEntropy>(labels));
        const Evidence e = run(backend, net, {.backwards = {{.cotangent = loss, .input_gradient = true}}},
                               images, {.micro_batch = 2});
        for (size_t n = 0; n < labels.size(); ++n) {
            const Cotangent of_label =
                of_class(Cotangent::Kind::ClassCrossEntropy, static_cast<int64_t>(labels[n]));
            const Evidence want =
                run(backend, net, {.backwards = {{.cotangent = of_label, .input_gradient = true}}}, images);
            const auto row = [&](const Evidence& from, const Cotangent& c) {
                const auto span = from.input_gradients.at(c).row(static_cast<int64_t>(n));
                return std::vector<float>(span.begin(), span.end());
            };
            // Two ways to the same float32 seed, up to its last bit.
            expect_close("input gradient", row(e, loss), row(want, of_label), 1e-5);
        }
    });
}

// More cotangents than one stack takes: the pass is walked again, with the same result.
TEST(ClassCotangents, ManyAreSplitIntoStacks) {
    Backend& backend = *backends_under_test().back().backend;
    const Net net = build_random_net(backend, "resnet20-cifar", 12, 1);
    const Images images(2, 32, 32);
    const TapReduction layer1{"layer1", Reduction::Sum};
    Request request;
    for (const auto kind : {Cotangent::Kind::ClassCrossEntropy, Cotangent::Kind::ClassBinaryCrossEntropy})
        for (int64_t c = 0; c < net.head.classes; ++c)
            request.backwards.push_back({.cotangent = of_class(kind, c), .gradients = {layer1}});
    ASSERT_GT(request.backwards.size(), 16u);
    Executor executor(backend, net, request);
    EXPECT_EQ(executor.plan(32, 32).backwards.size(), (request.backwards.size() + 15) / 16);
    const Evidence together = run(executor, images);
    for (const Backward& one : request.backwards)
        expect_same_bits(
            to_string(one.cotangent), together.gradient(one.cotangent, layer1).values,
            run(backend, net, {.backwards = {one}}, images).gradient(one.cotangent, layer1).values);
}

TEST(ClassCotangents, OfThePredictionAreThePredictedOnes) {
    on_all_backends([](Backend& backend) {
        const Net net = family_net(backend, "bit");
        const Images images(1, 32, 32);
        const Cotangent predicted{Cotangent::Kind::PredictedCrossEntropy, 1};
        const Evidence e =
            run(backend, net,
                {.logits = true, .backwards = {{.cotangent = predicted, .input_gradient = true}}}, images);
        const auto z = e.logits.row(0);
        const Cotangent same =
            of_class(Cotangent::Kind::ClassCrossEntropy, std::max_element(z.begin(), z.end()) - z.begin());
        const Evidence of_class_evidence =
            run(backend, net, {.backwards = {{.cotangent = same, .input_gradient = true}}}, images);
        expect_same_bits("input gradient", of_class_evidence.input_gradients.at(same).values,
                         e.input_gradients.at(predicted).values);
    });
}

TEST(Cotangents, WrongOnesAreUsageErrors) {
    Backend& backend = *backends_under_test().front().backend;
    const Net net = family_net(backend, "option_a");
    const auto refusal = [&](const Backward& backward) {
        return failure_of(ErrorKind::Usage,
                          [&] { Executor(backend, net, {.backwards = {backward}}).plan(32, 32); });
    };
    const int64_t classes = net.head.classes;
    EXPECT_THAT(
        refusal({.cotangent = of_class(Cotangent::Kind::ClassCrossEntropy, classes), .input_gradient = true}),
        HasSubstr("classes"));
    EXPECT_THAT(refusal({.cotangent = host(std::make_shared<Distance>("layer1")),
                         .gradients = {{"layer3", Reduction::Sum}}}),
                HasSubstr("starts at 'layer1'"));
    EXPECT_THAT(
        refusal({.cotangent = host(std::make_shared<Distance>("layer1.0.bn1")), .input_gradient = true}),
        HasSubstr("at the output of a stage"));
    EXPECT_THAT(refusal({.cotangent = host(std::make_shared<Distance>("layer9")), .input_gradient = true}),
                HasSubstr("layer 'layer9'"));
}

}  // namespace
}  // namespace gs::test
