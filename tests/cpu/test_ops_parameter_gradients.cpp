// Gradients of stored weights and of norms' gammas, beside the sweeps that feed them.
#include <gtest/gtest.h>

#include "tests/reference/group_norm.h"
#include "tests/reference/pointwise.h"
#include "tests/reference/pooling.h"
#include "tests/reference/weight_gradient.h"
#include "tests/support/maps.h"

namespace gs::test {
namespace {

struct StoredCase {
    Shape weights;
    bool scaled, standardised, in_place;
    Grad mode;
};

std::vector<StoredCase> stored_cases() {
    std::vector<StoredCase> cases;
    for (const Shape& shape :
         {Shape{3, 5, 1, 1}, Shape{7, 3, 3, 3}, Shape{5, 130, 1, 1}, Shape{2, 600, 3, 3}})
        for (const bool scaled : {false, true})
            for (const bool standardised : {false, true}) {
                cases.push_back({shape, scaled, standardised, false, Grad::Overwrite});
                cases.push_back({shape, scaled, standardised, true, Grad::Overwrite});
                cases.push_back({shape, scaled, standardised, false, Grad::Add});
            }
    return cases;
}

// What the operation leaves in dw and in gamma's gradient.
std::pair<std::vector<float>, std::vector<float>> run_stored(Backend& backend, const StoredCase& c,
                                                             Fill fill) {
    const int64_t outputs = c.weights.n;
    const DeviceTensor g(backend, random_tensor(c.weights, fill, 1)),
        w(backend, random_tensor(c.weights, fill, 2)), scale(backend, random_values(outputs, fill, 3)),
        shift(backend, random_values(outputs, fill, 4)), dbeta(backend, random_values(outputs, fill, 5)),
        dgamma(backend, random_values(outputs, fill, 6)), dw(backend, random_tensor(c.weights, fill, 7));
    backend.stored_weight_gradient({.g = g,
                                    .scale = c.scaled ? scale.view() : View{},
                                    .standardised = c.standardised ? w.view() : View{},
                                    .gamma = {w, shift, dbeta, dgamma},
                                    .dw = c.in_place ? g.view() : dw.view(),
                                    .mode = c.mode});
    return {(c.in_place ? g : dw).download().values, dgamma.download().values};
}

void expect_stored(const StoredCase& c, Fill fill, double tol) {
    const int64_t outputs = c.weights.n;
    const auto values = [&](uint64_t seed) { return random_values(c.weights.size(), fill, seed); };
    const auto channels = [&](uint64_t seed) { return random_values(outputs, fill, seed); };
    const std::vector<float> g = values(1), w = values(2), scale = channels(3), shift = channels(4),
                             dbeta = channels(5), before = values(7), gamma_before = channels(6);
    const bool adds = c.mode == Grad::Add;
    std::vector<double> want =
        ref::stored_gradient(ref::cast<double>(g), outputs, c.scaled ? scale : std::vector<float>{},
                             c.standardised ? w : std::vector<float>{});
    for (size_t i = 0; adds && i < want.size(); ++i) want[i] += before[i];
    std::vector<double> want_gamma;
    const size_t fan_in = g.size() / static_cast<size_t>(outputs);
    for (size_t o = 0; o < static_cast<size_t>(outputs); ++o) {
        double sum = static_cast<double>(shift[o]) * dbeta[o] + (adds ? gamma_before[o] : 0.0f);
        for (size_t k = 0; k < fan_in; ++k) sum += static_cast<double>(w[o * fan_in + k]) * g[o * fan_in + k];
        want_gamma.push_back(sum);
    }
    on_every_backend([&](Backend& backend) {
        const auto [dw, dgamma] = run_stored(backend, c, fill);
        expect_close("dw", dw, want, tol);
        expect_close("gamma", dgamma, want_gamma, tol);
    });
}

TEST(StoredWeightGradient, IsTheDefinition) {
    for (const StoredCase& c : stored_cases()) {
        SCOPED_TRACE(gs::to_string(c.weights));
        expect_stored(c, Fill::Normal, 2e-6);
        // The projection divides; the rest is exact.
        expect_stored(c, Fill::SmallIntegers, c.standardised ? 2e-6 : 0);
    }
}

TEST(StoredWeightGradient, GammaAlone) {
    on_every_backend([&](Backend& backend) {
        const DeviceTensor g(backend, random_tensor({3, 2, 1, 1}, Fill::SmallIntegers, 1)),
            w(backend, random_tensor({3, 2, 1, 1}, Fill::SmallIntegers, 2)),
            shift(backend, std::vector<float>{1, 2, 3}), dbeta(backend, std::vector<float>{5, 7, 11}),
            out(backend, Shape{1, 1, 1, 3});
        backend.stored_weight_gradient({.g = g, .gamma = {w, shift, dbeta, out}});
        const std::vector<float> a = g.download().values, b = w.download().values;
        EXPECT_EQ(out.download().values,
                  (std::vector<float>{a[0] * b[0] + a[1] * b[1] + 5, a[2] * b[2] + a[3] * b[3] + 14,
                                      a[4] * b[4] + a[5] * b[5] + 33}));
    });
}

TEST(SumRows, AddsUpAndScales) {
    for (const int64_t rows : {1, 2, 70})
        for (const bool scaled : {false, true})
            for (const Grad mode : {Grad::Overwrite, Grad::Add}) {
                const auto x = random_tensor({rows, 1, 1, 37}, Fill::SmallIntegers, 1);
                const auto scale = random_values(37, Fill::SmallIntegers, 2),
                           before = random_values(37, Fill::SmallIntegers, 3);
                std::vector<double> want(37);
                for (size_t i = 0; i < x.values.size(); ++i) want[i % 37] += x.values[i];
                for (size_t c = 0; c < 37; ++c)
                    want[c] = want[c] * (scaled ? scale[c] : 1.0f) + (mode == Grad::Add ? before[c] : 0.0f);
                on_every_backend([&](Backend& backend) {
                    const DeviceTensor in(backend, x), factors(backend, scale), out(backend, before);
                    backend.sum_rows(in, scaled ? factors.view() : View{}, mode, out);
                    expect_close("sums", out.download().values, want, 0);
                });
            }
}

// sum_s g (x - mean[c]) rstd[c] of every row; rows are two cotangents of each sample.
std::vector<double> gamma_gradient(const ref::Tensor<double>& g, const ref::Tensor<double>& xhat) {
    std::vector<double> sums(static_cast<size_t>(g.shape.n * g.shape.c));
    ref::for_each_element(g.shape, [&](int64_t r, int64_t h, int64_t w, int64_t c) {
        sums[static_cast<size_t>(r * g.shape.c + c)] += g.at(r, h, w, c) * xhat.at(r % xhat.shape.n, h, w, c);
    });
    return sums;
}

class GammaGradient : public testing::TestWithParam<Shape> {
  protected:
    Shape shape_ = GetParam();
    Shape sums_{2 * shape_.n, 1, 1, shape_.c};
    ref::Tensor<float> x_, y_, first_, second_;

