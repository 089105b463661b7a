// Every backend refuses arguments that break an operation's contract (core/contract.h), and writes nothing.
#include <gtest/gtest.h>

#include "core/training.h"
#include "tests/support/maps.h"

namespace gs::test {
namespace {

TEST(Contracts, MismatchedShapesAreRefused) {
    on_every_backend([](Backend& backend) {
        const DeviceTensor x(backend, random_tensor({2, 4, 4, 8}, Fill::Normal, 1));
        const DeviceTensor same(backend, Shape{2, 4, 4, 8}), other(backend, Shape{2, 4, 4, 9});
        const DeviceTensor c8(backend, std::vector<float>(8, 1.0f)), c9(backend, std::vector<float>(9, 1.0f));
        const DeviceTensor odd_rows(backend, Shape{3, 4, 4, 8}), rows(backend, Shape{2, 1, 1, 8});
        const DeviceTensor bytes(backend, Shape{2, 4, 4, 8}, DType::U8);
        const auto none = Activation::None;
        EXPECT_THROW(backend.activate(x, none, other), Error);
        EXPECT_THROW(backend.activate(x, none, bytes), Error);
        EXPECT_THROW(backend.channel_affine(x, c9, c8, none, same), Error);
        EXPECT_THROW(backend.channel_affine(x, c8, c9, none, same), Error);
        EXPECT_THROW(backend.channel_affine(x, c8, c8, none, other), Error);
        EXPECT_THROW(backend.add(x, other, none, same), Error);
        EXPECT_THROW(backend.add(x, same, none, other), Error);
        EXPECT_THROW(backend.copy(x, other), Error);
        EXPECT_THROW(backend.sign_step(x, other, c8, same), Error);
        EXPECT_THROW(backend.sign_step(x, same, c9, same), Error);
        EXPECT_THROW(backend.average_pool(x, 5, 4, rows), Error);
        EXPECT_THROW(backend.average_pool(x, 4, 4, same), Error);
        EXPECT_THROW(backend.average_pool_backward(rows, 5, 4, same), Error);
        EXPECT_THROW(backend.average_pool_backward(same, 4, 4, same), Error);
        EXPECT_THROW(backend.max_pool(x, {3, 2, 1, false}, same, View{}), Error);
        EXPECT_THROW(backend.max_pool_backward(x, bytes, {3, 2, 1, false}, same), Error);
        EXPECT_THROW(backend.max_pool(x, {3, 1, 3, false}, other, View{}), Error);
        EXPECT_THROW(backend.pad_subsample(x, 2, same), Error);
        EXPECT_THROW(backend.pad_subsample_backward(x, 2, same), Error);
        EXPECT_THROW(backend.seed_logits(Seed::MaxLogit, 1, 0, rows, c8), Error);
        EXPECT_THROW(backend.seed_logits(Seed::MaxLogit, 0, 0, rows, rows), Error);
        EXPECT_THROW(backend.seed_logits(Seed::ClassCrossEntropy, 1, 8, rows, rows), Error);
        const TapSink wrong_sink[] = {{Reduction::Sum, same}};
        EXPECT_THROW(backend.reduce(x, wrong_sink), Error);
        std::vector<float> few(3);
        EXPECT_THROW(backend.download(x, few), Error);
        EXPECT_THROW(backend.upload(few, x), Error);
    });
}

TEST(Contracts, MapsOfTwoTypesAreRefused) {
    Maps(DType::BF16).on_every_backend([](Backend& backend) {
        const Shape shape{2, 4, 4, 8};
        const DeviceTensor map(backend, random_tensor(shape, Fill::Normal, 1), DType::BF16),
            out(backend, shape, DType::BF16), floats(backend, shape),
            c8(backend, std::vector<float>(8, 1.0f)), stats(backend, Shape{2, 1, 4, 2});
        const auto none = Activation::None;
        const GroupNormParams norm{4, 1e-5f, c8, c8};
        EXPECT_THROW(backend.activate(map, none, floats), Error);
        EXPECT_THROW(backend.channel_affine(floats, c8, c8, none, map), Error);
        EXPECT_THROW(backend.add(map, floats, none, out), Error);
        EXPECT_THROW(backend.copy(map, floats), Error);
        EXPECT_THROW(backend.add_with_stats(map, floats, out, norm, stats), Error);
        EXPECT_THROW(backend.pad_subsample(map, 1, floats), Error);
        EXPECT_THROW(backend.max_pool(map, {3, 1, 1, false}, floats, View{}), Error);
        const View terms[] = {map.view(), floats.view()};
        EXPECT_THROW(backend.pointwise_backward({terms, none, {}, {}, {}, out, {}}), Error);
        EXPECT_THROW(backend.pointwise_backward({{terms, 1}, none, {}, {}, {}, floats, {}}), Error);
        std::vector<float> values(static_cast<size_t>(shape.size()));
        EXPECT_THROW(backend.download(map, values), Error);
    });
}

TEST(Contracts, MismatchedGradientsAndNormsAreRefused) {
    on_every_backend([](Backend& backend) {
        const DeviceTensor x(backend, random_tensor({2, 4, 4, 8}, Fill::Normal, 1));
        const DeviceTensor same(backend, Shape{2, 4, 4, 8}), other(backend, Shape{2, 4, 4, 9});
        const DeviceTensor odd_rows(backend, Shape{3, 4, 4, 8}), odd_dx(backend, Shape{3, 4, 4, 8});
        const DeviceTensor c8(backend, std::vector<float>(8, 1.0f)), c9(backend, std::vector<float>(9, 1.0f));
        const DeviceTensor stats(backend, Shape{2, 1, 4, 2}), wrong_stats(backend, Shape{2, 1, 3, 2});
        const GroupNormParams norm{4, 1e-5f, c8, c8}, odd_groups{3, 1e-5f, c8, c8},
            odd_gamma{4, 1e-5f, c9, c8};
        EXPECT_THROW(backend.group_norm_stats(x, norm, wrong_stats), Error);
        EXPECT_THROW(backend.group_norm_stats(x, odd_groups, wrong_stats), Error);
        EXPECT_THROW(backend.group_norm(x, wrong_stats, norm, Activation::None, same), Error);
        EXPECT_THROW(backend.group_norm(x, stats, odd_gamma, Activation::None, same), Error);
        EXPECT_THROW(backend.add_with_stats(x, x, other, norm, stats), Error);

        const View terms[] = {x.view()}, mixed[] = {x.view(), other.view()}, odd[] = {odd_rows.view()};
        const auto relu = Activation::Relu;
        EXPECT_THROW(backend.pointwise_backward({mixed, Activation::None, {}, {}, {}, same, {}}), Error);
        EXPECT_THROW(backend.pointwise_backward({terms, relu, {}, {}, {}, same, {}}), Error) << "no y";
        EXPECT_THROW(backend.pointwise_backward({terms, relu, x, c9, {}, same, {}}), Error);
        EXPECT_THROW(backend.pointwise_backward({odd, relu, x, {}, {}, odd_dx, {}}), Error)
            << "3 rows of 2 samples";
        EXPECT_THROW(backend.pointwise_backward({{}, relu, x, {}, {}, same, {}}), Error) << "no terms";
        const std::vector<View> many(kMostTerms + 1, x.view());
        EXPECT_THROW(backend.pointwise_backward({many, relu, x, {}, {}, same, {}}), Error);
        const DeviceTensor sums(backend, Shape{2, 1, 1, 8}), one(backend, Shape{1, 4, 4, 8});
        const auto gamma = [&](const View& saved, const View& mean, const View& rstd, const View& out) {
            backend.pointwise_backward(
                {.terms = terms, .activation = relu, .y = x, .gamma = {saved, mean, rstd, out}});
        };
        EXPECT_NO_THROW(gamma(x, c8, c8, sums));
        EXPECT_THROW(gamma(one, c8, c8, sums), Error) << "other samples than the mask's";
        EXPECT_THROW(gamma(x, c9, c8, sums), Error);
        EXPECT_THROW(gamma(x, c8, c9, sums), Error);
        EXPECT_THROW(gamma(x, c8, c8, c8), Error);
        EXPECT_THROW(backend.group_norm_backward({odd, x, stats, relu, {}, odd_dx, {}}, norm), Error);
        EXPECT_THROW(backend.group_norm_backward({terms, x, wrong_stats, relu, {}, same, {}}, norm), Error);
    });
}

TEST(Contracts, MismatchedConvolutionsAreRefused) {
    const std::vector<float> weights(4 * 8 * 9, 1.0f), bias(4, 1.0f), few(3, 1.0f);
    const ConvSpec spec{8, 4, 3, 3, 1, 1, 1};
    on_every_backend([&](Backend& backend) {
        EXPECT_THROW(backend.make_convolution(spec, few, bias), Error);
        EXPECT_THROW(backend.make_convolution(spec, weights, few), Error);
        EXPECT_THROW(backend.make_convolution({8, 4, 3, 3, 1, 1, 2}, weights, bias), Error)
            << "groups of four";
        EXPECT_THROW(backend.make_convolution({8, 4, 3, 3, 0, 1, 1}, weights, bias), Error) << "stride 0";
        EXPECT_THROW(backend.make_convolution({8, 4, 3, 3, 1, -1, 1}, weights, bias), Error);
        const auto convolution = backend.make_convolution(spec, weights, bias);
        const DeviceTensor x(backend, Shape{1, 5, 5, 8}), y(backend, Shape{1, 5, 5, 4}),
            small(backend, Shape{1, 4, 5, 4});
        EXPECT_THROW(convolution->forward(x, small, Activation::None), Error);
        EXPECT_THROW(convolution->forward(y, y, Activation::None), Error);
        EXPECT_THROW(convolution->backward_data(small, x), Error);
        EXPECT_THROW(convolution->backward_data(x, y), Error);
        const DeviceTensor dw(backend, weight_shape(spec)), turned(backend, Shape{8, 4, 3, 3});
        EXPECT_THROW(convolution->backward_weights(x, small, dw), Error);
        EXPECT_THROW(convolution->backward_weights(x, y, turned), Error);
        EXPECT_THROW(convolution->set_weights(turned, DeviceTensor(backend, bias)), Error);
        EXPECT_THROW(convolution->set_weights(dw, DeviceTensor(backend, few)), Error);
    });
}

TEST(Contracts, MismatchedWeightGradientsAreRefused) {
    const ConvSpec spec{8, 4, 3, 3, 1, 1, 1};
    const auto random = [](const Shape& shape) { return random_tensor(shape, Fill::Normal, 1); };
    on_every_backend([&](Backend& backend) {
        const DeviceTensor x(backend, random({2, 5, 5, 8})), dy(backend, random({4, 5, 5, 4})),
            odd(backend, random({3, 5, 5, 4})), out(backend, Shape{4, 1, 1, 1}),
            few(backend, Shape{2, 1, 1, 1}), c4(backend, random({1, 1, 1, 4})),
            c5(backend, random({1, 1, 1, 5})), sums(backend, random({4, 1, 1, 4})),
            weights(backend, random({1, 4, 9, 8})), narrow(backend, random({1, 4, 9, 7})),
            gamma(backend, Shape{4, 1, 1, 4});
        const PowerSum norm{2, out}, wrong_norm{2, few}, no_power{0, out};
        const WeightGradientNorm good{.spec = spec,
                                      .x = x,
                                      .dy = dy,
                                      .scale = c4,
                                      .standardised = weights,
                                      .norms = {&norm, 1},
                                      .gamma = {weights, c4, sums, gamma}};
        EXPECT_NO_THROW(backend.weight_gradient_norm(good));
        const auto refuses = [&](const auto& change) {
            WeightGradientNorm args = good;
            change(args);
            EXPECT_THROW(backend.weight_gradient_norm(args), Error);
        };
        refuses([&](auto& args) { args.dy = odd; });
        refuses([&](auto& args) { args.spec.stride = 2; });
        refuses([&](auto& args) { args.spec.groups = 4; });
        refuses([&](auto& args) { args.scale = c5; });
        refuses([&](auto& args) { args.standardised = narrow; });
        refuses([&](auto& args) { args.norms = {&wrong_norm, 1}; });
        refuses([&](auto& args) { args.norms = {&no_power, 1}; });
        refuses([&](auto& args) { args.gamma.weights = narrow; });
        refuses([&](auto& args) { args.gamma.shift = c5; });
        refuses([&](auto& args) { args.gamma.dbeta = c4; });
        refuses([&](auto& args) { args.gamma.out = out; });
        refuses([&](auto& args) {
            args.norms = {};
            args.gamma = {};
        });
        refuses([&](auto& args) { args.output = {dy, c4}; });

        EXPECT_THROW(backend.power_sums(sums, c5, {&norm, 1}), Error);
        EXPECT_THROW(backend.power_sums(sums, c4, {&wrong_norm, 1}), Error);
        EXPECT_THROW(backend.power_sums(x, {}, {&norm, 1}), Error);
        EXPECT_THROW(backend.sum_rows(sums, c5, Grad::Overwrite, c4), Error);
        EXPECT_THROW(backend.sum_rows(sums, c4, Grad::Overwrite, c5), Error);

        const DeviceTensor g(backend, random(weight_shape(spec))), dw(backend, weight_shape(spec));
        EXPECT_THROW(backend.stored_weight_gradient({.g = g, .scale = c5, .dw = dw}), Error);
        EXPECT_THROW(backend.stored_weight_gradient({.g = g, .standardised = weights, .dw = dw}), Error);
        EXPECT_THROW(backend.stored_weight_gradient({.g = g, .dw = weights}), Error);
        EXPECT_THROW(backend.stored_weight_gradient({.g = g, .gamma = {g, c5, c4, c4}, .dw = dw}), Error);
        EXPECT_THROW(backend.stored_weight_gradient({.g = g, .gamma = {weights, c4, c4, c4}, .dw = dw}),
                     Error);

        if (!backend.combines_weight_gradients()) return;
        const DeviceTensor coefficients(backend, random({6, 1, 1, 2})), results(backend, Shape{6, 1, 1, 1});
        const CombinedGradientNorm all{{.spec = spec, .x = x, .dy = dy}, coefficients, results};
        EXPECT_NO_THROW(backend.combined_gradient_norm(all));
        CombinedGradientNorm wrong = all;
        wrong.coefficients = sums;
        EXPECT_THROW(backend.combined_gradient_norm(wrong), Error);
        wrong = all;
        wrong.out = out;
        EXPECT_THROW(backend.combined_gradient_norm(wrong), Error);
        wrong = all;
        wrong.gradients.norms = {&norm, 1};
        EXPECT_THROW(backend.combined_gradient_norm(wrong), Error);
    });
}

TEST(Contracts, MismatchedTrainingIsRefused) {
    on_every_backend([](Backend& backend) {
        const DeviceTensor x(backend, random_tensor({2, 4, 4, 8}, Fill::Normal, 1)),
            y(backend, Shape{2, 4, 4, 8}), other(backend, Shape{2, 4, 4, 9}),
            pixel(backend, Shape{1, 1, 1, 8}), stats(backend, Shape{1, 1, 2, 8}),
            c8(backend, std::vector<float>(8, 1.0f)), c9(backend, std::vector<float>(9, 1.0f));
        EXPECT_THROW(backend.batch_norm_stats({.x = x, .stats = c8}), Error);
        EXPECT_THROW(backend.batch_norm_stats({.x = pixel, .stats = stats}), Error) << "one position";
        EXPECT_THROW(backend.batch_norm_stats({.x = x, .stats = stats, .running_mean = c8}), Error);
        EXPECT_THROW(
            backend.batch_norm_stats({.x = x, .stats = stats, .running_mean = c8, .running_var = c9}), Error);
        EXPECT_NO_THROW(backend.batch_norm_stats({.x = x, .stats = stats}));

        EXPECT_THROW(backend.batch_norm({.x = x, .stats = c8, .gamma = c8, .beta = c8, .y = y}), Error);
        EXPECT_THROW(backend.batch_norm({.x = x, .stats = stats, .gamma = c9, .beta = c8, .y = y}), Error);
        EXPECT_THROW(backend.batch_norm({.x = x, .stats = stats, .gamma = c8, .beta = c8, .y = other}),
                     Error);
        EXPECT_THROW(
            backend.batch_norm({.x = x, .stats = stats, .gamma = c8, .beta = c8, .addend = other, .y = y}),
            Error);

        const View terms[] = {x};
        const BatchNormBackward good{
            .terms = terms, .x = x, .stats = stats, .gamma = c8, .beta = c8, .dx = y};
        EXPECT_NO_THROW(backend.batch_norm_backward(good));
        const auto refuses = [&](const auto& change) {
            BatchNormBackward args = good;
            change(args);
            EXPECT_THROW(backend.batch_norm_backward(args), Error);
        };
        refuses([&](auto& args) { args.terms = {}; });
        refuses([&](auto& args) { args.x = other; });
        refuses([&](auto& args) { args.stats = c8; });
        refuses([&](auto& args) { args.beta = c9; });
        refuses([&](auto& args) { args.y = x; });  // without g
        refuses([&](auto& args) { args.dx = other; });
        refuses([&](auto& args) { args.dgamma = c9; });

        EXPECT_THROW(backend.standardise_weights({.w = x, .standardised = other, .scale = c8}), Error);
        EXPECT_THROW(backend.standardise_weights({.w = x, .standardised = y, .scale = c8}), Error)
            << "two outputs have two scales";
        EXPECT_THROW(backend.dropout({.x = x, .rate = 0.5f, .y = other}), Error);
        EXPECT_THROW(backend.dropout({.x = x, .rate = 1, .y = y}), Error);
        EXPECT_THROW(backend.sgd_update({.w = x, .g = other, .v = y}), Error);
        EXPECT_THROW(backend.sgd_update({.w = x, .g = y, .v = other}), Error);
    });
}

}  // namespace
}  // namespace gs::test
