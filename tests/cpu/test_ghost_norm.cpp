// Squared norms by Gram matrices: every route against the gradient itself, and which route is chosen.
#include <gtest/gtest.h>

#include "core/norm_cost.h"
#include "cpu/ghost_norm.h"
#include "tests/reference/weight_gradient.h"
#include "tests/support/backends.h"
#include "tests/support/device_tensor.h"
#include "tests/support/expect_close.h"
#include "tests/support/random.h"
#include "tests/support/standardised_case.h"

namespace gs::test {
namespace {

using cpu::NormRoute;

struct RouteCase {
    std::string name;
    Shape x;
    ConvSpec spec;
    bool keeps_size;  // the pixels' Gram matrix applies
};

const std::vector<RouteCase>& route_cases() {
    static const std::vector<RouteCase> cases = {
        {"3x3", {2, 6, 7, 33}, {33, 20, 3, 3, 1, 1, 1}, true},
        {"3x3, more vectors than a panel", {1, 9, 8, 300}, {300, 17, 3, 3, 1, 1, 1}, true},
        {"3x3, one row", {1, 1, 40, 5}, {5, 4, 3, 3, 1, 1, 1}, true},
        {"3x3, one column", {1, 35, 1, 5}, {5, 4, 3, 3, 1, 1, 1}, true},
        {"5x5 on a small map", {2, 2, 3, 16}, {16, 8, 5, 5, 1, 2, 1}, true},
        {"one pixel", {1, 1, 1, 20}, {20, 30, 3, 3, 1, 1, 1}, true},
        {"1x1", {2, 5, 7, 40}, {40, 24, 1, 1, 1, 0, 1}, true},
        {"3x3/2", {1, 9, 7, 32}, {32, 48, 3, 3, 2, 1, 1}, false},
        {"1x1/2", {2, 8, 6, 48}, {48, 16, 1, 1, 2, 0, 1}, false},
        {"7x7/2, three channels", {1, 15, 13, 3}, {3, 16, 7, 7, 2, 3, 1}, false},
        {"2x2 without padding", {1, 5, 6, 12}, {12, 9, 2, 2, 1, 0, 1}, false},
        {"more strips than one, an odd number", {3, 9, 9, 24}, {24, 18, 3, 3, 1, 1, 1}, true},
        {"5x3 kernel, padded alike: the unfolded input", {1, 7, 9, 6}, {6, 5, 5, 3, 1, 1, 1}, false}};
    return cases;
}

class GhostNormTest : public testing::TestWithParam<size_t> {
  protected:
    RouteCase c_ = route_cases()[GetParam()];