    void draw(const Maps& maps) {
        const Shape rows = shape_.with_n(2 * shape_.n);
        x_ = maps.random(shape_, Fill::Normal, 1);
        y_ = maps.random(shape_, Fill::OffKinks, 2);
        first_ = maps.random(rows, Fill::Normal, 3);
        second_ = maps.random(rows, Fill::Normal, 4);
    }
    void of_a_frozen_norm(const Maps& maps) const;
    void of_a_group_norm(const Maps& maps) const;
};

TEST_P(GammaGradient, OfAFrozenNorm) {
    on_every_map_type([&](const Maps& maps) {
        draw(maps);
        of_a_frozen_norm(maps);
    });
}

TEST_P(GammaGradient, OfAGroupNorm) {
    if (shape_.c % 3 != 0) return;
    on_every_map_type([&](const Maps& maps) {
        draw(maps);
        of_a_group_norm(maps);
    });
}

void GammaGradient::of_a_frozen_norm(const Maps& maps) const {
    const auto mean = random_values(shape_.c, Fill::Normal, 5),
               rstd = random_values(shape_.c, Fill::OffKinks, 6);
    ref::Tensor<double> xhat(shape_);
    ref::for_each_element(shape_, [&](int64_t n, int64_t h, int64_t w, int64_t channel) {
        const auto c = static_cast<size_t>(channel);
        xhat.at(n, h, w, channel) = (static_cast<double>(x_.at(n, h, w, channel)) - mean[c]) * rstd[c];
    });
    for (const Activation activation : {Activation::None, Activation::Relu, Activation::Relu6}) {
        const auto g = ref::masked_sum<double>({ref::cast<double>(first_), ref::cast<double>(second_)},
                                               ref::cast<double>(y_), activation);
        maps.on_every_backend([&](Backend& backend) {
            const DeviceTensor x = maps.put(backend, x_), y = maps.put(backend, y_),
                               a = maps.put(backend, first_), b = maps.put(backend, second_),
                               dx = maps.output(backend, first_.shape);
            const DeviceTensor m(backend, mean), r(backend, rstd), gamma(backend, sums_),
                beta(backend, sums_);
            const View terms[] = {a, b};
            const TapSink sum{Reduction::Sum, beta};
            for (const bool goes_on : {false, true}) {
                backend.pointwise_backward({.terms = terms,
                                            .activation = activation,
                                            .y = y,
                                            .dx = goes_on ? dx.view() : View{},
                                            .sinks = {&sum, 1},
                                            .gamma = {x, m, r, gamma}});
                expect_close("gamma", gamma.download().values, gamma_gradient(g, xhat), 3e-6);
                expect_close("beta", beta.download().values, ref::reduce(g, Reduction::Sum).values, 3e-6);
            }
            expect_close("dx", dx.download(), g, maps.tolerance(1e-6));
        });
    }
}

void GammaGradient::of_a_group_norm(const Maps& maps) const {
    const GroupNormParams params{.groups = 3, .eps = 1e-5f, .gamma = {}, .beta = {}};
    const auto gamma = random_values(shape_.c, Fill::OffKinks, 5),
               beta = random_values(shape_.c, Fill::Normal, 6);
    const auto x = ref::cast<double>(x_);
    const auto stats = ref::group_norm_stats(x, 3, static_cast<double>(params.eps));
    for (const Activation activation : {Activation::None, Activation::Relu}) {
        ref::Tensor<double> dy = ref::cast<double>(first_);
        for (size_t i = 0; i < dy.values.size(); ++i) dy.values[i] += static_cast<double>(second_.values[i]);
        const auto want = ref::group_norm_backward<double>(
            dy, x, stats, {3, 1e-5, ref::cast<double>(gamma), ref::cast<double>(beta)}, activation);
        maps.on_every_backend([&](Backend& backend) {
            const DeviceTensor in = maps.put(backend, x_), a = maps.put(backend, first_),
                               b = maps.put(backend, second_), dx = maps.output(backend, first_.shape);
            const DeviceTensor scale(backend, gamma), shift(backend, beta), moments(backend, stats.shape),
                dgamma(backend, sums_);
            GroupNormParams p = params;
            p.gamma = scale;
            p.beta = shift;
            backend.group_norm_stats(in, p, moments);
            const View terms[] = {a, b};
            for (const bool goes_on : {false, true}) {
                backend.group_norm_backward({.terms = terms,
                                             .x = in,
                                             .stats = moments,
                                             .activation = activation,
                                             .dx = goes_on ? dx.view() : View{},
                                             .dgamma = dgamma},
                                            p);
                expect_close("gamma", dgamma.download().values,
                             gamma_gradient(want.output, ref::normalised(x, stats)), 5e-6);
            }
            expect_close("dx", dx.download(), want.dx, maps.tolerance(5e-6));
        });
    }
}

// One pixel; odd sizes; several slabs; a channel count that fills vectors.
INSTANTIATE_TEST_SUITE_P(Shapes, GammaGradient,
                         testing::Values(Shape{2, 1, 1, 9}, Shape{1, 5, 7, 33}, Shape{2, 23, 21, 6},
                                         Shape{1, 9, 9, 96}));

}  // namespace
}  // namespace gs::test
