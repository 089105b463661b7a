// Nets that no family has, made by hand to meet the planner's rare cases: a gradient that two branches share
// and both would overwrite, a value that is read before and after its activation, a value added to itself.
#include "layers/norm.h"
#include "layers/pointwise.h"
#include "layers/pool.h"
#include "tests/passes/support.h"

namespace gs::test {
namespace {

constexpr int64_t kChannels = 32, kSize = 6;

class Handmade {
  public:
    explicit Handmade(Backend& backend) : backend_(backend) {
        net.name = "handmade";
        stem = add("stem", conv(3, kChannels, 3, 1), {0});
    }
    ValueId add(const std::string& name, LayerPtr layer, const std::vector<ValueId>& inputs) {
        net.nodes.push_back({.name = name, .layer = std::move(layer), .inputs = inputs});
        const auto value = static_cast<ValueId>(net.nodes.size());
        if (!name.empty()) net.taps[name] = {value, false};
        return value;
    }
    LayerPtr conv(int64_t in, int64_t out, int64_t kernel, uint64_t seed) const {
        ConvolutionWeights weights{.spec = {.in_channels = in,
                                            .out_channels = out,
                                            .kernel_h = kernel,
                                            .kernel_w = kernel,
                                            .pad = kernel / 2},
                                   .weights = random_values(out * in * kernel * kernel, Fill::Normal, seed),
                                   .bias = random_values(out, Fill::Normal, seed + 1)};
        return std::make_shared<Conv2d>(backend_, weights);
    }
    // Multiplies channels by scale(seed), and shifts them.
    LayerPtr norm(uint64_t seed) const {
        return std::make_shared<FrozenNorm>(
            backend_, FrozenStatistics{.gamma = scale(seed),
                                       .beta = random_values(kChannels, Fill::Normal, seed + 1),
                                       .mean = std::vector<float>(kChannels),
                                       .var = std::vector<float>(kChannels, 1.0f),
                                       .eps = 0});
    }
    LayerPtr group_norm(uint64_t seed) const {
        return std::make_shared<GroupNorm>(backend_, 4, 1e-5f, scale(seed),
                                           random_values(kChannels, Fill::Normal, seed + 1));
    }
    static std::vector<float> scale(uint64_t seed) { return random_values(kChannels, Fill::OffKinks, seed); }
    Net finish(ValueId x) {
        net.pooled = "pooled";
        const ValueId pooled = add("pooled", std::make_shared<AveragePool>(), {x});
        add("head", conv(kChannels, 7, 1, 90), {pooled});
        return net;
    }

    Net net;
    ValueId stem;

