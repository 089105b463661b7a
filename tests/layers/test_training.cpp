// Layers in training: their whole backward pass against complex steps of the references, and the parameters
// they are given.
#include <gtest/gtest.h>

#include "layers/norm.h"
#include "layers/training.h"
#include "tests/reference/batch_norm.h"
#include "tests/reference/group_norm.h"
#include "tests/support/backends.h"
#include "tests/support/device_tensor.h"
#include "tests/support/expect_close.h"
#include "tests/support/gradcheck.h"
#include "tests/support/random.h"

namespace gs::test {
namespace {

constexpr double kEps = 1e-5;
const Shape kShape{3, 4, 5, 12};

struct Inputs {
    ref::Tensor<float> x = random_tensor(kShape, Fill::Normal, 1),
                       other = random_tensor(kShape, Fill::Normal, 2),
                       dy = random_tensor(kShape, Fill::Normal, 3);
    std::vector<float> gamma = random_values(kShape.c, Fill::OffKinks, 4),
                       beta = random_values(kShape.c, Fill::Normal, 5);
};

// d <dy, f> / d at, confirmed by finite differences where f is evaluated in double.
template <class F>
std::vector<double> gradient(const F& f, const ref::Tensor<float>& at, const ref::Tensor<float>& dy) {
    const auto cotangent = ref::cast<double>(dy);
    const auto steps = complex_step_gradient(
        [&](const ref::Tensor<Complex>& v) { return inner(cotangent, f(v)); }, ref::cast<double>(at));
    const auto differences = finite_difference_gradient(
        [&](const ref::Tensor<double>& v) { return inner(cotangent, f(v)); }, ref::cast<double>(at), 1e-6);
    double largest = 0;
    for (const double v : steps.values) largest = std::max(largest, std::abs(v));
    for (size_t i = 0; i < steps.values.size(); ++i)
        EXPECT_NEAR(differences.values[i], steps.values[i], 1e-6 * largest) << i;
    return steps.values;
}

ref::Tensor<float> channels(const std::vector<float>& values) {
    ref::Tensor<float> tensor(Shape{1, 1, 1, static_cast<int64_t>(values.size())});
    tensor.values = values;
    return tensor;
}

template <class T>
std::vector<T> as(const std::vector<float>& values) {
    return ref::cast<T>(ref::cast<double>(values));
}

TEST(TrainBatchNorm, BothPassesAndEveryGradient) {
    const Inputs in;
    for (const bool joins : {false, true}) {
        const auto forward = [&](const auto& x, const auto& gamma, const auto& beta, const auto& other) {
            using T = typename std::decay_t<decltype(x.values)>::value_type;
            return ref::batch_norm(x, gamma, beta, joins ? other : ref::Tensor<T>(), kEps, Activation::Relu);
        };
        const auto with = [&](int which) {
            return [&, which](const auto& v) {
                using T = typename std::decay_t<decltype(v.values)>::value_type;
                const auto x = ref::cast<T>(ref::cast<double>(in.x)),
                           other = ref::cast<T>(ref::cast<double>(in.other));
                return forward(which == 0 ? v : x, which == 1 ? v.values : as<T>(in.gamma),
                               which == 2 ? v.values : as<T>(in.beta), which == 3 ? v : other);
            };
        };
        const auto dx = gradient(with(0), in.x, in.dy), dgamma = gradient(with(1), channels(in.gamma), in.dy),
                   dbeta = gradient(with(2), channels(in.beta), in.dy);
        const auto y = with(0)(ref::cast<double>(in.x));
        on_every_backend([&](Backend& backend) {
            const std::vector<float> zeros(in.gamma.size()), ones(in.gamma.size(), 1);
            BatchNorm layer(backend, {.gamma = ones, .beta = zeros, .mean = zeros, .var = ones});
            const DeviceTensor x(backend, in.x), other(backend, in.other), out(backend, kShape),
                dy(backend, in.dy), state(backend, layer.state_shape(kShape)), back(backend, kShape),
                g(backend, kShape), gamma(backend, in.gamma), beta(backend, in.beta),
                grad_gamma(backend, gamma.view().shape), grad_beta(backend, gamma.view().shape);
            const View values[] = {gamma, beta}, gradients[] = {grad_gamma, grad_beta};
            layer.set_parameters(backend, values);
            std::vector<View> inputs{x};
            if (joins) inputs.push_back(other);
            layer.forward(backend, {.x = inputs, .y = out, .state = state, .activation = Activation::Relu});
            expect_close("y", out.download(), y, 2e-6);
            const View terms[] = {dy};
            layer.train_backward(backend, {.terms = terms,
                                           .x = x,
                                           .y = out,
                                           .state = state,
                                           .activation = Activation::Relu,
                                           .dx = back,
                                           .g = joins ? g.view() : View{},
                                           .gradients = gradients});
            expect_close("dx", back.download().values, dx, 5e-6);
            expect_close("dgamma", grad_gamma.download().values, dgamma, 5e-6);
            expect_close("dbeta", grad_beta.download().values, dbeta, 5e-6);
            if (joins) expect_close("g", g.download().values, gradient(with(3), in.other, in.dy), 1e-6);
            const auto statistics = ref::batch_statistics(ref::cast<double>(in.x));
            std::vector<double> mean, var;  // PyTorch: momentum 0.1, unbiased variance
            for (size_t c = 0; c < statistics.mean.size(); ++c) {
                mean.push_back(0.1 * statistics.mean[c]);
                var.push_back(0.9 + 0.1 * statistics.var[c] * 60 / 59);
            }
            std::vector<float> running(mean.size());
            backend.download(layer.running_mean(), running);
            expect_close("running mean", running, mean, 1e-6);
            backend.download(layer.running_var(), running);
            expect_close("running var", running, var, 1e-6);
            EXPECT_THROW(layer.backward(backend, {.terms = terms, .dx = back}), Error);
        });
    }
}

TEST(TrainGroupNorm, BothPassesAndEveryGradient) {
    const Inputs in;
    const auto with = [&](int which) {
        return [&, which](const auto& v) {
            using T = typename std::decay_t<decltype(v.values)>::value_type;
            const auto x = which == 0 ? v : ref::cast<T>(ref::cast<double>(in.x));
            return ref::group_norm(x, ref::group_norm_stats(x, 4, kEps),
                                   ref::GroupNorm<T>{4, kEps, which == 1 ? v.values : as<T>(in.gamma),
                                                     which == 2 ? v.values : as<T>(in.beta)},
                                   Activation::Relu);
        };
    };
    const auto dx = gradient(with(0), in.x, in.dy), dgamma = gradient(with(1), channels(in.gamma), in.dy),
               dbeta = gradient(with(2), channels(in.beta), in.dy);
    on_every_backend([&](Backend& backend) {
        const std::vector<float> other = random_values(kShape.c, Fill::Normal, 9);
        GroupNorm layer(backend, 4, static_cast<float>(kEps), other, other);
        const DeviceTensor x(backend, in.x), out(backend, kShape), dy(backend, in.dy),
            state(backend, layer.state_shape(kShape)), back(backend, kShape), gamma(backend, in.gamma),
            beta(backend, in.beta), grad_gamma(backend, in.gamma), grad_beta(backend, in.gamma),
            workspace(backend, Shape{1, 1, 1, layer.training_workspace(kShape.n)});
        const View values[] = {gamma, beta}, inputs[] = {x}, terms[] = {dy};
        layer.set_parameters(backend, values);
        layer.forward(backend, {.x = inputs, .y = out, .state = state, .activation = Activation::Relu});
        const auto run = [&](std::span<const View> gradients, Grad mode) {
            layer.train_backward(backend, {.terms = terms,
                                           .x = x,
                                           .state = state,
                                           .activation = Activation::Relu,
                                           .dx = back,
                                           .gradients = gradients,
                                           .mode = mode,
                                           .workspace = workspace});
        };
        const View gradients[] = {grad_gamma, grad_beta}, none[] = {View{}, View{}};
        run(gradients, Grad::Overwrite);
        run(gradients, Grad::Add);
        const auto twice = [](std::vector<double> all) {
            for (double& v : all) v *= 2;
            return all;
        };
        expect_close("dgamma", grad_gamma.download().values, twice(dgamma), 1e-5);
        expect_close("dbeta", grad_beta.download().values, twice(dbeta), 1e-5);
        backend.fill(back, 7);
        run(none, Grad::Overwrite);
        expect_close("dx", back.download().values, dx, 1e-5);
    });
}

TEST(TrainDropout, TheBackwardPassDropsWhatTheForwardPassDropped) {
    const Inputs in;
    const DropoutLayer layer(0.4f);
    on_every_backend([&](Backend& backend) {
        const DeviceTensor x(backend, ref::Tensor<float>(kShape, 1)), out(backend, kShape),
            dy(backend, in.dy), back(backend, kShape);
        const View inputs[] = {x}, terms[] = {dy};
        layer.forward(backend, {.x = inputs, .y = out, .draw = 11});
        layer.train_backward(backend, {.terms = terms, .dx = back, .draw = 11});
        const std::vector<float> factor = out.download().values;
        std::vector<double> want;
        for (size_t i = 0; i < factor.size(); ++i)
            want.push_back(static_cast<double>(factor[i]) * in.dy.values[i]);
        expect_close("dx", back.download().values, want, 1e-6);
        layer.forward(backend, {.x = inputs, .y = out, .draw = 12});
        EXPECT_NE(out.download().values, factor);
    });
}

// A layer that is given parameters does what one made with them does, backward pass and weight gradients too.
TEST(SetParameters, OfAConvolution) {
    const ConvSpec spec{6, 8, 3, 3, 1, 1, 1};
    const auto w = random_tensor(weight_shape(spec), Fill::Normal, 1),
               before = random_tensor(w.shape, Fill::Normal, 2);
    const std::vector<float> bias = random_values(8, Fill::Normal, 3),
                             bias_before = random_values(8, Fill::Normal, 4);
    const auto x = random_tensor({2, 5, 4, 6}, Fill::Normal, 5),
               dy = random_tensor({2, 5, 4, 8}, Fill::Normal, 6);
    for (const bool standardised : {false, true})
        on_every_backend([&](Backend& backend) {
            const auto make = [&](const ref::Tensor<float>& weights, const std::vector<float>& b) {
                const ConvolutionWeights all{spec, weights.values, standardised ? std::vector<float>{} : b};
                return standardised ? std::make_unique<Conv2d>(backend, all, Conv2d::Standardised{})
                                    : std::make_unique<Conv2d>(backend, all);
            };
            const auto run = [&](const Conv2d& layer) {
                const DeviceTensor in(backend, x), out(backend, dy.shape), cotangent(backend, dy),
                    back(backend, x.shape), dw(backend, w.shape), db(backend, Shape{1, 1, 1, 8}),
                    workspace(backend, Shape{1, 1, 1, layer.training_workspace(2)});
                const View inputs[] = {in}, terms[] = {cotangent}, gradients[] = {dw, db};
                layer.forward(backend, {.x = inputs, .y = out});
                layer.train_backward(backend, {.terms = terms,
                                               .x = in,
                                               .dx = back,
                                               .gradients = {gradients, layer.parameters().size()},
                                               .workspace = workspace});
                return std::vector{out.download().values, back.download().values, dw.download().values};
            };
            const auto layer = make(before, bias_before);
            run(*layer);  // whatever it keeps is made
            const DeviceTensor weights(backend, w), b(backend, bias);
            const View values[] = {weights, b};
            layer->set_parameters(backend, {values, layer->parameters().size()});
            const auto got = run(*layer), want = run(*make(w, bias));
            for (size_t i = 0; i < got.size(); ++i) expect_close(std::to_string(i), got[i], want[i], 1e-6);
        });
}

}  // namespace
}  // namespace gs::test
