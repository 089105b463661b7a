// Norms of each row's parameter gradients against the gradients of that row alone (test_backward_weights.cpp
// has them against complex steps); rows are two cotangents of each sample.
#include <gtest/gtest.h>

#include <limits>

#include "layers/norm.h"
#include "tests/reference/pointwise.h"
#include "tests/reference/weight_gradient.h"
#include "tests/support/backends.h"
#include "tests/support/device_tensor.h"
#include "tests/support/expect_close.h"
#include "tests/support/random.h"

namespace gs::test {
namespace {

constexpr int64_t kCotangents = 2;
constexpr double kExponents[] = {1, 2, std::numeric_limits<double>::infinity()};

ref::Tensor<float> row_of(const ref::Tensor<float>& all, int64_t row) {
    ref::Tensor<float> one(all.shape.with_n(1));
    std::copy_n(all.values.begin() + row * one.shape.size(), one.shape.size(), one.values.begin());
    return one;
}

// Power sums of the gradients of one sample and one cotangent, [parameter][exponent].
std::vector<std::vector<double>> explicit_norms(Backend& backend, const Layer& layer,
                                                const ref::Tensor<float>& x, const ref::Tensor<float>& dy) {
    const Shape in[] = {x.shape};
    const DeviceTensor input(backend, x), delta(backend, dy), y(backend, layer.output_shape(in));
    const Shape state_shape = layer.state_shape(x.shape);
    const DeviceTensor state(backend, state_shape.n > 0 ? state_shape : Shape{1}),
        workspace(backend, Shape{1, 1, 1, layer.backward_weights_workspace(1)});
    const View inputs[] = {input.view()};
    if (state_shape.n > 0) layer.forward(backend, {.x = inputs, .y = y, .state = state});
    std::vector<DeviceTensor> gradients;
    std::vector<View> views;
    for (const Parameter& parameter : layer.parameters()) {
        gradients.emplace_back(backend, Shape{1, 1, 1, element_count(parameter)});
        views.push_back(gradients.back());
    }
    layer.backward_weights(
        backend, {.x = input, .dy = delta, .state = state, .gradients = views, .workspace = workspace});
    std::vector<std::vector<double>> norms;
    for (const DeviceTensor& gradient : gradients) {
        norms.emplace_back();
        for (const double p : kExponents)
            norms.back().push_back(ref::power_sum(ref::cast<double>(gradient.download().values), p));
    }
    return norms;
}

// Buffers of the norms of all parameters.
struct NormOutputs {
    std::vector<DeviceTensor> outs;  // by parameter and exponent
    std::vector<std::vector<PowerSum>> sums;
    std::vector<std::span<const PowerSum>> lists;

