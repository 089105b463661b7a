// Every layer's parameter gradients against complex steps and finite differences of its forward pass as the
// references have it, in the stored parameters.
#include <gtest/gtest.h>

#include "layers/norm.h"
#include "layers/pointwise.h"
#include "layers/pool.h"
#include "tests/reference/convolution.h"
#include "tests/reference/folding.h"
#include "tests/reference/group_norm.h"
#include "tests/support/backends.h"
#include "tests/support/device_tensor.h"
#include "tests/support/expect_close.h"
#include "tests/support/gradcheck.h"
#include "tests/support/random.h"

namespace gs::test {
namespace {

using Parameters = std::vector<std::vector<float>>;  // in the order of Layer::parameters()

template <class T>
std::vector<std::vector<T>> cast_all(const Parameters& parameters) {
    std::vector<std::vector<T>> all;
    for (const std::vector<float>& p : parameters) all.push_back(ref::cast<T>(ref::cast<double>(p)));
    return all;
}

// d<dy, forward(x, parameters)> / d parameters[i] by complex steps, which finite differences must confirm.
template <class Forward>
std::vector<double> wanted_gradient(const Forward& forward, const ref::Tensor<float>& x,
                                    const Parameters& parameters, size_t i, const ref::Tensor<double>& dy) {
    ref::Tensor<double> at(Shape{1, 1, 1, static_cast<int64_t>(parameters[i].size())});
    at.values = ref::cast<double>(parameters[i]);
    const auto xd = ref::cast<double>(x);
    auto complexes = cast_all<Complex>(parameters);
    const auto steps = complex_step_gradient(
        [&](const ref::Tensor<Complex>& p) {
            complexes[i] = p.values;
            return inner(dy, forward(ref::cast<Complex>(xd), complexes));
        },
        at);
    auto doubles = cast_all<double>(parameters);
    const auto differences = finite_difference_gradient(
        [&](const ref::Tensor<double>& p) {
            doubles[i] = p.values;
            return inner(dy, forward(xd, doubles));
        },
        at);
    double largest = 0;
    for (const double v : steps.values) largest = std::max(largest, std::abs(v));
    // Two evaluations' rounding over 2h = 2e-5, the next term of the series near h^2.
    for (size_t k = 0; k < steps.values.size(); ++k)
        EXPECT_NEAR(differences.values[k], steps.values[k], 1e-7 * largest)
            << "parameter " << i << "[" << k << "]";
    return steps.values;
}

struct LayerRun {
    Backend& backend;
    const Layer& layer;
    DeviceTensor x, dy, state;

    LayerRun(Backend& b, const Layer& l, const ref::Tensor<float>& input, const ref::Tensor<float>& cotangent)
        : backend(b), layer(l), x(b, input), dy(b, cotangent), state(b, state_shape(l, input.shape)) {
        const View inputs[] = {x.view()};
        const DeviceTensor y(b, cotangent.shape);
        if (layer.state_shape(input.shape).n > 0)
            layer.forward(b, {.x = inputs, .y = y, .state = state, .activation = Activation::None});
    }
    static Shape state_shape(const Layer& l, const Shape& input) {
        const Shape shape = l.state_shape(input);
        return shape.n > 0 ? shape : Shape{1};
    }

