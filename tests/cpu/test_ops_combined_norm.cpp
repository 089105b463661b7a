// Squared norms of combinations of a sample's weight gradients against the combined gradient, in double.
#include <gtest/gtest.h>

#include "tests/reference/weight_gradient.h"
#include "tests/support/maps.h"
#include "tests/support/standardised_case.h"

namespace gs::test {
namespace {

struct CombinedCase {
    std::string name;
    Shape x;
    ConvSpec spec;
    int64_t cotangents, combinations;
    bool scaled = false, standardised = false;
};

// Few positions and many, so that either route is the cheapest somewhere.
const std::vector<CombinedCase>& combined_cases() {
    static const std::vector<CombinedCase> cases = {
        {"3x3, few positions", {3, 4, 4, 64}, {64, 48, 3, 3, 1, 1, 1}, 5, 7, true, false},
        {"3x3, few positions, standardised", {2, 4, 5, 64}, {64, 33, 3, 3, 1, 1, 1}, 4, 3, true, true},
        {"3x3/2, few positions", {1, 6, 6, 40}, {40, 64, 3, 3, 2, 1, 1}, 3, 5, true, false},
        {"1x1, few positions, standardised", {2, 3, 3, 70}, {70, 50, 1, 1, 1, 0, 1}, 3, 4, true, true},
        {"3x3, many positions", {2, 19, 18, 8}, {8, 20, 3, 3, 1, 1, 1}, 6, 13, true, false},
        {"3x3, many positions, standardised", {2, 19, 18, 8}, {8, 20, 3, 3, 1, 1, 1}, 3, 2, true, true},
        {"stem 7x7/2, three channels", {1, 15, 13, 3}, {3, 16, 7, 7, 2, 3, 1}, 2, 3, false, true},
        {"wide, more than one group of outputs",
         {1, 9, 9, 160},
         {160, 50, 3, 3, 1, 1, 1},
         4,
         9,
         false,
         false},
        {"linear", {3, 1, 1, 50}, {50, 10, 1, 1, 1, 0, 1}, 3, 4, false, false},
        {"one cotangent", {2, 5, 5, 16}, {16, 24, 3, 3, 1, 1, 1}, 1, 2, true, false}};
    return cases;
}

ref::Tensor<float> sample_of(const ref::Tensor<float>& all, int64_t first, int64_t step) {
    ref::Tensor<float> some(all.shape.with_n((all.shape.n - first + step - 1) / step));
    const auto size = static_cast<size_t>(all.shape.per_sample());
    for (int64_t n = 0; n < some.shape.n; ++n)
        std::copy_n(
            all.values.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(first + n * step) * size),
            size, some.values.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(n) * size));
    return some;
}

class CombinedNormTest : public testing::TestWithParam<size_t> {
  protected:
    CombinedCase c_ = combined_cases()[GetParam()];
    Shape y_ = c_.spec.output_shape(c_.x);

    std::vector<float> channels() const {
        if (!c_.scaled) return {};
        return random_tensor({1, 1, 1, y_.c}, Fill::OffKinks, 3).values;
    }
    ref::Tensor<float> random_coefficients() const {
        return random_tensor({c_.combinations * c_.x.n, 1, 1, c_.cotangents}, Fill::Normal, 5);
    }

    std::vector<float> run(const Maps& maps, Backend& backend, const ref::Tensor<float>& x,
                           const ref::Tensor<float>& dy, const ref::Tensor<float>& coefficients,
                           bool with_output = true) const {
        const StandardisedCase weights(c_.spec, x);
        const DeviceTensor in = maps.put(backend, x), delta = maps.put(backend, dy),
                           scale(backend, channels()), w(backend, weights.by_tap),
                           squares(backend, weights.squares), output(backend, weights.output),
                           a(backend, coefficients), out(backend, Shape{coefficients.shape.n, 1, 1, 1});
        WeightGradientNorm gradients{.spec = c_.spec, .x = in, .dy = delta};
        if (c_.scaled) gradients.scale = scale;
        if (c_.standardised) {
            gradients.standardised = w;
            if (with_output) gradients.output = {output, squares};
        }
        backend.combined_gradient_norm({gradients, a, out});
        return out.download().values;
    }

