// A batch of no images is no work, on any backend.
#include <gtest/gtest.h>

#include "tests/support/maps.h"

namespace gs::test {
namespace {

// Narrow and wide, which convolve in ways of their own.
const std::vector<ConvSpec>& specs() {
    static const std::vector<ConvSpec> all = {
        {5, 7, 3, 3, 1, 1, 1}, {64, 64, 3, 3, 1, 1, 1}, {16, 16, 3, 3, 1, 1, 16}, {8, 4, 1, 1, 1, 0, 1}};
    return all;
}

TEST(NoImages, AreConvolvedInNoTime) {
    on_every_map_type([](const Maps& maps) {
        maps.on_every_backend_and_default([&](Backend& backend) {
            for (const ConvSpec& spec : specs()) {
                const auto convolution = backend.make_convolution(
                    spec, random_values(weight_shape(spec).size(), Fill::Normal, 1), {});
                const Shape x{0, 6, 6, spec.in_channels};
                const DeviceTensor in = maps.output(backend, x),
                                   out = maps.output(backend, spec.output_shape(x));
                EXPECT_NO_THROW(convolution->forward(in, out, Activation::Relu));
                EXPECT_NO_THROW(convolution->backward_data(out, in));
            }
        });
    });
}

TEST(NoImages, HaveNoGradients) {
    on_every_map_type([](const Maps& maps) {
        maps.on_every_backend_and_default([&](Backend& backend) {
            for (const ConvSpec& spec : specs()) {
                const Shape x{0, 6, 6, spec.in_channels};
                const DeviceTensor in = maps.output(backend, x),
                                   dy = maps.output(backend, spec.output_shape(x)),
                                   out(backend, Shape{0, 1, 1, 1});
                for (const double p : {1.0, 2.0}) {
                    const PowerSum norm{p, out};
                    EXPECT_NO_THROW(
                        backend.weight_gradient_norm({.spec = spec, .x = in, .dy = dy, .norms = {&norm, 1}}));
                }
                if (spec.groups > 1 || !backend.combines_weight_gradients()) continue;
                const DeviceTensor coefficients(backend, Shape{0, 1, 1, 3});
                EXPECT_NO_THROW(
                    backend.combined_gradient_norm({.gradients = {.spec = spec, .x = in, .dy = dy},
                                                    .coefficients = coefficients,
                                                    .out = out}));
            }
            const DeviceTensor rows = maps.output(backend, {0, 3, 3, 8}),
                               x = maps.output(backend, {0, 3, 3, 8}),
                               channels(backend, std::vector<float>(8, 1.0f)),
                               sums(backend, Shape{0, 1, 1, 8});
            const View terms[] = {rows};
            const TapSink sink{Reduction::Mean, sums};
            EXPECT_NO_THROW(backend.pointwise_backward(
                {.terms = terms, .dx = rows, .sinks = {&sink, 1}, .gamma = {x, channels, channels, sums}}));
        });
    });
}

}  // namespace
}  // namespace gs::test
