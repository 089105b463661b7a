// Dropout, the update of parameters, weight standardisation, and convolutions that are given other weights.
#include <gtest/gtest.h>

#include <cmath>

#include "core/training.h"
#include "layers/convolution.h"
#include "tests/reference/convolution.h"
#include "tests/support/backends.h"
#include "tests/support/device_tensor.h"
#include "tests/support/expect_close.h"
#include "tests/support/random.h"

namespace gs::test {
namespace {

ref::Tensor<float> drop(Backend& backend, const ref::Tensor<float>& x, float rate, uint64_t key) {
    const DeviceTensor in(backend, x), out(backend, x.shape);
    backend.dropout({in, rate, key, out});
    backend.dropout({in, rate, key, in});
    expect_same_bits("in place", in.download().values, out.download().values);
    return out.download();
}

TEST(Dropout, KeepsWhatTheDefinitionSays) {
    for (const Shape& shape : {Shape{3, 7, 5, 19}, Shape{2, 64, 64, 24}}) {  // one chunk, several
        const auto x = random_tensor(shape, Fill::OffKinks, 1);
        for (const float rate : {0.0f, 0.3f, 0.5f, 0.9f})
            for (const uint64_t key : {uint64_t{7}, uint64_t{0xfedcba9876543210}}) {
                std::vector<double> want = ref::cast<double>(x.values);
                for (size_t i = 0; i < want.size(); ++i)
                    want[i] = dropout_bits(key, i) >= dropout_threshold(rate)
                                  ? want[i] / (1 - static_cast<double>(rate))
                                  : 0;
                on_every_backend([&](Backend& backend) {
                    const auto got = drop(backend, x, rate, key);
                    expect_close("y", got.values, want, 2e-7);
                    for (size_t i = 0; i < want.size(); ++i)  // true zeros
                        ASSERT_EQ(got.values[i] == 0.0f, want[i] == 0) << i;
                });
            }
    }
}

// Its draws are even, and those of neighbouring elements and keys are not alike.
TEST(Dropout, DrawsAreUniformAndIndependent) {
    constexpr int kDraws = 1 << 16;
    constexpr float kRate = 0.3f;
    const auto kept = [](uint64_t key, uint64_t i) {
        return dropout_bits(key, i) >= dropout_threshold(kRate) ? 1 : 0;
    };
    for (const uint64_t key : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 40}) {
        int one = 0, with_next = 0, with_row = 0, with_next_key = 0, far = 0;
        for (uint64_t i = 0; i < kDraws; ++i) {
            one += kept(key, i);
            with_next += kept(key, i) * kept(key, i + 1);
            with_row += kept(key, i) * kept(key, i + 1024);
            with_next_key += kept(key, i) * kept(key + 1, i);
            far += kept(key, i) * kept(key, i + (uint64_t{1} << 32));
        }
        // Five standard deviations of a count of n draws: 5 sqrt(n p (1 - p)) < 650.
        EXPECT_NEAR(one, kDraws * 0.7, 650);
        for (const int pairs : {with_next, with_row, with_next_key, far})
            EXPECT_NEAR(pairs, kDraws * 0.49, 650);
    }
}

TEST(SgdUpdate, MatchesDoubleOverSeveralSteps) {
    for (const int64_t count : {1, 37, 100000})
        for (const bool nesterov : {false, true})
            for (const float decay : {0.0f, 5e-2f}) {
                const Shape shape{1, 1, 1, count};
                const auto w0 = random_tensor(shape, Fill::Normal, 1);
                std::vector<double> w = ref::cast<double>(w0.values), v(w.size());
                on_every_backend([&](Backend& backend) {
                    const DeviceTensor weights(backend, w0), velocity(backend, ref::Tensor<float>(shape));
                    w = ref::cast<double>(w0.values);
                    v.assign(w.size(), 0);
                    for (uint64_t step = 0; step < 3; ++step) {
                        const auto g0 = random_tensor(shape, Fill::Normal, 10 + step);
                        const DeviceTensor g(backend, g0);
                        const double lr = 0.1 / static_cast<double>(step + 1), mu = 0.9;
                        for (size_t i = 0; i < w.size(); ++i) {
                            const double d = g0.values[i] + static_cast<double>(decay) * w[i];
                            v[i] = mu * v[i] + d;
                            w[i] -= lr * (nesterov ? d + mu * v[i] : v[i]);
                        }
                        backend.sgd_update({weights, g, velocity, static_cast<float>(lr),
                                            static_cast<float>(mu), decay, nesterov});
                    }
                    expect_close("w", weights.download().values, w, 1e-6);
                    expect_close("v", velocity.download().values, v, 1e-6);
                });
            }
}

// On the device as at load.
TEST(StandardiseWeights, AreTheLayersOwn) {
    for (const Shape& shape : {Shape{5, 7, 3, 3}, Shape{16, 32, 1, 1}, Shape{1, 3, 7, 7}}) {
        const auto w = random_tensor(shape, Fill::LargeOffset, 1);
        std::vector<double> rstd;
        const std::vector<float> want = standardise_weights(w.values, shape.n, &rstd);
        on_every_backend([&](Backend& backend) {
            const DeviceTensor in(backend, w), out(backend, shape), scale(backend, Shape{1, 1, 1, shape.n});
            backend.standardise_weights({in, out, scale});
            expect_close("standardised", out.download().values, want, 1e-6);
            expect_close("scale", scale.download().values, rstd, 1e-7);
        });
    }
}

// Every way a backend convolves: what was made for other weights, in all three passes, must not show.
TEST(Convolution, TakesOtherWeights) {
    const ConvSpec specs[] = {{16, 32, 3, 3, 1, 1, 1}, {32, 32, 3, 3, 1, 1, 1},  {3, 16, 3, 3, 1, 1, 1},
                              {16, 32, 1, 1, 2, 0, 1}, {24, 24, 3, 3, 1, 1, 24}, {19, 23, 3, 3, 2, 1, 1},
                              {40, 10, 1, 1, 1, 0, 1}};
    for (const ConvSpec& spec : specs)
        for (const bool biased : {false, true}) {
            SCOPED_TRACE(std::to_string(spec.in_channels) + " to " + std::to_string(spec.out_channels));
            const Shape w = weight_shape(spec);
            const auto before = random_values(w.size(), Fill::Normal, 1);
            const auto bias_before =
                biased ? random_values(spec.out_channels, Fill::Normal, 2) : std::vector<float>{};
            const auto after = random_tensor(w, Fill::Normal, 3);
            const auto bias_after =
                biased ? random_values(spec.out_channels, Fill::Normal, 4) : std::vector<float>{};
            const auto x = random_tensor({2, 8, 6, spec.in_channels}, Fill::Normal, 5);
            const auto dy = random_tensor(spec.output_shape(x.shape), Fill::Normal, 6);
            const auto y = ref::convolution(spec, ref::cast<double>(x), ref::cast<double>(after.values),
                                            ref::cast<double>(bias_after), Activation::None);
            const auto dx = ref::convolution_backward_data(spec, ref::cast<double>(dy),
                                                           ref::cast<double>(after.values), x.shape);
            on_every_backend_and_default([&](Backend& backend) {
                const auto conv = backend.make_convolution(spec, before, bias_before);
                const DeviceTensor in(backend, x), out(backend, y.shape), gradient(backend, dy),
                    back(backend, x.shape), dw(backend, w), weights(backend, after),
                    bias(backend, biased ? bias_after : std::vector<float>{0});
                for (int run = 0; run < 2; ++run) {
                    conv->forward(in, out, Activation::None);
                    conv->backward_data(gradient, back);
                    conv->backward_weights(in, gradient, dw);
                    conv->set_weights(weights, biased ? bias.view() : View{});
                }
                expect_same_bits("weights", conv->weights(), after.values);
                conv->forward(in, out, Activation::None);
                conv->backward_data(gradient, back);
                expect_close("y", out.download(), y, 4e-6);
                expect_close("dx", back.download(), dx, 4e-6);
                EXPECT_THROW(conv->set_weights(weights, biased ? View{} : bias.view()), Error);
            });
        }
}

}  // namespace
}  // namespace gs::test
