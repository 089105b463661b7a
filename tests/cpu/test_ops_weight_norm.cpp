// Per-sample norms of weight gradients against the gradient itself, in double.
#include <gtest/gtest.h>

#include <limits>

#include "tests/reference/weight_gradient.h"
#include "tests/support/maps.h"
#include "tests/support/standardised_case.h"

namespace gs::test {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

struct NormCase {
    std::string name;
    Shape x;
    ConvSpec spec;
    bool scaled = false, standardised = false;
};

const std::vector<NormCase>& norm_cases() {
    static const std::vector<NormCase> cases = {
        {"stem 7x7/2, three channels, standardised", {2, 15, 13, 3}, {3, 16, 7, 7, 2, 3, 1}, true, true},
        {"3x3, folded norm", {2, 8, 8, 32}, {32, 48, 3, 3, 1, 1, 1}, true, false},
        {"3x3/2, channels that divide nothing", {1, 9, 7, 33}, {33, 17, 3, 3, 2, 1, 1}, false, false},
        {"1x1, standardised", {2, 6, 5, 64}, {64, 40, 1, 1, 1, 0, 1}, true, true},
        {"1x1/2 shortcut", {2, 7, 7, 16}, {16, 32, 1, 1, 2, 0, 1}, true, false},
        {"many positions, more than one block", {1, 30, 31, 8}, {8, 24, 3, 3, 1, 1, 1}, false, true},
        {"wide: more than one group of outputs", {1, 4, 4, 256}, {256, 96, 3, 3, 1, 1, 1}, true, false},
        {"3x3/2, whole panels", {1, 8, 6, 32}, {32, 13, 3, 3, 2, 1, 1}, true, true},
        {"5x5 wider than the map", {3, 2, 3, 32}, {32, 25, 5, 5, 1, 2, 1}, true, false},
        {"7x7/2 without padding", {1, 17, 19, 3}, {3, 10, 7, 7, 2, 0, 1}, false, false},
        {"fan-in of more than a few hundred vectors", {1, 2, 2, 520}, {520, 13, 3, 3, 1, 1, 1}, true, false},
        {"even kernel, one output", {2, 6, 6, 40}, {40, 1, 2, 2, 1, 0, 1}, false, true},
        {"linear, standardised", {2, 1, 1, 70}, {70, 30, 1, 1, 1, 0, 1}, true, true},
        {"one pixel, 3x3", {2, 1, 1, 20}, {20, 12, 3, 3, 1, 1, 1}, false, false},
        {"linear", {3, 1, 1, 50}, {50, 10, 1, 1, 1, 0, 1}, false, false},
        {"one pixel, 1x1 with padding", {2, 1, 1, 20}, {20, 12, 1, 1, 1, 1, 1}, true, false},
        {"depthwise 3x3", {2, 9, 8, 24}, {24, 24, 3, 3, 1, 1, 24}, true, false},
        {"depthwise 3x3/2, one channel", {2, 7, 6, 1}, {1, 1, 3, 3, 2, 1, 1}, false, false}};
    return cases;
}

class WeightGradientNormTest : public testing::TestWithParam<size_t> {
  protected:
    static constexpr int64_t kCotangents = 2;
    NormCase c_ = norm_cases()[GetParam()];
    Shape y_ = c_.spec.output_shape(c_.x);

    std::vector<float> channels() const {
        if (!c_.scaled) return {};
        return random_tensor({1, 1, 1, y_.c}, Fill::OffKinks, 3).values;
    }
    std::vector<float> weights() const {
        if (!c_.standardised) return {};
        return random_tensor({1, y_.c, c_.spec.kernel_h * c_.spec.kernel_w, c_.x.c}, Fill::Normal, 4).values;
    }

