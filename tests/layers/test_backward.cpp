// Every layer's backward pass against the complex-step gradient of its forward pass as the references have
// it: the references' own derivatives are not used.
#include <gtest/gtest.h>

#include "layers/norm.h"
#include "layers/pointwise.h"
#include "layers/pool.h"
#include "tests/reference/convolution.h"
#include "tests/reference/group_norm.h"
#include "tests/reference/pooling.h"
#include "tests/support/backends.h"
#include "tests/support/device_tensor.h"
#include "tests/support/expect_close.h"
#include "tests/support/gradcheck.h"
#include "tests/support/random.h"

namespace gs::test {
namespace {

using Map = ref::Tensor<Complex>;
using Forward = std::function<Map(const Map&)>;

// Runs layer forward and backward as the planner does, with two cotangents and an addend where it takes one.
void check(const Layer& layer, Backend& backend, const ref::Tensor<float>& x, Activation activation,
           const Forward& forward, double tol) {
    const Shape in[] = {x.shape};
    const Shape y_shape = layer.output_shape(in), s_shape = layer.state_shape(x.shape);
    const DeviceTensor input(backend, x), y(backend, y_shape),
        state(backend, s_shape.n > 0 ? s_shape : Shape{1}, layer.state_type());
    const View inputs[] = {input.view()};
    layer.forward(
        backend,
        {.x = inputs, .y = y, .state = s_shape.n > 0 ? state.view() : View{}, .activation = activation});
    const auto xd = ref::cast<double>(x);
    const Map want_y = forward(ref::cast<Complex>(xd));
    ref::Tensor<double> real_y(y_shape);
    for (size_t i = 0; i < real_y.values.size(); ++i) real_y.values[i] = want_y.values.at(i).real();
    expect_close("y", y.download(), real_y, tol);

    constexpr int64_t kCotangents = 2;
    const auto dy = random_tensor(y_shape.with_n(kCotangents * x.shape.n), Fill::Normal, 77);
    const auto addend = random_tensor(x.shape.with_n(kCotangents * x.shape.n), Fill::Normal, 78);
    ref::Tensor<double> want(addend.shape);
    for (int64_t k = 0; k < kCotangents; ++k) {
        ref::Tensor<double> part(y_shape);
        const auto per = static_cast<std::ptrdiff_t>(y_shape.size());
        part.values.assign(dy.values.begin() + k * per, dy.values.begin() + (k + 1) * per);
        const auto gradient =
            complex_step_gradient([&](const Map& at) { return inner(part, forward(at)); }, xd);
        std::copy(gradient.values.begin(), gradient.values.end(), want.values.begin() + k * x.shape.size());
    }
    if (layer.adds_to_dx())
        for (size_t i = 0; i < want.values.size(); ++i) want.values[i] += addend.values[i];

    const DeviceTensor cotangents(backend, dy), added(backend, addend), dx(backend, addend.shape);
    // A layer that joins gets the cotangent in two parts.
    auto half = dy;
    for (float& v : half.values) v *= 0.5f;
    const DeviceTensor halves(backend, half);
    const View whole[] = {cotangents.view()}, parts[] = {halves.view(), halves.view()};
    const BackwardReads reads = layer.backward_reads(activation);
    layer.backward(
        backend, {.terms = layer.joins_terms() ? std::span<const View>(parts) : std::span<const View>(whole),
                  .x = reads.input ? input.view() : View{},
                  .y = reads.output ? y.view() : View{},
                  .state = reads.state ? state.view() : View{},
                  .activation = activation,
                  .addend = layer.adds_to_dx() ? added.view() : View{},
                  .dx = dx});
    expect_close("dx", dx.download(), want, tol);
}

std::vector<Complex> complex(const std::vector<float>& values) {
    return ref::cast<Complex>(ref::cast<double>(values));
}

TEST(LayerBackward, Case20_Convolution) {
    for (const ConvSpec& spec : std::vector<ConvSpec>{
             {.in_channels = 3, .out_channels = 5, .kernel_h = 3, .kernel_w = 3, .stride = 2, .pad = 1},
             {.in_channels = 4,
             .out_channels = 4,
             .kernel_h = 3,
             .kernel_w = 3,
             .stride = 1,
             .pad = 1,
             .groups = 4},
             {.in_channels = 6, .out_channels = 3}}) {
        const ConvolutionWeights conv{
            .spec = spec,
            .weights = random_values(
                spec.out_channels * spec.in_channels / spec.groups * spec.kernel_h * spec.kernel_w,
                Fill::Normal, 1),
            .bias = random_values(spec.out_channels, Fill::Normal, 2)};
        const FrozenStatistics norm{.gamma = random_values(spec.out_channels, Fill::OffKinks, 3),
                                    .beta = random_values(spec.out_channels, Fill::Normal, 4),
                                    .mean = random_values(spec.out_channels, Fill::Normal, 5),
                                    .var = std::vector<float>(static_cast<size_t>(spec.out_channels), 0.3f)};
        const auto x = random_tensor({2, 5, 6, spec.in_channels}, Fill::Normal, 6);
        on_all_backends([&](Backend& backend) {
            check(
                Conv2d(backend, conv), backend, x, Activation::None,
                [&](const Map& at) {
                    return ref::convolution(spec, at, complex(conv.weights), complex(conv.bias),
                                            Activation::None);
                },
                3e-6);
            check(
                Conv2d(backend, conv, norm), backend, x, Activation::None,
                [&](const Map& at) {
                    Map y = ref::convolution(spec, at, complex(conv.weights), complex(conv.bias),
                                             Activation::None);
                    ref::for_each_element(y.shape, [&](auto n, auto h, auto w, auto channel) {
                        const auto c = static_cast<size_t>(channel);
                        Complex& v = y.at(n, h, w, channel);
                        v = (v - static_cast<double>(norm.mean[c])) * static_cast<double>(norm.gamma[c]) /
                                std::sqrt(static_cast<double>(norm.var[c]) + norm.eps) +
                            static_cast<double>(norm.beta[c]);
                    });
                    return y;
                },
                3e-6);
        });
    }
}

TEST(LayerBackward, Case20_FrozenNorm) {
    const FrozenStatistics norm{.gamma = random_values(10, Fill::OffKinks, 3),
                                .beta = random_values(10, Fill::Normal, 4),
                                .mean = random_values(10, Fill::Normal, 5),
                                .var = std::vector<float>(10, 0.3f)};
    const auto x = random_tensor({2, 4, 5, 10}, Fill::Normal, 6);
    for (const Activation activation : {Activation::None, Activation::Relu, Activation::Relu6})
        on_all_backends([&](Backend& backend) {
            check(
                FrozenNorm(backend, norm), backend, x, activation,
                [&](const Map& at) {
                    std::vector<Complex> scale, shift;
                    for (size_t c = 0; c < 10; ++c) {
                        const double s =
                            norm.gamma[c] / std::sqrt(static_cast<double>(norm.var[c]) + norm.eps);
                        scale.emplace_back(s);
                        shift.emplace_back(norm.beta[c] - norm.mean[c] * s);
                    }
                    return ref::channel_affine(at, scale, shift, activation);
                },
                3e-6);
        });
}

TEST(LayerBackward, Case20_GroupNorm) {
    const int64_t groups = 4, channels = 12;
    const auto gamma = random_values(channels, Fill::OffKinks, 1),
               beta = random_values(channels, Fill::Normal, 2);
    const auto x = random_tensor({2, 3, 4, channels}, Fill::Normal, 3);
    for (const Activation activation : {Activation::None, Activation::Relu})
        on_all_backends([&](Backend& backend) {
            check(
                GroupNorm(backend, groups, 1e-5f, gamma, beta), backend, x, activation,
                [&](const Map& at) {
                    const ref::GroupNorm<Complex> params{groups, 1e-5f, complex(gamma), complex(beta)};
                    return ref::group_norm(at, ref::group_norm_stats(at, groups, 1e-5f), params, activation);
                },
                1e-5);
        });
}

TEST(LayerBackward, Case20_ReluAndRelu6) {
    const auto x = random_tensor({2, 4, 5, 7}, Fill::OffKinks, 1);
    for (const Activation activation : {Activation::Relu, Activation::Relu6})
        on_all_backends([&](Backend& backend) {
            check(
                Relu(activation), backend, x, Activation::None,
                [&](const Map& at) { return ref::activate(at, activation); }, 1e-6);
        });
}

TEST(LayerBackward, Case20_Pools) {
    const auto x = random_tensor({2, 7, 6, 5}, Fill::Normal, 1);
    on_all_backends([&](Backend& backend) {
        for (const PoolSpec& spec : {PoolSpec{3, 2, 1, false}, PoolSpec{3, 2, 1, true}})
            check(
                MaxPool(spec), backend, x, Activation::None,
                [&](const Map& at) { return ref::max_pool(at, spec).y; }, 1e-6);
        check(
            AveragePool(), backend, x, Activation::None,
            [&](const Map& at) { return ref::average_pool(at, 7, 6); }, 1e-6);
        // avg_pool2d(x, 4) of a 7x6 map sees its top-left 4x4 alone.
        check(
            AveragePool(4), backend, x, Activation::None,
            [&](const Map& at) { return ref::average_pool(at, 4, 4); }, 1e-6);
    });
}

// Option A, He et al.: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, planes // 4, planes // 4)), spelled out.
TEST(LayerBackward, Case20_OptionAShortcut) {
    for (const auto& [h, w] : std::vector<std::pair<int64_t, int64_t>>{{8, 8}, {7, 5}, {1, 2}}) {
        const auto x = random_tensor({2, h, w, 6}, Fill::Normal, 1);
        on_all_backends([&, h = h, w = w](Backend& backend) {
            check(
                PadSubsample(2, 12), backend, x, Activation::None,
                [&](const Map& at) {
                    Map y(Shape{at.shape.n, (h + 1) / 2, (w + 1) / 2, 12});
                    ref::for_each_element(y.shape, [&](auto n, auto p, auto q, auto c) {
                        if (c >= 3 && c < 9) y.at(n, p, q, c) = at.at(n, 2 * p, 2 * q, c - 3);
                    });
                    return y;
                },
                1e-7);
        });
    }
}

TEST(LayerShapes, WhatDoesNotFitIsRefused) {
    Backend& backend = *backends_under_test().front().backend;
    const Shape small[] = {{1, 3, 3, 8}}, large[] = {{1, 8, 4, 8}}, fits[] = {{1, 7, 4, 8}};
    EXPECT_THROW(AveragePool(4).output_shape(small), Error);
    EXPECT_THROW(AveragePool(4).output_shape(large), Error);
    EXPECT_EQ(AveragePool(4).output_shape(fits), (Shape{1, 1, 1, 8}));
    EXPECT_THROW(PadSubsample(2, 7).output_shape(fits), Error);
    EXPECT_THROW(PadSubsample(2, 11).output_shape(fits), Error);
    const Shape unequal[] = {{1, 3, 3, 8}, {1, 3, 3, 9}};
    EXPECT_THROW(Add().output_shape(unequal), Error);
    const std::vector<float> ones(8, 1.0f), few(7, 1.0f);
    EXPECT_THROW(GroupNorm(backend, 3, 1e-5f, ones, ones), Error);
    EXPECT_THROW(GroupNorm(backend, 4, 1e-5f, ones, few), Error);
    EXPECT_THROW(FrozenNorm(backend, {.gamma = ones, .beta = ones, .mean = few, .var = ones}), Error);
    const ConvolutionWeights conv{
        .spec = {.in_channels = 2, .out_channels = 8}, .weights = std::vector<float>(16), .bias = {}};
    EXPECT_THROW(Conv2d(backend, conv, {.gamma = few, .beta = few, .mean = few, .var = few}), Error);
    EXPECT_EQ(Conv2d(backend, conv).kind(), "conv 1x1");
}

}  // namespace
}  // namespace gs::test