    // Gradients of the parameters in `wanted`; Add starts from `before` in every element.
    std::vector<std::vector<float>> gradients(const std::vector<bool>& wanted, Grad mode,
                                              float before = 0) const {
        const int64_t n = x.view().shape.n;
        const DeviceTensor workspace(backend, Shape{1, 1, 1, layer.backward_weights_workspace(n)});
        std::vector<DeviceTensor> tensors;
        std::vector<View> views;
        const std::vector<Parameter> parameters = layer.parameters();
        for (size_t i = 0; i < parameters.size(); ++i) {
            tensors.emplace_back(backend, Shape{1, 1, 1, element_count(parameters[i])});
            if (mode == Grad::Add) backend.fill(tensors.back(), before);
            views.push_back(wanted[i] ? tensors.back().view() : View{});
        }
        layer.backward_weights(
            backend,
            {.x = x, .dy = dy, .state = state, .gradients = views, .mode = mode, .workspace = workspace});
        std::vector<std::vector<float>> results;
        for (const DeviceTensor& tensor : tensors) results.push_back(tensor.download().values);
        return results;
    }
};

// forward(x, parameters): of any scalar.
template <class Forward>
void check(const Layer& layer, Backend& backend, const ref::Tensor<float>& x, const Parameters& parameters,
           const Forward& forward, double tol) {
    const Shape in[] = {x.shape};
    const auto dy = random_tensor(layer.output_shape(in), Fill::Normal, 77);
    const std::vector<Parameter> described = layer.parameters();
    ASSERT_EQ(described.size(), parameters.size());
    const LayerRun run(backend, layer, x, dy);
    const std::vector<bool> all(parameters.size(), true);
    const auto overwritten = run.gradients(all, Grad::Overwrite), added = run.gradients(all, Grad::Add, 3);
    for (size_t i = 0; i < parameters.size(); ++i) {
        SCOPED_TRACE(described[i].name);
        ASSERT_EQ(element_count(described[i]), static_cast<int64_t>(parameters[i].size()));
        std::vector<double> want = wanted_gradient(forward, x, parameters, i, ref::cast<double>(dy));
        expect_close("gradient", overwritten[i], want, tol);
        for (double& v : want) v += 3;
        expect_close("added gradient", added[i], want, tol);
        std::vector<bool> alone(parameters.size(), false);
        alone[i] = true;
        for (const Grad mode : {Grad::Overwrite, Grad::Add})
            expect_same_bits("alone", run.gradients(alone, mode, 3)[i],
                             mode == Grad::Add ? added[i] : overwritten[i]);
    }
}

const std::vector<ConvSpec>& specs() {
    static const std::vector<ConvSpec> all = {{3, 5, 3, 3, 2, 1, 1},
                                              {4, 4, 3, 3, 1, 1, 4},
                                              {5, 5, 3, 3, 2, 1, 5},
                                              {6, 3, 1, 1, 1, 0, 1},
                                              {4, 7, 1, 1, 2, 0, 1}};
    return all;
}

ConvolutionWeights weights_for(const ConvSpec& spec, bool biased) {
    return {.spec = spec,
            .weights = random_values(weight_shape(spec).size(), Fill::Normal, 1),
            .bias = biased ? random_values(spec.out_channels, Fill::Normal, 2) : std::vector<float>{}};
}

TEST(LayerBackwardWeights, Convolution) {
    for (const ConvSpec& spec : specs())
        for (const bool biased : {false, true}) {
            const ConvolutionWeights conv = weights_for(spec, biased);
            const auto x = random_tensor({2, 5, 6, spec.in_channels}, Fill::Normal, 6);
            Parameters parameters{conv.weights};
            if (biased) parameters.push_back(conv.bias);
            on_all_backends([&](Backend& backend) {
                check(
                    Conv2d(backend, conv), backend, x, parameters,
                    [&](const auto& at, const auto& p) {
                        return ref::convolution(
                            spec, at, p[0], biased ? p[1] : std::decay_t<decltype(p[0])>{}, Activation::None);
                    },
                    3e-6);
            });
        }
}

TEST(LayerBackwardWeights, Linear) {
    const ConvSpec spec{.in_channels = 33, .out_channels = 10};
    const ConvolutionWeights conv = weights_for(spec, true);
    const auto x = random_tensor({5, 1, 1, 33}, Fill::Normal, 6);
    on_all_backends([&](Backend& backend) {
        const Conv2d layer(backend, conv);
        EXPECT_EQ(layer.parameters()[0].shape, (std::vector<int64_t>{10, 33, 1, 1}));
        EXPECT_EQ(layer.parameters()[1].name, "bias");
        check(
            layer, backend, x, {conv.weights, conv.bias},
            [&](const auto& at, const auto& p) {
                return ref::convolution(spec, at, p[0], p[1], Activation::None);
            },
            3e-6);
    });
}

// Gradients with respect to the stored weights, and to gamma and beta, also where gamma is 0 or nearly: the
// folded weights hold nothing of the stored ones then.
TEST(LayerBackwardWeights, FoldedNorm) {
    for (const ConvSpec& spec : specs())
        for (const bool biased : {false, true}) {
            const ConvolutionWeights conv = weights_for(spec, biased);
            FrozenStatistics norm{.gamma = random_values(spec.out_channels, Fill::OffKinks, 3),
                                  .beta = random_values(spec.out_channels, Fill::Normal, 4),
                                  .mean = random_values(spec.out_channels, Fill::Normal, 5),
                                  .var = std::vector<float>(static_cast<size_t>(spec.out_channels), 0.3f)};
            norm.gamma[0] = 0;
            norm.gamma[1] = 1e-38f;
            const auto x = random_tensor({2, 5, 6, spec.in_channels}, Fill::Normal, 6);
            Parameters parameters{conv.weights};
            if (biased) parameters.push_back(conv.bias);
            parameters.insert(parameters.end(), {norm.gamma, norm.beta});
            on_all_backends([&](Backend& backend) {
                check(
                    Conv2d(backend, conv, norm), backend, x, parameters,
                    [&](const auto& at, const auto& p) {
                        const auto u = ref::convolution(
                            spec, at, p[0], biased ? p[1] : std::decay_t<decltype(p[0])>{}, Activation::None);
                        return ref::frozen_norm(u, p[p.size() - 2], p[p.size() - 1], norm.mean, norm.var,
                                                norm.eps);
                    },
                    1e-5);
            });
        }
}

TEST(LayerBackwardWeights, StandardisedConvolution) {
    for (const ConvSpec& spec : {ConvSpec{3, 5, 3, 3, 2, 1, 1}, ConvSpec{6, 3, 1, 1, 1, 0, 1}}) {
        const ConvolutionWeights conv = weights_for(spec, false);
        const auto x = random_tensor({2, 5, 6, spec.in_channels}, Fill::Normal, 6);
        on_all_backends([&](Backend& backend) {
            check(
                Conv2d(backend, conv, Conv2d::Standardised{}), backend, x, {conv.weights},
                [&](const auto& at, const auto& p) {
                    return ref::convolution(spec, at, ref::standardised(p[0], spec.out_channels), {},
                                            Activation::None);
                },
                1e-5);
        });
    }
}

TEST(LayerBackwardWeights, FrozenNorm) {
    const FrozenStatistics norm{.gamma = random_values(10, Fill::OffKinks, 3),
                                .beta = random_values(10, Fill::Normal, 4),
                                .mean = random_values(10, Fill::Normal, 5),
                                .var = std::vector<float>(10, 0.3f)};
    const auto x = random_tensor({2, 4, 5, 10}, Fill::Normal, 6);
    on_all_backends([&](Backend& backend) {
        check(
            FrozenNorm(backend, norm), backend, x, {norm.gamma, norm.beta},
            [&](const auto& at, const auto& p) {
                return ref::frozen_norm(at, p[0], p[1], norm.mean, norm.var, norm.eps);
            },
            3e-6);
    });
}

TEST(LayerBackwardWeights, GroupNorm) {
    const auto gamma = random_values(12, Fill::OffKinks, 1), beta = random_values(12, Fill::Normal, 2);
    const auto x = random_tensor({2, 3, 4, 12}, Fill::Normal, 3);
    on_all_backends([&](Backend& backend) {
        check(
            GroupNorm(backend, 4, 1e-5f, gamma, beta), backend, x, {gamma, beta},
            [&](const auto& at, const auto& p) {
                using T = typename std::decay_t<decltype(at.values)>::value_type;
                return ref::group_norm(at, ref::group_norm_stats(at, 4, 1e-5f),
                                       ref::GroupNorm<T>{4, 1e-5f, p[0], p[1]}, Activation::None);
            },
            1e-5);
    });
}

TEST(LayerBackwardWeights, LayersWithoutParametersHaveNone) {
    EXPECT_TRUE(Relu(Activation::Relu).parameters().empty());
    EXPECT_TRUE(Add().parameters().empty());
    EXPECT_TRUE(AveragePool().parameters().empty());
    EXPECT_THROW(Add().backward_weights(*backends_under_test().front().backend, {}), Error);
}

}  // namespace
}  // namespace gs::test