    // [exponent][row]
    std::vector<std::vector<float>> run(const Maps& maps, Backend& backend, const ref::Tensor<float>& x,
                                        const ref::Tensor<float>& dy, const std::vector<double>& ps) const {
        const DeviceTensor in = maps.put(backend, x), delta = maps.put(backend, dy),
                           scale(backend, channels());
        ref::Tensor<float> standardised(Shape{1, y_.c, c_.spec.kernel_h * c_.spec.kernel_w, c_.x.c});
        if (c_.standardised) standardised.values = weights();
        const DeviceTensor w(backend, standardised);
        std::vector<DeviceTensor> outs;
        std::vector<PowerSum> norms;
        for (size_t i = 0; i < ps.size(); ++i) outs.emplace_back(backend, Shape{dy.shape.n, 1, 1, 1});
        for (size_t i = 0; i < ps.size(); ++i) norms.push_back({ps[i], outs[i]});
        backend.weight_gradient_norm({.spec = c_.spec,
                                      .x = in,
                                      .dy = delta,
                                      .scale = c_.scaled ? scale.view() : View{},
                                      .standardised = c_.standardised ? w.view() : View{},
                                      .norms = norms});
        std::vector<std::vector<float>> values;
        for (const DeviceTensor& out : outs) values.push_back(out.download().values);
        return values;
    }
    void expect_gamma(const Maps& maps) const;

    static double norm(const std::vector<double>& values, double p) {
        return root(ref::power_sum(values, p), p);
    }
    static double root(double sum, double p) { return std::isinf(p) ? sum : std::pow(sum, 1 / p); }

    // Each row's norm as the operation gives it, of standardised weights with the output where it reads that.
    std::vector<double> fused_norms(Backend& backend, const ref::Tensor<float>& x,
                                    const ref::Tensor<float>& dy, const StandardisedCase& weights,
                                    double p) const {
        const DeviceTensor in(backend, x), delta(backend, dy), scale(backend, channels()),
            w(backend, weights.by_tap), squares(backend, weights.squares), output(backend, weights.output),
            out(backend, Shape{dy.shape.n, 1, 1, 1});
        const PowerSum sum{p, out};
        WeightGradientNorm args{.spec = c_.spec, .x = in, .dy = delta, .norms = {&sum, 1}};
        if (c_.scaled) args.scale = scale;
        if (c_.standardised) args.standardised = w;
        if (c_.standardised && p == 2 && backend.squared_norm_reads_output(c_.spec, c_.x.with_n(1)))
            args.output = {output, squares};
        backend.weight_gradient_norm(args);
        std::vector<double> norms;
        for (const float v : out.download().values) norms.push_back(root(v, p));
        return norms;
    }
    // The same of gradients in memory, [exponent][row].
    std::vector<std::vector<double>> norms_of_stored(Backend& backend, const ref::Tensor<float>& x,
                                                     const ref::Tensor<float>& dy,
                                                     const StandardisedCase& weights,
                                                     const std::vector<double>& ps) const {
        const Shape shape = weight_shape(c_.spec);
        const auto convolution = backend.make_convolution(c_.spec, weights.run, {});
        const DeviceTensor in(backend, x), delta(backend, dy), scale(backend, channels()), g(backend, shape),
            w(backend, weights.run);
        std::vector<std::vector<double>> norms(ps.size());
        for (int64_t row = 0; row < dy.shape.n; ++row) {
            convolution->backward_weights(in.view().samples(row % x.shape.n, 1), delta.view().samples(row, 1),
                                          g);
            StoredWeightGradient stored{.g = g, .dw = g};
            if (c_.scaled) stored.scale = scale;
            if (c_.standardised) stored.standardised = w.view().reshaped(shape);
            backend.stored_weight_gradient(stored);
            for (size_t i = 0; i < ps.size(); ++i)
                norms[i].push_back(norm(ref::cast<double>(g.download().values), ps[i]));
        }
        return norms;
    }
    std::vector<float> run(const Maps& maps, Backend& backend, const ref::Tensor<float>& x,
                           const ref::Tensor<float>& dy, double p) const {
        return run(maps, backend, x, dy, std::vector{p}).at(0);
    }