    std::vector<double> want(const ref::Tensor<float>& x, const ref::Tensor<float>& dy,
                             const ref::Tensor<float>& coefficients) const {
        const std::vector<float> w =
            c_.standardised ? StandardisedCase(c_.spec, x).by_tap : std::vector<float>{};
        std::vector<double> squares;
        for (int64_t row = 0; row < coefficients.shape.n; ++row) {
            std::vector<double> sum;
            for (int64_t i = 0; i < c_.cotangents; ++i) {
                const auto g = ref::stored_gradient(
                    ref::weight_gradient(c_.spec, ref::cast<double>(x), ref::cast<double>(dy),
                                         i * x.shape.n + row % x.shape.n),
                    y_.c, channels(), w);
                sum.resize(g.size());
                for (size_t k = 0; k < g.size(); ++k)
                    sum[k] += g[k] * static_cast<double>(coefficients.at(row, 0, 0, i));
            }
            squares.push_back(ref::power_sum(sum, 2));
        }
        return squares;
    }

    template <class F>
    void on_backends_that_combine(const F& test) const {
        on_every_map_type([&](const Maps& maps) {
            maps.on_every_backend([&](Backend& backend) {
                if (backend.combines_weight_gradients()) test(maps, backend);
            });
        });
    }
};

TEST_P(CombinedNormTest, EqualsTheNormOfTheCombination) {
    on_backends_that_combine([&](const Maps& maps, Backend& backend) {
        const auto x = maps.random(c_.x, Fill::Normal, 1),
                   dy = maps.random(y_.with_n(c_.cotangents * c_.x.n), Fill::Normal, 2);
        const auto a = random_coefficients();
        for (const bool with_output : {false, true})
            expect_close(c_.name, run(maps, backend, x, dy, a, with_output && maps.is_float()),
                         want(x, dy, a), 2e-6);
    });
}

// Cotangents that differ by a thousandth, combined so that what they share cancels: of the float32 products'
// accuracy a factor of a thousand goes, as it would with the combined cotangent, and no more. A Gram matrix
// in float32 would lose a million.
class CancellingNormTest : public CombinedNormTest {};

TEST_P(CancellingNormTest, LosesNoMoreThanTheCombinedCotangentWould) {
    const auto a = [&] {
        auto coefficients = random_coefficients();
        for (int64_t row = 0; row < coefficients.shape.n; ++row) {
            double sum = 0;
            for (int64_t i = 1; i < c_.cotangents; ++i) {
                float& v = coefficients.at(row, 0, 0, i);
                v = std::round(v * 8) / 8;  // sums are exact
                sum += v;
            }
            coefficients.at(row, 0, 0, 0) = static_cast<float>(-sum);
        }
        return coefficients;
    }();
    on_backends_that_combine([&](const Maps& maps, Backend& backend) {
        if (!maps.is_float()) return;  // a thousandth is below their spacing
        const auto x = random_tensor(c_.x, Fill::Normal, 1), shared = random_tensor(y_, Fill::Normal, 2);
        auto dy = random_tensor(y_.with_n(c_.cotangents * c_.x.n), Fill::Normal, 6);
        for (size_t i = 0; i < dy.values.size(); ++i)
            dy.values[i] = shared.values[i % shared.values.size()] + 1e-3f * dy.values[i];
        expect_close(c_.name, run(maps, backend, x, dy, a), want(x, dy, a), 1e-3);
    });
}

// Inputs that are nearly the same along the fan-in: standardisation takes nearly all of the gradient away,
// and what is left comes from tiles. Of the squares 1e-7 * 1e3 is lost once, not twice.
class ProjectedNormTest : public CombinedNormTest {};

TEST_P(ProjectedNormTest, IsAccurateWhereTheProjectionTakesMost) {
    on_backends_that_combine([&](const Maps& maps, Backend& backend) {
        if (!maps.is_float()) return;
        auto x = random_tensor(c_.x, Fill::Normal, 1);
        for (float& v : x.values) v = 1 + 1e-3f * v;
        const auto dy = random_tensor(y_.with_n(c_.cotangents * c_.x.n), Fill::Normal, 2);
        const auto a = random_coefficients();
        expect_close(c_.name, run(maps, backend, x, dy, a), want(x, dy, a), 1e-3);
    });
}

