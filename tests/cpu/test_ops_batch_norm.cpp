// Batch normalisation of training against two-pass loops in double, whose gradients complex steps confirm.
#include <gtest/gtest.h>

#include <cmath>

#include "core/training.h"
#include "tests/reference/batch_norm.h"
#include "tests/support/backends.h"
#include "tests/support/device_tensor.h"
#include "tests/support/expect_close.h"
#include "tests/support/gradcheck.h"
#include "tests/support/random.h"

namespace gs::test {
namespace {

constexpr double kEps = 1e-5;

// Channels that fill vectors and that do not; several slabs; more channels than a slab's pixels; one position
// a sample; three positions in all.
const Shape kShapes[] = {{4, 9, 7, 16},  {3, 5, 6, 33}, {8, 16, 16, 32}, {2, 2, 2, 520},
                         {37, 1, 1, 20}, {1, 3, 1, 5},  {2, 23, 19, 3}};

template <class F>
void on_every_shape(const F& test) {
    for (const Shape& shape : kShapes) {
        SCOPED_TRACE(to_string(shape));
        test(shape);
    }
}

struct Statistics {
    std::vector<float> mean, rstd, running_mean, running_var;
};

Statistics run_stats(Backend& backend, const ref::Tensor<float>& x, float momentum) {
    const int64_t c = x.shape.c;
    const DeviceTensor in(backend, x), stats(backend, Shape{1, 1, 2, c}),
        mean(backend, random_values(c, Fill::Normal, 21)), var(backend, random_values(c, Fill::OffKinks, 22));
    backend.batch_norm_stats({.x = in,
                              .stats = stats,
                              .running_mean = mean,
                              .running_var = var,
                              .eps = static_cast<float>(kEps),
                              .momentum = momentum});
    const std::vector<float> both = stats.download().values;
    const auto middle = both.begin() + static_cast<std::ptrdiff_t>(c);
    return {{both.begin(), middle}, {middle, both.end()}, mean.download().values, var.download().values};
}

TEST(BatchNorm, StatisticsAndRunningStatisticsMatchDouble) {
    constexpr double kMomentum = 0.25;
    on_every_shape([&](const Shape& shape) {
        for (const Fill fill : {Fill::SmallIntegers, Fill::Normal, Fill::LargeOffset}) {
            SCOPED_TRACE(to_string(fill));
            const auto x = random_tensor(shape, fill, 1);
            const auto want = ref::batch_statistics(ref::cast<double>(x));
            const double m = static_cast<double>(shape.n * shape.pixels());
            double largest = 0;
            for (const double value : x.values) largest = std::max(largest, std::abs(value));
            std::vector<double> mean = ref::cast<double>(random_values(shape.c, Fill::Normal, 21)),
                                var = ref::cast<double>(random_values(shape.c, Fill::OffKinks, 22)), rstd;
            for (size_t c = 0; c < mean.size(); ++c) {
                mean[c] = (1 - kMomentum) * mean[c] + kMomentum * want.mean[c];
                var[c] = (1 - kMomentum) * var[c] + kMomentum * want.var[c] * m / (m - 1);
                rstd.push_back(1 / std::sqrt(want.var[c] + kEps));
            }
            on_every_backend([&](Backend& backend) {
                const Statistics got = run_stats(backend, x, static_cast<float>(kMomentum));
                // The mean of values that cancel is as exact as the values are large.
                for (size_t c = 0; c < rstd.size(); ++c)
                    EXPECT_NEAR(got.mean[c], want.mean[c], 2e-7 * largest) << "mean " << c;
                for (size_t c = 0; c < rstd.size(); ++c)
                    expect_close("rstd", {got.rstd[c]}, std::vector<double>{rstd[c]}, 2e-6);
                expect_close("running mean", got.running_mean, mean, 2e-7);
                expect_close("running var", got.running_var, var, 1e-6);
            });
        }
    });
}

// Nothing is left of a large mean in the variance.
TEST(BatchNorm, ConstantChannelsHaveNoVariance) {
    on_every_shape([](const Shape& shape) {
        on_every_backend([&](Backend& backend) {
            const Statistics got = run_stats(backend, ref::Tensor<float>(shape, 3.1415927f), 1);
            for (size_t c = 0; c < got.rstd.size(); ++c) {
                EXPECT_EQ(got.mean[c], 3.1415927f);
                EXPECT_EQ(got.rstd[c], static_cast<float>(1 / std::sqrt(static_cast<double>(1e-5f))));
                EXPECT_LE(got.running_var[c], 1e-13);  // the square of the value's rounding
            }
        });
    });
}

struct Case {
    Shape shape;
    size_t terms = 1;
    Activation activation = Activation::Relu;
    bool forward_addend = false, backward_addend = false;
};

struct Data {
    ref::Tensor<float> x, stats, addend, dx_addend;
    std::vector<ref::Tensor<float>> terms;
    std::vector<float> gamma, beta;
    ref::Tensor<double> y;  // by the reference
};

// Distance of the nearest pre-activation from a kink, where float32 may see another mask than double.
double margin(const ref::Tensor<double>& v) {
    double smallest = 1;
    for (const double value : v.values) smallest = std::min({smallest, std::abs(value), std::abs(value - 6)});
    return smallest;
}

Data make_data(const Case& c) {
    Data d;
    d.gamma = random_values(c.shape.c, Fill::Normal, 11);
    d.beta = random_values(c.shape.c, Fill::Normal, 12);
    const auto forward = [&](Activation activation) {
        return ref::batch_norm(ref::cast<double>(d.x), ref::cast<double>(d.gamma), ref::cast<double>(d.beta),
                               ref::cast<double>(d.addend), kEps, activation);
    };
    for (uint64_t seed = 1; d.x.values.empty() || margin(forward(Activation::None)) < 3e-6; ++seed) {
        d.x = random_tensor(c.shape, Fill::Normal, seed);
        if (c.forward_addend) d.addend = random_tensor(c.shape, Fill::Normal, 100 + seed);
    }
    d.y = forward(c.activation);
    for (size_t i = 0; i < c.terms; ++i) d.terms.push_back(random_tensor(c.shape, Fill::Normal, 50 + i));
    if (c.backward_addend) d.dx_addend = random_tensor(c.shape, Fill::Normal, 60);
    return d;
}

struct OnDevice {
    DeviceTensor x, stats, gamma, beta;