    void expect_norms(const cpu::Kernels& kernels, NormRoute route, bool scaled, bool standardised) const {
        constexpr int kThreads = 2;
        cpu::Context context(kThreads, kernels);
        const Shape y = c_.spec.output_shape(c_.x);
        const auto x = random_tensor(c_.x, Fill::Normal, 1),
                   dy = random_tensor(y.with_n(3 * y.n), Fill::Normal, 2);
        std::vector<float> scale;
        if (scaled) scale = random_tensor({1, 1, 1, y.c}, Fill::OffKinks, 3).values;
        const StandardisedCase weights(c_.spec, x);
        const auto view = [](const std::vector<float>& values, const Shape& shape) {
            return View{const_cast<float*>(values.data()), shape};
        };
        WeightGradientNorm args{.spec = c_.spec,
                                .x = view(x.values, x.shape),
                                .dy = view(dy.values, dy.shape),
                                .scale = scaled ? view(scale, {1, 1, 1, y.c}) : View{}};
        if (standardised) {
            args.standardised = view(weights.by_tap, {1, 1, 1, static_cast<int64_t>(weights.by_tap.size())});
            args.output = {view(weights.output.values, weights.output.shape),
                           view(weights.squares, {1, 1, 1, y.c})};
        }
        const std::span<const double> squares = cpu::ghost_norms(context, args, route);
        const std::vector<float> got(squares.begin(), squares.end());
        std::vector<double> want;
        for (int64_t row = 0; row < dy.shape.n; ++row) {
            const auto gradient =
                ref::weight_gradient(c_.spec, ref::cast<double>(x), ref::cast<double>(dy), row);
            want.push_back(
                ref::power_sum(ref::stored_gradient(gradient, y.c, scale,
                                                    standardised ? weights.by_tap : std::vector<float>{}),
                               2));
        }
        // Gram matrices are sums of up to a few hundred products in float32; twice the error of a norm.
        expect_close(c_.name + ", " + kernels.isa, got, want, 2e-6);
    }
};

TEST_P(GhostNormTest, EveryRouteEqualsTheGradientsNorm) {
    for (const char* isa : {"baseline", "avx2", "avx512"}) {
        const cpu::Kernels* kernels = cpu::find_kernels(isa);
        if (kernels == nullptr) continue;
        for (const bool standardised : {false, true}) {
            expect_norms(*kernels, NormRoute::Ghost, true, standardised);
            if (!c_.keeps_size) continue;
            expect_norms(*kernels, NormRoute::PixelGram, true, standardised);
            expect_norms(*kernels, NormRoute::PixelGram, false, standardised);
        }
    }
}

// Inputs that are nearly the same along the fan-in: the projection takes nearly all, and the norm says so.
TEST(GhostNorm, ProjectionThatTakesMostIsLeftToTheTiles) {
    const ConvSpec spec{64, 40, 1, 1, 1, 0, 1};
    auto x = random_tensor({2, 3, 3, 64}, Fill::Normal, 1);
    for (size_t i = 0; i < x.values.size() / 2; ++i)
        x.values[i] = 1 + 1e-3f * x.values[i];  // the first sample
    const auto dy = random_tensor({4, 3, 3, 40}, Fill::Normal, 2);
    const StandardisedCase weights(spec, x);
    on_every_backend([&](Backend& backend) {
        if (!backend.squared_norm_reads_output(spec, x.shape.with_n(1))) return;
        const DeviceTensor in(backend, x), delta(backend, dy), w(backend, weights.by_tap),
            y(backend, weights.output), squares(backend, weights.squares), out(backend, Shape{4, 1, 1, 1});
        const PowerSum norm{2, out};
        backend.weight_gradient_norm({.spec = spec,
                                      .x = in,
                                      .dy = delta,
                                      .standardised = w,
                                      .norms = {&norm, 1},
                                      .output = {y, squares}});
        std::vector<double> want;
        for (int64_t row = 0; row < 4; ++row)
            want.push_back(ref::power_sum(
                ref::stored_gradient(
                    ref::weight_gradient(spec, ref::cast<double>(x), ref::cast<double>(dy), row), 40, {},
                    weights.by_tap),
                2));
        const std::vector<float> got = out.download().values;
        // 1e-7 of the gradient is 1e-4 of what is left of it; by Gram matrices it would be 1e-1 of the
        // square.
        for (size_t row = 0; row < 4; ++row)
            EXPECT_NEAR(got[row] / want[row], 1, row % 2 == 0 ? 1e-3 : 2e-6) << row;
    });
}

INSTANTIATE_TEST_SUITE_P(Shapes, GhostNormTest, testing::Range(size_t{0}, route_cases().size()));

struct CostCase {
    ConvSpec spec;
    int64_t size;
    double ghost, pixels;  // 0: not given
    NormRoute route;
};

// Costs as calculated by hand for BiT-S-R101x1 at 480² and ResNet-34 at 32²; the rule is 0.5 of the
// gradient's cost for pixels of several taps, 0.7 otherwise.
TEST(GhostCost, ChoosesTheCheapestRoute) {
    const CostCase cases[] = {{{3, 64, 7, 7, 2, 3, 1}, 480, 646, 0, NormRoute::Direct},
                              {{64, 64, 3, 3, 1, 1, 1}, 120, 125, 25, NormRoute::Direct},
                              {{128, 512, 1, 1, 1, 0, 1}, 60, 17.6, 0, NormRoute::Direct},
                              {{128, 128, 3, 3, 1, 1, 1}, 60, 15.6, 3.1, NormRoute::Direct},
                              {{256, 1024, 1, 1, 1, 0, 1}, 30, 2.2, 2.2, NormRoute::Direct},
                              {{256, 256, 3, 3, 1, 1, 1}, 30, 1.95, 0.39, NormRoute::PixelGram},
                              {{512, 2048, 1, 1, 1, 0, 1}, 15, 0.275, 0.275, NormRoute::PixelGram},
                              {{512, 512, 3, 3, 1, 1, 1}, 15, 0.244, 0.049, NormRoute::PixelGram},
                              {{1024, 2048, 1, 1, 2, 0, 1}, 30, 0.165, 0, NormRoute::Ghost},
                              {{64, 64, 3, 3, 1, 1, 1}, 32, 8.9, 1.78, NormRoute::Direct},
                              {{128, 128, 3, 3, 1, 1, 1}, 16, 1.11, 0.222, NormRoute::PixelGram},
                              {{64, 128, 3, 3, 2, 1, 1}, 32, 1.22, 0, NormRoute::Direct},
                              {{256, 256, 3, 3, 1, 1, 1}, 8, 0.139, 0.028, NormRoute::PixelGram},
                              {{256, 512, 3, 3, 2, 1, 1}, 8, 0.019, 0, NormRoute::Ghost},
                              {{512, 512, 3, 3, 1, 1, 1}, 4, 0.0174, 0.0035, NormRoute::PixelGram},
                              {{64, 128, 1, 1, 2, 0, 1}, 32, 3.0, 0, NormRoute::Direct},
                              {{128, 256, 1, 1, 2, 0, 1}, 16, 0.375, 0, NormRoute::Ghost}};
    for (const CostCase& c : cases) {
        SCOPED_TRACE(c.spec.in_channels);
        const Shape x{1, c.size, c.size, c.spec.in_channels};
        EXPECT_NEAR(ghost_cost(c.spec, x) / c.ghost, 1, 0.05);
        if (c.pixels > 0) {
            EXPECT_NEAR(pixel_gram_cost(c.spec, x) / c.pixels, 1, 0.05);
        }
        EXPECT_EQ(cpu::cheapest_route(c.spec, x), c.route) << c.size;
    }
}

// Where the maps differ in size the pixels' matrix does not apply, however cheap.
TEST(GhostCost, PixelsNeedMapsOfOneSize) {
    for (const ConvSpec& spec : {ConvSpec{512, 512, 3, 3, 1, 0, 1}, ConvSpec{512, 512, 3, 3, 1, 2, 1},
                                 ConvSpec{512, 512, 3, 1, 1, 1, 1}, ConvSpec{512, 512, 3, 3, 2, 1, 1}})
        EXPECT_EQ(cpu::cheapest_route(spec, {1, 4, 4, 512}), NormRoute::Ghost);
}

}  // namespace
}  // namespace gs::test