    NormOutputs(Backend& backend, size_t parameters, int64_t rows) : sums(parameters) {
        for (std::vector<PowerSum>& list : sums) {
            for (const double p : kExponents) {
                outs.emplace_back(backend, Shape{rows, 1, 1, 1});
                list.push_back({p, outs.back()});
            }
            lists.emplace_back(list);
        }
    }
    // want: [row][parameter][exponent]
    void expect(const std::vector<std::vector<std::vector<double>>>& want, double tol) const {
        for (size_t i = 0; i < outs.size(); ++i) {
            std::vector<double> column;
            for (const auto& row : want)
                column.push_back(row[i / std::size(kExponents)][i % std::size(kExponents)]);
            expect_close("parameter " + std::to_string(i / std::size(kExponents)) + ", exponent " +
                             std::to_string(i % std::size(kExponents)),
                         outs[i].download().values, column, tol);
        }
    }
};

void check_convolution(Backend& backend, const Conv2d& layer, const ref::Tensor<float>& x) {
    const int64_t rows = kCotangents * x.shape.n;
    const Shape in[] = {x.shape};
    const auto dy = random_tensor(layer.output_shape(in).with_n(rows), Fill::Normal, 7);
    std::vector<std::vector<std::vector<double>>> want;
    for (int64_t r = 0; r < rows; ++r)
        want.push_back(explicit_norms(backend, layer, row_of(x, r % x.shape.n), row_of(dy, r)));
    const Shape sums{rows, 1, 1, dy.shape.c};
    const DeviceTensor input(backend, x), delta(backend, dy), beta(backend, sums), gamma(backend, sums);
    const TapSink sum{Reduction::Sum, beta};
    backend.reduce(delta, {&sum, 1});
    const NormOutputs norms(backend, layer.parameters().size(), rows);
    layer.gradient_norms(backend,
                         {.x = input, .dy = delta, .beta = beta, .gamma = gamma, .norms = norms.lists});
    norms.expect(want, 5e-6);
    // Of gamma alone: the product is made for it.
    if (layer.parameters().size() < 3) return;
    const NormOutputs again(backend, layer.parameters().size(), rows);
    std::vector<std::span<const PowerSum>> lists(again.lists.size());
    const size_t at = lists.size() - 2;
    lists[at] = again.lists[at];
    layer.gradient_norms(backend, {.x = input, .dy = delta, .beta = beta, .gamma = gamma, .norms = lists});
    for (size_t e = 0; e < std::size(kExponents); ++e)
        expect_same_bits("gamma alone", again.outs[at * std::size(kExponents) + e].download().values,
                         norms.outs[at * std::size(kExponents) + e].download().values);
}

TEST(GradientNorms, Convolutions) {
    for (const ConvSpec& spec : {ConvSpec{3, 5, 3, 3, 2, 1, 1}, ConvSpec{5, 5, 3, 3, 1, 1, 5},
                                 ConvSpec{6, 4, 1, 1, 1, 0, 1}, ConvSpec{20, 16, 1, 1, 2, 0, 1}})
        for (const bool biased : {false, true}) {
            const ConvolutionWeights conv{
                .spec = spec,
                .weights = random_values(weight_shape(spec).size(), Fill::Normal, 1),
                .bias = biased ? random_values(spec.out_channels, Fill::Normal, 2) : std::vector<float>{}};
            FrozenStatistics norm{.gamma = random_values(spec.out_channels, Fill::OffKinks, 3),
                                  .beta = random_values(spec.out_channels, Fill::Normal, 4),
                                  .mean = random_values(spec.out_channels, Fill::Normal, 5),
                                  .var = std::vector<float>(static_cast<size_t>(spec.out_channels), 0.3f)};
            norm.gamma[0] = 0;
            for (const Shape& map : {Shape{2, 5, 6, spec.in_channels}, Shape{3, 1, 1, spec.in_channels}}) {
                const auto x = random_tensor(map, Fill::Normal, 6);
                on_all_backends([&](Backend& backend) {
                    check_convolution(backend, Conv2d(backend, conv), x);
                    check_convolution(backend, Conv2d(backend, conv, norm), x);
                    if (spec.groups == 1)
                        check_convolution(backend, Conv2d(backend, conv, Conv2d::Standardised{}), x);
                });
            }
        }
}

// Behind a fused activation: the backward pass leaves the sums, of the masked gradient.
void check_norm(Backend& backend, const Layer& layer, const ref::Tensor<float>& x, Activation activation) {
    const int64_t rows = kCotangents * x.shape.n;
    const auto dy = random_tensor(x.shape.with_n(rows), Fill::Normal, 7);
    const DeviceTensor input(backend, x), y(backend, x.shape), delta(backend, dy), dx(backend, dy.shape);
    const Shape state_shape = layer.state_shape(x.shape);
    const DeviceTensor state(backend, state_shape.n > 0 ? state_shape : Shape{1});
    const View inputs[] = {input.view()}, terms[] = {delta.view()};
    layer.forward(backend, {.x = inputs, .y = y, .state = state, .activation = activation});
    const auto masked = ref::cast<float>(
        ref::masked_sum<double>({ref::cast<double>(dy)}, ref::cast<double>(y.download()), activation));
    std::vector<std::vector<std::vector<double>>> want;
    for (int64_t r = 0; r < rows; ++r)
        want.push_back(explicit_norms(backend, layer, row_of(x, r % x.shape.n), row_of(masked, r)));
    const Shape sums{rows, 1, 1, x.shape.c};
    const DeviceTensor beta(backend, sums), gamma(backend, sums);
    const TapSink sum{Reduction::Sum, beta};
    for (const bool goes_on : {false, true}) {
        const NormOutputs norms(backend, 2, rows);
        layer.backward(backend, {.terms = terms,
                                 .x = input,
                                 .y = y,
                                 .state = state,
                                 .activation = activation,
                                 .dx = goes_on ? dx.view() : View{},
                                 .sinks = {&sum, 1},
                                 .dgamma = gamma});
        layer.gradient_norms(backend, {.beta = beta, .gamma = gamma, .norms = norms.lists});
        norms.expect(want, 1e-6);
    }
}

TEST(GradientNorms, NormsThatStandAlone) {
    const auto gamma = random_values(12, Fill::OffKinks, 1), beta = random_values(12, Fill::Normal, 2);
    const FrozenStatistics frozen{.gamma = gamma,
                                  .beta = beta,
                                  .mean = random_values(12, Fill::Normal, 5),
                                  .var = std::vector<float>(12, 0.3f)};
    const auto x = random_tensor({2, 9, 7, 12}, Fill::Normal, 3);
    for (const Activation activation : {Activation::None, Activation::Relu})
        on_all_backends([&](Backend& backend) {
            check_norm(backend, FrozenNorm(backend, frozen), x, activation);
            check_norm(backend, GroupNorm(backend, 4, 1e-5f, gamma, beta), x, activation);
        });
}

}  // namespace
}  // namespace gs::test