    void expect_norms(const Maps& maps, Fill fill, double p, double tol) const {
        const auto x = maps.random(c_.x, fill, 1), dy = maps.random(y_.with_n(kCotangents * y_.n), fill, 2);
        std::vector<double> want;
        for (int64_t r = 0; r < dy.shape.n; ++r)
            want.push_back(ref::power_sum(
                ref::stored_gradient(
                    ref::weight_gradient(c_.spec, ref::cast<double>(x), ref::cast<double>(dy), r), y_.c,
                    channels(), weights()),
                p));
        maps.on_every_backend([&](Backend& backend) {
            expect_close(c_.name + ", p = " + std::to_string(p), run(maps, backend, x, dy, p), want, tol);
        });
    }
};

// Sums over up to 930 positions in float32: near 1e-7 of an element, and less of a norm. A power sum
// multiplies the relative error by p; roots of small elements are the least accurate.
TEST_P(WeightGradientNormTest, EqualsTheNormOfTheGradient) {
    on_every_map_type([&](const Maps& maps) {
        for (const double p : {1.0, 2.0, 3.0, kInf}) expect_norms(maps, Fill::Normal, p, 2e-6);
        expect_norms(maps, Fill::Normal, 0.5, 2e-5);
    });
}

// Of the norm, not its power: relative to a norm in double, no more than twice what the norm of a float32
// gradient errs that was stored and projected as in training. Also by the squared norm's own routes.
TEST_P(WeightGradientNormTest, AsAccurateAsTheStoredGradient) {
    const auto x = random_tensor(c_.x, Fill::Normal, 1), dy = random_tensor(y_, Fill::Normal, 2);
    const StandardisedCase weights(c_.spec, x);
    const std::vector<double> ps = {0.5, 1, 2, 3, kInf};
    on_every_backend(
        [&](Backend& backend) {
            const std::vector<std::vector<double>> stored = norms_of_stored(backend, x, dy, weights, ps);
            for (size_t i = 0; i < ps.size(); ++i) {
                const std::vector<double> fused = fused_norms(backend, x, dy, weights, ps[i]);
                for (int64_t row = 0; row < dy.shape.n; ++row) {
                    const auto at = static_cast<size_t>(row);
                    const double want = norm(
                        ref::stored_gradient(
                            ref::weight_gradient(c_.spec, ref::cast<double>(x), ref::cast<double>(dy), row),
                            y_.c, channels(), c_.standardised ? weights.by_tap : std::vector<float>{}),
                        ps[i]);
                    const double allowed = std::max(2 * std::abs(stored[i][at] / want - 1), 1e-6);
                    EXPECT_NEAR(fused[at] / want, 1, allowed)
                        << backend.description() << ", p = " << ps[i] << ", row " << row;
                }
            }
        },
        false);
}

// Other exponents share the product but not its reduction: float32 sums in another order.
TEST_P(WeightGradientNormTest, SeveralExponentsAtOnce) {
    const std::vector<double> ps = {1, 2, 0.5, kInf};
    on_every_map_type([&](const Maps& maps) {
        const auto x = maps.random(c_.x, Fill::Normal, 1),
                   dy = maps.random(y_.with_n(3 * c_.x.n), Fill::Normal, 2);
        maps.on_every_backend([&](Backend& backend) {
            const auto together = run(maps, backend, x, dy, ps);
            for (size_t i = 0; i < ps.size(); ++i) {
                const std::vector<float> alone = run(maps, backend, x, dy, ps[i]);
                expect_close(c_.name + ", p = " + std::to_string(ps[i]), together.at(i),
                             std::vector<double>(alone.begin(), alone.end()), 2e-6);
            }
        });
    });
}

// A NaN is nowhere lost, not by the largest either.
TEST_P(WeightGradientNormTest, KeepsNaN) {
    const auto x = random_tensor(c_.x, Fill::Normal, 1);
    auto dy = random_tensor(y_, Fill::Normal, 2);
    dy.values.back() = std::numeric_limits<float>::quiet_NaN();
    on_every_map_type([&](const Maps& maps) {
        maps.on_every_backend([&](Backend& backend) {
            for (const double p : {1.0, 2.0, 3.0, kInf})
                EXPECT_TRUE(std::isnan(run(maps, backend, x, dy, p).back())) << p;
        });
    });
}

// Gamma of a folded norm from the same product, with norms and without.
TEST_P(WeightGradientNormTest, GammaOfAFoldedNorm) {
    if (!c_.standardised) on_every_map_type([&](const Maps& maps) { expect_gamma(maps); });
}

void WeightGradientNormTest::expect_gamma(const Maps& maps) const {
    const int64_t rows = kCotangents * y_.n;
    const auto x = maps.random(c_.x, Fill::Normal, 1), dy = maps.random(y_.with_n(rows), Fill::Normal, 2);
    const Shape sums{rows, 1, 1, y_.c};
    const auto w = random_tensor({1, 1, 1, weight_shape(c_.spec).size()}, Fill::Normal, 5),
               beta = random_tensor(sums, Fill::Normal, 6);
    const auto shift = random_values(y_.c, Fill::Normal, 7);
    ref::Tensor<double> want(sums);
    std::vector<double> want_norms;
    for (int64_t r = 0; r < rows; ++r) {
        const auto g = ref::weight_gradient(c_.spec, ref::cast<double>(x), ref::cast<double>(dy), r);
        const size_t fan_in = g.size() / static_cast<size_t>(y_.c);
        for (int64_t o = 0; o < y_.c; ++o)
            want.at(r, 0, 0, o) = static_cast<double>(shift[static_cast<size_t>(o)]) * beta.at(r, 0, 0, o);
        for (size_t k = 0; k < g.size(); ++k)
            want.at(r, 0, 0, static_cast<int64_t>(k / fan_in)) += g[k] * static_cast<double>(w.values[k]);
        want_norms.push_back(ref::power_sum(ref::stored_gradient(g, y_.c, channels(), {}), 2));
    }
    maps.on_every_backend([&](Backend& backend) {
        const DeviceTensor in = maps.put(backend, x), delta = maps.put(backend, dy), unit(backend, w),
                           dbeta(backend, beta), shifts(backend, shift), scale(backend, channels()),
                           gamma(backend, sums), out(backend, Shape{rows, 1, 1, 1});
        const PowerSum norm{2, out};
        for (const bool with_norm : {false, true}) {
            backend.weight_gradient_norm(
                {.spec = c_.spec,
                 .x = in,
                 .dy = delta,
                 .scale = c_.scaled ? scale.view() : View{},
                 .norms = with_norm ? std::span(&norm, 1) : std::span<const PowerSum>{},
                 .gamma = {unit, shifts, dbeta, gamma}});
            expect_close("gamma", gamma.download(), want, 3e-6);
        }
        expect_close("norms beside it", out.download().values, want_norms, 3e-6);
    });
}

TEST(PowerSums, OfScaledRows) {
    for (const double p : {0.5, 1.0, 2.0, kInf})
        for (const bool scaled : {false, true}) {
            const auto x = random_tensor({5, 1, 1, 37}, Fill::Normal, 1);
            const auto scale = random_values(37, Fill::OffKinks, 2);
            std::vector<double> want;
            for (size_t r = 0; r < 5; ++r) {
                std::vector<double> row(x.values.begin() + static_cast<std::ptrdiff_t>(r) * 37,
                                        x.values.begin() + static_cast<std::ptrdiff_t>(r + 1) * 37);
                for (size_t c = 0; c < 37; ++c) row[c] *= scaled ? scale[c] : 1.0f;
                want.push_back(ref::power_sum(row, p));
            }
            on_every_backend([&](Backend& backend) {
                const DeviceTensor in(backend, x), factors(backend, scale), out(backend, Shape{5, 1, 1, 1});
                const PowerSum sum{p, out};
                backend.power_sums(in, scaled ? factors.view() : View{}, {&sum, 1});
                expect_close("sums", out.download().values, want, 1e-7);  // float64, rounded once
            });
        }
}

// Small integers are exact until the projection divides.
TEST_P(WeightGradientNormTest, IsExactOnSmallIntegers) {
    c_.scaled = c_.standardised = false;
    on_every_map_type([&](const Maps& maps) {
        for (const double p : {1.0, 2.0, kInf}) expect_norms(maps, Fill::SmallIntegers, p, 6e-8);
    });
}

TEST_P(WeightGradientNormTest, SameBitsForAnyThreadsAndBatch) {
    on_every_map_type([&](const Maps& maps) {
        const auto x = maps.random(c_.x, Fill::Normal, 1), dy = maps.random(y_, Fill::Normal, 2);
        for (const BackendUnderTest& b : maps.backends()) {
            SCOPED_TRACE(b.name);
            const std::vector<float> want = run(maps, *b.backend, x, dy, 1);
            for (const int threads : {2, 3})
                EXPECT_EQ(run(maps, *b.make(threads), x, dy, 1), want) << threads << " threads";
            const auto first = [](const ref::Tensor<float>& t) {
                ref::Tensor<float> one(t.shape.with_n(1));
                std::copy_n(t.values.begin(), one.values.size(), one.values.begin());
                return one;
            };
            EXPECT_EQ(run(maps, *b.backend, first(x), first(dy), 1).at(0), want[0]) << "alone";
        }
    });
}

INSTANTIATE_TEST_SUITE_P(Shapes, WeightGradientNormTest, testing::Range(size_t{0}, norm_cases().size()));

}  // namespace
}  // namespace gs::test