    OnDevice(Backend& backend, const Data& d)
        : x(backend, d.x),
          stats(backend, Shape{1, 1, 2, d.x.shape.c}),
          gamma(backend, d.gamma),
          beta(backend, d.beta) {
        backend.batch_norm_stats({.x = x, .stats = stats, .eps = static_cast<float>(kEps)});
    }
};

void check_forward(const Case& c) {
    const Data d = make_data(c);
    on_every_backend([&](Backend& backend) {
        for (const int alias : {0, 1, 2}) {  // none, x, the addend
            if (alias == 2 && !c.forward_addend) continue;
            const OnDevice in(backend, d);
            const DeviceTensor own(backend, c.shape),
                addend(backend, c.forward_addend ? d.addend : ref::Tensor<float>(c.shape));
            const View y = alias == 0 ? own.view() : alias == 1 ? in.x.view() : addend.view();
            backend.batch_norm({.x = in.x,
                                .stats = in.stats,
                                .gamma = in.gamma,
                                .beta = in.beta,
                                .addend = c.forward_addend ? addend.view() : View{},
                                .activation = c.activation,
                                .y = y});
            const DeviceTensor& out = alias == 0 ? own : alias == 1 ? in.x : addend;
            expect_close("y", out.download(), d.y, 2e-6);
        }
    });
}

TEST(BatchNorm, ForwardMatchesDouble) {
    on_every_shape([](const Shape& shape) {
        for (const Activation activation : {Activation::None, Activation::Relu, Activation::Relu6})
            for (const bool addend : {false, true})
                check_forward({.shape = shape, .activation = activation, .forward_addend = addend});
    });
}

// Where dx is written.
enum class Place { Own, Term, Addend, G, Nowhere };

void check_backward(const Case& c, bool reads_y, Place place) {
    const Data d = make_data(c);
    ref::Tensor<double> dy = ref::cast<double>(d.terms[0]);
    for (size_t i = 1; i < d.terms.size(); ++i)
        dy = ref::add(dy, ref::cast<double>(d.terms[i]), Activation::None);
    auto want = ref::batch_norm_backward(dy, ref::cast<double>(d.x), d.y, ref::cast<double>(d.gamma), kEps,
                                         c.activation);
    if (c.backward_addend) want.dx = ref::add(want.dx, ref::cast<double>(d.dx_addend), Activation::None);
    on_every_backend([&](Backend& backend) {
        const OnDevice in(backend, d);
        std::vector<DeviceTensor> terms;
        for (const auto& term : d.terms) terms.emplace_back(backend, term);
        const std::vector<View> views(terms.begin(), terms.end());
        const DeviceTensor y(backend, ref::cast<float>(d.y)), g(backend, c.shape), own(backend, c.shape),
            addend(backend, c.backward_addend ? d.dx_addend : ref::Tensor<float>(c.shape)),
            dgamma(backend, Shape{1, 1, 1, c.shape.c}), dbeta(backend, Shape{1, 1, 1, c.shape.c});
        const std::map<Place, const DeviceTensor*> places = {
            {Place::Own, &own}, {Place::Term, &terms.back()}, {Place::Addend, &addend}, {Place::G, &g}};
        BatchNormBackward args{.terms = views,
                               .x = in.x,
                               .stats = in.stats,
                               .gamma = in.gamma,
                               .beta = in.beta,
                               .activation = c.activation,
                               .dgamma = dgamma,
                               .dbeta = dbeta};
        if (reads_y) {
            args.y = y;
            args.g = g;
        }
        if (c.backward_addend) args.addend = addend;
        if (place != Place::Nowhere) args.dx = *places.at(place);
        backend.batch_norm_backward(args);
        expect_close("dgamma", dgamma.download().values, want.dgamma, 3e-6);
        expect_close("dbeta", dbeta.download().values, want.dbeta, 3e-6);
        if (reads_y && place != Place::G) expect_close("g", g.download(), want.g, 1e-6);
        if (args.dx) expect_close("dx", places.at(place)->download(), want.dx, 5e-6);
    });
}

TEST(BatchNormBackward, AllShapesMatchDouble) {
    on_every_shape([](const Shape& shape) {
        check_backward({.shape = shape}, false, Place::Own);
        check_backward({.shape = shape, .forward_addend = true}, true, Place::Own);
    });
}

TEST(BatchNormBackward, AllCombinationsMatchDouble) {
    const Shape shape{4, 9, 7, 19};
    for (const size_t terms : {1, 2, 3})
        for (const Activation activation : {Activation::None, Activation::Relu, Activation::Relu6})
            for (const bool addend : {false, true})
                for (const Place place : {Place::Own, Place::Term, Place::Addend, Place::G, Place::Nowhere}) {
                    if (place == Place::Addend && !addend) continue;
                    const Case c{shape, terms, activation, false, addend};
                    check_backward({shape, terms, activation, true, addend}, true, place);
                    check_backward(c, true, place);
                    if (place != Place::G) check_backward(c, false, place);
                }
}

// The reference itself: its gradients are those of its forward pass.
TEST(BatchNormReference, GradientsAreThoseOfTheForwardPass) {
    const Case c{.shape = {3, 2, 3, 4}, .forward_addend = true};
    const Data d = make_data(c);
    const auto x = ref::cast<double>(d.x), dy = ref::cast<double>(d.terms[0]),
               addend = ref::cast<double>(d.addend);
    const auto gamma = ref::cast<double>(d.gamma), beta = ref::cast<double>(d.beta);
    const auto want = ref::batch_norm_backward(dy, x, d.y, gamma, kEps, c.activation);
    const auto loss = [&](const auto& at, const auto& scale, const auto& more) {
        using T = typename std::decay_t<decltype(at.values)>::value_type;
        return inner(dy, ref::batch_norm(at, scale, ref::cast<T>(beta), more, kEps, c.activation));
    };
    const auto complex_gamma = ref::cast<Complex>(gamma);
    const auto dx = complex_step_gradient(
        [&](const ref::Tensor<Complex>& at) { return loss(at, complex_gamma, ref::cast<Complex>(addend)); },
        x);
    expect_close("dx", dx.values, want.dx.values, 1e-12);
    const auto dx_by_differences =
        finite_difference_gradient([&](const ref::Tensor<double>& at) { return loss(at, gamma, addend); }, x);
    expect_close("dx by differences", dx_by_differences.values, want.dx.values, 1e-7);
    ref::Tensor<double> scales(Shape{1, 1, 1, c.shape.c});
    scales.values = gamma;
    const auto dgamma = complex_step_gradient(
        [&](const ref::Tensor<Complex>& at) {
            return loss(ref::cast<Complex>(x), at.values, ref::cast<Complex>(addend));
        },
        scales);
    expect_close("dgamma", dgamma.values, want.dgamma, 1e-12);
    const auto g = complex_step_gradient(
        [&](const ref::Tensor<Complex>& at) { return loss(ref::cast<Complex>(x), complex_gamma, at); },
        addend);
    expect_close("g", g.values, want.g.values, 1e-12);
}

// Sums are taken in an order that no number of threads changes.
TEST(BatchNorm, SameBitsForAnyNumberOfThreads) {
    const Data d = make_data({.shape = {5, 13, 11, 24}, .terms = 2, .forward_addend = true});
    for (const BackendUnderTest& b : backends_under_test()) {
        std::vector<std::vector<float>> first;
        for (const int threads : {1, 2, 3}) {
            const auto backend = b.make(threads);
            const OnDevice in(*backend, d);
            const DeviceTensor y(*backend, d.x.shape), a(*backend, d.terms[0]), t(*backend, d.terms[1]),
                addend(*backend, d.addend), g(*backend, d.x.shape), dx(*backend, d.x.shape),
                dgamma(*backend, Shape{1, 1, 1, d.x.shape.c}), dbeta(*backend, Shape{1, 1, 1, d.x.shape.c});
            backend->batch_norm({in.x, in.stats, in.gamma, in.beta, addend, Activation::Relu, y});
            const View terms[] = {a, t};
            backend->batch_norm_backward({terms, in.x, in.stats, in.gamma, in.beta, Activation::Relu, y, g,
                                          addend, dx, dgamma, dbeta});
            std::vector<std::vector<float>> now;
            for (const DeviceTensor* out : {&in.stats, &y, &g, &dx, &dgamma, &dbeta})
                now.push_back(out->download().values);
            if (first.empty()) first = now;
            for (size_t i = 0; i < now.size(); ++i) expect_same_bits(std::to_string(i), now[i], first[i]);
        }
    }
}

}  // namespace
}  // namespace gs::test
