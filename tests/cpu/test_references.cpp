// The references themselves: every backward pass against complex steps of its forward pass (exact to
// rounding), and one of them against finite differences, which know nothing of complex numbers.
#include <gtest/gtest.h>

#include <functional>

#include "tests/reference/convolution.h"
#include "tests/reference/group_norm.h"
#include "tests/reference/logits.h"
#include "tests/reference/pooling.h"
#include "tests/support/expect_close.h"
#include "tests/support/gradcheck.h"
#include "tests/support/random.h"

namespace gs::test {
namespace {

using Doubles = ref::Tensor<double>;
using Complexes = ref::Tensor<Complex>;

Doubles doubles(const Shape& shape, Fill fill, uint64_t seed) {
    return ref::cast<double>(random_tensor(shape, fill, seed));
}

// got = the backward pass at dy; forward is evaluated on complex numbers.
void expect_gradient(const std::string& name, const Doubles& got, const Doubles& x, const Doubles& dy,
                     const std::function<Complexes(const Complexes&)>& forward, double tol = 1e-13) {
    const Doubles want =
        complex_step_gradient([&](const Complexes& probe) { return inner(dy, forward(probe)); }, x);
    ASSERT_EQ(got.shape, want.shape);
    double largest = 0;
    for (const double value : want.values) largest = std::max(largest, std::abs(value));
    ASSERT_GT(largest, 0) << name;
    for (size_t i = 0; i < got.values.size(); ++i)
        ASSERT_TRUE(std::abs(got.values[i] - want.values[i]) <= tol * largest)
            << name << "[" << i << "] is " << got.values[i] << ", complex step " << want.values[i];
}

TEST(References, Case20_ConvolutionBackwardIsTheGradient) {
    for (const ConvSpec& spec : {ConvSpec{3, 4, 3, 3, 2, 1, 1}, ConvSpec{4, 4, 3, 3, 1, 1, 4},
                                 ConvSpec{2, 3, 1, 1, 2, 0, 1}, ConvSpec{2, 2, 7, 7, 2, 3, 1}}) {
        const Doubles x = doubles({2, 6, 5, spec.in_channels}, Fill::Normal, 1);
        const int64_t fan_in = spec.in_channels / spec.groups * spec.kernel_h * spec.kernel_w;
        const auto w = ref::cast<double>(random_values(spec.out_channels * fan_in, Fill::Normal, 2));
        const auto b = ref::cast<double>(random_values(spec.out_channels, Fill::Normal, 3));
        const Doubles dy = doubles(spec.output_shape(x.shape), Fill::Normal, 4);
        expect_gradient("dx", ref::convolution_backward_data(spec, dy, w, x.shape), x, dy,
                        [&](const Complexes& p) {
                            return ref::convolution(spec, p, ref::cast<Complex>(w), ref::cast<Complex>(b),
                                                    Activation::None);
                        });
    }
}

TEST(References, ConvolutionWeightGradientIsTheGradient) {
    for (const ConvSpec& spec : {ConvSpec{3, 4, 3, 3, 2, 1, 1}, ConvSpec{4, 4, 3, 3, 1, 1, 4},
                                 ConvSpec{2, 3, 1, 1, 2, 0, 1}, ConvSpec{2, 2, 7, 7, 2, 3, 1}}) {
        const Doubles x = doubles({2, 6, 5, spec.in_channels}, Fill::Normal, 1);
        const int64_t fan_in = spec.in_channels / spec.groups * spec.kernel_h * spec.kernel_w;
        const Doubles w = doubles({1, 1, 1, spec.out_channels * fan_in}, Fill::Normal, 2);
        const Doubles dy = doubles(spec.output_shape(x.shape), Fill::Normal, 3);
        Doubles dw(w.shape);
        dw.values = ref::convolution_backward_weights(spec, x, dy);
        expect_gradient("dw", dw, w, dy, [&](const Complexes& p) {
            return ref::convolution(spec, ref::cast<Complex>(x), p.values, {}, Activation::None);
        });
    }
}

TEST(References,
     ConvolutionOfAKnownMapIsRight) {  // by hand: a 2x2 kernel of 1, 10, 100, 1000 on 1 2 3 / 4 5 6
    Doubles x(Shape{1, 2, 3, 1});
    x.values = {1, 2, 3, 4, 5, 6};
    const Doubles y =
        ref::convolution<double>({1, 1, 2, 2, 1, 0, 1}, x, {1, 10, 100, 1000}, {7}, Activation::None);
    EXPECT_EQ(y.values, (std::vector<double>{5428, 6539}));
}

TEST(References, Case20_PointwiseBackwardIsTheGradient) {
    const Shape shape{2, 2, 3, 5};
    const Doubles x = doubles(shape, Fill::OffKinks, 1), b = doubles(shape, Fill::OffKinks, 2);
    const Doubles dy = doubles(shape, Fill::Normal, 3);
    const auto scale = ref::cast<double>(random_values(5, Fill::Normal, 4));
    const auto shift = ref::cast<double>(random_values(5, Fill::Normal, 5));
    for (const Activation activation : {Activation::None, Activation::Relu, Activation::Relu6}) {
        const Doubles affine = ref::channel_affine(x, scale, shift, activation);
        expect_gradient("affine", ref::pointwise_backward<double>({dy}, affine, activation, scale, {}), x, dy,
                        [&](const Complexes& p) {
                            return ref::channel_affine(p, ref::cast<Complex>(scale),
                                                       ref::cast<Complex>(shift), activation);
                        });
        const Doubles sum = ref::add(x, b, activation);  // y = act(x + b), used twice and once directly
        const Doubles dx = ref::pointwise_backward<double>({dy, dy}, sum, activation, {}, dy);
        expect_gradient("join", dx, x, dy, [&](const Complexes& p) {
            const Complexes y = ref::add(p, ref::cast<Complex>(b), activation);
            return ref::add(ref::add(y, y, Activation::None), p, Activation::None);
        });
    }
}

TEST(References, Case20_GroupNormBackwardIsTheGradient) {
    const Doubles x = doubles({2, 3, 2, 12}, Fill::Normal, 1), dy = doubles(x.shape, Fill::Normal, 2);
    ref::GroupNorm<double> params{3, 1e-5, ref::cast<double>(random_values(12, Fill::Normal, 3)),
                                  ref::cast<double>(random_values(12, Fill::Normal, 4))};
    const ref::GroupNorm<Complex> complex_params{3, 1e-5, ref::cast<Complex>(params.gamma),
                                                 ref::cast<Complex>(params.beta)};
    const Doubles stats = ref::group_norm_stats(x, 3, params.eps);
    for (const Activation activation : {Activation::None, Activation::Relu}) {
        const Doubles got = ref::group_norm_backward(dy, x, stats, params, activation).dx;
        expect_gradient("dx", got, x, dy, [&](const Complexes& p) {
            return ref::group_norm(p, ref::group_norm_stats(p, 3, 1e-5), complex_params, activation);
        });
        const Doubles differences = finite_difference_gradient(
            [&](const Doubles& p) {
                return inner(dy, ref::group_norm(p, ref::group_norm_stats(p, 3, 1e-5), params, activation));
            },
            x);
        expect_close("finite differences", ref::cast<float>(got.values), differences.values, 1e-7);
    }
}

TEST(References, Case20_PoolingBackwardIsTheGradient) {
    const Doubles x = doubles({2, 5, 6, 3}, Fill::Normal, 1);
    for (const PoolSpec& spec :
         {PoolSpec{3, 2, 1, false}, PoolSpec{3, 2, 1, true}, PoolSpec{2, 1, 0, false}}) {
        const auto pooled = ref::max_pool(x, spec);
        const Doubles dy = doubles(pooled.y.shape, Fill::Normal, 2);
        expect_gradient("max", ref::max_pool_backward(dy, pooled.winner, spec, x.shape), x, dy,
                        [&](const Complexes& p) { return ref::max_pool(p, spec).y; });
    }
    const Doubles dy = doubles({2, 1, 1, 3}, Fill::Normal, 3);
    expect_gradient("average", ref::average_pool_backward(dy, 4, 3, x.shape), x, dy,
                    [&](const Complexes& p) { return ref::average_pool(p, 4, 3); });
    const Shape padded{2, 3, 3, 7};
    const Doubles dpad = doubles(padded, Fill::Normal, 4);
    expect_gradient("pad_subsample", ref::pad_subsample_backward(dpad, 2, x.shape), x, dpad,
                    [&](const Complexes& p) { return ref::pad_subsample(p, 2, padded); });
}

TEST(References, SeedsAreTheGradientsOfTheirLosses) {
    const Doubles z = doubles({3, 1, 1, 7}, Fill::Normal, 1);
    for (const Seed seed : {Seed::UniformCrossEntropy, Seed::MaxLogit, Seed::PredictedCrossEntropy,
                            Seed::ClassCrossEntropy, Seed::ClassBinaryCrossEntropy})
        for (const double temperature : {1.0, 0.5, 1000.0}) {
            const Doubles one(Shape{1, 1, 1, 1}, 1.0);
            // C p - 1 cancels near uniform p, in the reference as well: hence 1e-10, and long double in the
            // op tests.
            const auto total = [&](const Complexes& p) {
                return Complexes(one.shape, ref::loss(seed, Complex(temperature), p, 2));
            };
            expect_gradient("seed", ref::seed_logits(seed, temperature, z, 2), z, one, total, 1e-10);
        }
}

}  // namespace
}  // namespace gs::test