  private:
    Backend& backend_;
};

// The gradient of each of `cotangents` at `taps` and at the image, fused or not, alone or together.
void expect_one_answer(Backend& backend, const Net& net, const std::vector<std::string>& taps) {
    const Images images(2, kSize, kSize);
    Request request{.logits = true, .features = true};
    for (const Cotangent& cotangent : {kUniform, kMaxLogit, kFeatureSum}) {
        Backward backward{.cotangent = cotangent, .input_gradient = cotangent == kMaxLogit};
        for (const std::string& tap : taps) backward.gradients.push_back({tap, Reduction::Sum});
        request.backwards.push_back(backward);
    }
    const Evidence fused = run(backend, net, request, images);
    const Evidence plain = run(backend, net, request, images, {.fuse = false});
    compare_evidence(fused, plain, [](const std::string& what, const auto& got, const auto& want) {
        expect_close(what, got, want, 1e-5);
    });
    for (const Backward& backward : request.backwards)
        for (const std::string& tap : taps) {
            const TapReduction reduction{tap, Reduction::Sum};
            const Evidence alone =
                run(backend, net,
                    {.backwards = {{.cotangent = backward.cotangent, .gradients = {reduction}}}}, images);
            expect_same_in_any_batch(backend, tap, fused.gradient(backward.cotangent, reduction).values,
                                     alone.gradient(backward.cotangent, reduction).values);
        }
    // The slope of the largest logit along its own input gradient.
    const std::vector<float>& g = fused.input_gradients.at(kMaxLogit).values;
    double squares = 0, before = 0, after = 0;
    for (const float v : g) squares += static_cast<double>(v) * v;
    const double h = 1e-3 / std::sqrt(squares);
    const auto sum_of_largest = [&](double step) {
        Images moved = images;
        for (size_t i = 0; i < g.size(); ++i) moved.pixels[i] += static_cast<float>(step * g[i]);
        const Evidence e = run(backend, net, {.logits = true}, moved);
        double sum = 0;
        for (int64_t n = 0; n < images.n; ++n) {
            const auto z = fused.logits.row(n);
            const auto k = static_cast<size_t>(std::max_element(z.begin(), z.end()) - z.begin());
            sum += e.logits.row(n)[k];
        }
        return sum;
    };
    after = sum_of_largest(h);
    before = sum_of_largest(-h);
    EXPECT_NEAR((after - before) / (2 * h) / squares, 1, 0.03);
}

// y = n1(a) + n2(a): one gradient goes to both norms, and each would write its own over it.
TEST(OddNets, NormsOnBothSidesOfASum) {
    on_all_backends([](Backend& backend) {
        for (const bool grouped : {false, true}) {
            Handmade made(backend);
            const ValueId left = made.add("n1", grouped ? made.group_norm(10) : made.norm(10), {made.stem});
            const ValueId right = made.add("n2", grouped ? made.group_norm(20) : made.norm(20), {made.stem});
            const Net net = made.finish(made.add("sum", std::make_shared<Add>(), {left, right}));
            expect_one_answer(backend, net, {"n1", "n2", "stem"});
            if (grouped) continue;
            // Sum of features: the gradient at `stem`, summed over positions, is the sum of both scales.
            const TapReduction tap{"stem", Reduction::Sum};
            const Evidence e =
                run(backend, net, {.backwards = {{.cotangent = kFeatureSum, .gradients = {tap}}}},
                    Images(1, kSize, kSize));
            std::vector<double> want;
            for (size_t c = 0; c < kChannels; ++c)
                want.push_back(static_cast<double>(made.scale(10)[c]) + made.scale(20)[c]);
            expect_close("both scales", e.gradient(kFeatureSum, tap).values, want, 1e-6);
        }
    });
}

// y = relu(n(a)) + n(a): the norm's output is read with and without its activation, so they must stay apart.
TEST(OddNets, ValueReadBeforeAndAfterItsActivation) {
    on_all_backends([](Backend& backend) {
        for (const Activation activation : {Activation::Relu, Activation::Relu6}) {
            Handmade made(backend);
            const ValueId norm = made.add("n", made.norm(10), {made.stem});
            const ValueId relu = made.add("relu", std::make_shared<Relu>(activation), {norm});
            const Net net = made.finish(made.add("sum", std::make_shared<Add>(), {relu, norm}));
            EXPECT_EQ(fuse(net).nodes.size(), net.nodes.size());
            expect_one_answer(backend, net, {"n", "relu", "sum", "stem"});
        }
    });
}

// Two norms read one sum: only one can find its statistics ready. And a sum of three branches.
TEST(OddNets, TwoNormsOfOneSum) {
    on_all_backends([](Backend& backend) {
        Handmade made(backend);
        const ValueId other = made.add("other", made.conv(kChannels, kChannels, 3, 30), {made.stem});
        const ValueId sum = made.add("sum", std::make_shared<Add>(), {other, made.stem});
        const ValueId a =
            made.add("", std::make_shared<Relu>(), {made.add("n1", made.group_norm(10), {sum})});
        const ValueId b =
            made.add("", std::make_shared<Relu>(), {made.add("n2", made.group_norm(20), {sum})});
        const ValueId ab = made.add("ab", std::make_shared<Add>(), {a, b});
        const Net net = made.finish(made.add("abc", std::make_shared<Add>(), {ab, sum}));
        expect_one_answer(backend, net, {"n1", "n2", "ab", "sum", "other", "stem"});
    });
}

TEST(OddNets, ValueAddedToItself) {
    on_all_backends([](Backend& backend) {
        Handmade made(backend);
        const ValueId relu = made.add("relu", std::make_shared<Relu>(), {made.stem});
        const Net net = made.finish(made.add("twice", std::make_shared<Add>(), {relu, relu}));
        expect_one_answer(backend, net, {"relu", "stem"});
    });
}

}  // namespace
}  // namespace gs::test
