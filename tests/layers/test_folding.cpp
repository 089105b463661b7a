// What is computed once at load: frozen BatchNorm folded into the convolution, standardised weights.
#include <gtest/gtest.h>

#include "layers/norm.h"
#include "tests/reference/convolution.h"
#include "tests/support/backends.h"
#include "tests/support/device_tensor.h"
#include "tests/support/expect_close.h"
#include "tests/support/random.h"

namespace gs::test {
namespace {

FrozenStatistics statistics(int64_t channels, float eps, uint64_t seed) {
    FrozenStatistics norm{.gamma = random_values(channels, Fill::Normal, seed),
                          .beta = random_values(channels, Fill::Normal, seed + 1),
                          .mean = random_values(channels, Fill::Normal, seed + 2),
                          .var = random_values(channels, Fill::Normal, seed + 3),
                          .eps = eps};
    for (float& v : norm.var) v = v * v;
    norm.gamma[0] = 0;   // a pruned channel
    norm.var[1] = 0;     // a dead one: eps alone is under the root
    norm.gamma[2] = -2;  // gradients through it change sign
    return norm;
}

// gamma (x - mean) / sqrt(var + eps) + beta, straight from the definition.
ref::Tensor<double> normed(ref::Tensor<double> x, const FrozenStatistics& norm, Activation activation) {
    ref::for_each_element(x.shape, [&](auto n, auto h, auto w, auto channel) {
        const auto c = static_cast<size_t>(channel);
        double& v = x.at(n, h, w, channel);
        v = norm.gamma[c] * (v - norm.mean[c]) / std::sqrt(static_cast<double>(norm.var[c]) + norm.eps) +
            norm.beta[c];
    });
    return ref::activate(x, activation);
}

// Channels differ by factors of hundreds (a dead one by 1 / sqrt(eps)): each is judged by its own largest
// value.
void expect_channels_close(const ref::Tensor<float>& got, const ref::Tensor<double>& want,
                           const ref::Tensor<double>& before_activation, double tol) {
    std::vector<double> largest(static_cast<size_t>(want.shape.c));
    ref::for_each_element(want.shape, [&](auto n, auto h, auto w, auto c) {
        double& l = largest[static_cast<size_t>(c)];
        l = std::max(l, std::abs(before_activation.at(n, h, w, c)));
    });
    ref::for_each_element(want.shape, [&](auto n, auto h, auto w, auto c) {
        EXPECT_NEAR(got.at(n, h, w, c), want.at(n, h, w, c), tol * largest[static_cast<size_t>(c)])
            << "channel " << c;
    });
}

TEST(Folding, ConvolutionAndNormAreOneConvolution) {
    const std::vector<ConvSpec> specs = {
        {.in_channels = 5, .out_channels = 9, .kernel_h = 3, .kernel_w = 3, .stride = 2, .pad = 1},
        {.in_channels = 16,
         .out_channels = 16,
         .kernel_h = 3,
         .kernel_w = 3,
         .stride = 1,
         .pad = 1,
         .groups = 16},
        {.in_channels = 7, .out_channels = 32}};
    for (const ConvSpec& spec : specs)
        for (const float eps : {1e-5f, 1e-3f})
            for (const bool biased : {false, true}) {
                ConvolutionWeights conv{
                    .spec = spec,
                    .weights = random_values(
                        spec.out_channels * spec.in_channels / spec.groups * spec.kernel_h * spec.kernel_w,
                        Fill::Normal, 3),
                    .bias = {}};
                if (biased) conv.bias = random_values(spec.out_channels, Fill::Normal, 4);
                const FrozenStatistics norm = statistics(spec.out_channels, eps, 10);
                // The factor from the gradient of the folded weights to that of the stored ones.
                const std::vector<double> scale = norm.scale();
                ASSERT_EQ(scale.size(), norm.gamma.size());
                for (size_t c = 0; c < scale.size(); ++c)
                    EXPECT_DOUBLE_EQ(scale[c],
                                     norm.gamma[c] / std::sqrt(static_cast<double>(norm.var[c]) + norm.eps));
                const auto x = random_tensor({2, 7, 6, spec.in_channels}, Fill::Normal, 5);
                const auto plain =
                    ref::convolution(spec, ref::cast<double>(x), ref::cast<double>(conv.weights),
                                     ref::cast<double>(conv.bias), Activation::None);
                on_all_backends([&](Backend& backend) {
                    const Conv2d layer(backend, conv, norm);
                    const DeviceTensor in(backend, x), y(backend, plain.shape);
                    const View inputs[] = {in.view()};
                    for (const Activation activation :
                         {Activation::None, Activation::Relu, Activation::Relu6}) {
                        layer.forward(backend, {.x = inputs, .y = y, .activation = activation});
                        expect_channels_close(y.download(), normed(plain, norm, activation),
                                              normed(plain, norm, Activation::None), 3e-6);
                    }
                });
            }
}

TEST(Folding, FrozenNormAloneIsTheDefinition) {
    for (const float eps : {1e-5f, 1e-3f}) {
        const FrozenStatistics norm = statistics(12, eps, 20);
        const auto x = random_tensor({3, 5, 4, 12}, Fill::Normal, 6);
        on_all_backends([&](Backend& backend) {
            const FrozenNorm layer(backend, norm);
            const DeviceTensor in(backend, x), y(backend, x.shape);
            const View inputs[] = {in.view()};
            for (const Activation activation : {Activation::None, Activation::Relu}) {
                layer.forward(backend, {.x = inputs, .y = y, .activation = activation});
                expect_close("y", y.download(), normed(ref::cast<double>(x), norm, activation), 2e-6);
            }
        });
    }
}

TEST(Standardisation, IsThatOfTheDefinitionInDouble) {
    for (const Fill fill : {Fill::Normal, Fill::LargeOffset}) {
        const int64_t out = 5, fan_in = 27;
        std::vector<float> w = random_values(out * fan_in, fill, 7);
        std::fill(w.begin(), w.begin() + fan_in, 0.25f);  // no variance: 1e-10 is under the root, 0 comes out
        for (size_t k = 0; k < static_cast<size_t>(fan_in); ++k)
            w[static_cast<size_t>(fan_in) + k] *= 1e-6f;  // variance near 1e-10 and below
        const std::vector<float> got = standardise_weights(w, out);
        std::vector<double> want;
        for (size_t o = 0; o < static_cast<size_t>(out); ++o) {
            const std::vector<long double> row(w.begin() + static_cast<std::ptrdiff_t>(o * fan_in),
                                               w.begin() + static_cast<std::ptrdiff_t>((o + 1) * fan_in));
            long double mean = 0, var = 0;
            for (const auto v : row) mean += v / fan_in;
            for (const auto v : row) var += (v - mean) * (v - mean) / fan_in;
            for (const auto v : row)
                want.push_back(static_cast<double>((v - mean) / std::sqrt(var + 1e-10L)));
        }
        expect_close("standardised", got, want, 1e-7);
        for (size_t k = 0; k < static_cast<size_t>(fan_in); ++k) EXPECT_EQ(got[k], 0.0f);
    }
}

}  // namespace
}  // namespace gs::test