TEST_P(CombinedNormTest, SameBitsForAnyThreadsAndBatch) {
    on_every_map_type([&](const Maps& maps) {
        const auto x = maps.random(c_.x, Fill::Normal, 1),
                   dy = maps.random(y_.with_n(c_.cotangents * c_.x.n), Fill::Normal, 2);
        const auto a = random_coefficients();
        for (const BackendUnderTest& b : maps.backends()) {
            if (!b.backend->combines_weight_gradients()) continue;
            SCOPED_TRACE(b.name);
            const std::vector<float> all = run(maps, *b.backend, x, dy, a, maps.is_float());
            for (const int threads : {2, 3})
                EXPECT_EQ(run(maps, *b.make(threads), x, dy, a, maps.is_float()), all)
                    << threads << " threads";
            const auto alone = run(maps, *b.backend, sample_of(x, 0, x.shape.n), sample_of(dy, 0, x.shape.n),
                                   sample_of(a, 0, x.shape.n), maps.is_float());
            for (size_t j = 0; j < alone.size(); ++j)
                EXPECT_EQ(alone[j], all[j * static_cast<size_t>(x.shape.n)]) << "alone";
        }
    });
}

// Cotangents that are all but the same, and their difference: what is left of the Gram matrix is its last
// bits, in which any other order of its sums shows.
TEST(CombinedNorm, SameBitsInTheLastOfTheGramMatrix) {
    // So many positions that gradients cost less than Gram matrices over them.
    const Shape x{3, 20, 19, 24}, y{3, 20, 19, 250};
    const ConvSpec spec{24, 250, 3, 3, 1, 1, 1};
    const auto images = random_tensor(x, Fill::Normal, 1), shared = random_tensor(y, Fill::Normal, 2);
    auto dy = random_tensor(y.with_n(2 * x.n), Fill::Normal, 3);
    for (size_t i = 0; i < dy.values.size(); ++i)
        dy.values[i] = shared.values[i % shared.values.size()] + 1e-6f * dy.values[i];
    ref::Tensor<float> difference({x.n, 1, 1, 2});
    for (int64_t n = 0; n < x.n; ++n) difference.at(n, 0, 0, 0) = 1, difference.at(n, 0, 0, 1) = -1;
    const auto run = [&](Backend& backend, int64_t first, int64_t step) {
        const auto coefficients = sample_of(difference, first, step);
        const DeviceTensor in(backend, sample_of(images, first, step)),
            delta(backend, sample_of(dy, first, step)), a(backend, coefficients),
            out(backend, Shape{coefficients.shape.n, 1, 1, 1});
        backend.combined_gradient_norm({{.spec = spec, .x = in, .dy = delta}, a, out});
        return out.download().values;
    };
    for (const BackendUnderTest& b : backends_under_test()) {
        if (!b.backend->combines_weight_gradients()) continue;
        SCOPED_TRACE(b.name);
        const std::vector<float> one = run(*b.backend, 0, 1);
        for (const float square : one) EXPECT_GT(square, 0);
        for (const int threads : {2, 3})
            expect_same_bits(std::to_string(threads) + " threads", run(*b.make(threads), 0, 1), one);
        for (int64_t n = 0; n < x.n; ++n)
            expect_same_bits("alone", run(*b.backend, n, x.n), {one[static_cast<size_t>(n)]});
    }
}

TEST_P(CombinedNormTest, KeepsNaN) {
    on_backends_that_combine([&](const Maps& maps, Backend& backend) {
        const auto x = maps.random(c_.x, Fill::Normal, 1);
        auto dy = maps.random(y_.with_n(c_.cotangents * c_.x.n), Fill::Normal, 2);
        dy.values.back() = std::numeric_limits<float>::quiet_NaN();
        EXPECT_TRUE(std::isnan(run(maps, backend, x, dy, random_coefficients(), maps.is_float()).back()));
    });
}

// Numbers of the cases that `takes` takes.
template <class F>
std::vector<size_t> cases_where(const F& takes) {
    std::vector<size_t> numbers;
    for (size_t i = 0; i < combined_cases().size(); ++i)
        if (takes(combined_cases()[i])) numbers.push_back(i);
    return numbers;
}

INSTANTIATE_TEST_SUITE_P(Shapes, CombinedNormTest, testing::Range(size_t{0}, combined_cases().size()));
INSTANTIATE_TEST_SUITE_P(Shapes, CancellingNormTest, testing::ValuesIn(cases_where([](const CombinedCase& c) {
                             return c.cotangents > 1;
                         })));
INSTANTIATE_TEST_SUITE_P(Shapes, ProjectedNormTest, testing::ValuesIn(cases_where([](const CombinedCase& c) {
                             return c.standardised && c.spec.kernel_h == 1;
                         })));

}  // namespace
}  // namespace gs::test
