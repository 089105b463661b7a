// Elementwise operations of every backend against loops in double.
#include <gtest/gtest.h>

#include <bit>
#include <memory>
#include <optional>

#include "tests/reference/pointwise.h"
#include "tests/reference/pooling.h"
#include "tests/support/maps.h"

namespace gs::test {
namespace {

constexpr Activation kActivations[] = {Activation::None, Activation::Relu, Activation::Relu6};
// One value; odd everything; channels below, at and beside the vector widths; more than one chunk of work.
const Shape kShapes[] = {{1, 1, 1, 1},  {1, 3, 5, 7},    {2, 4, 4, 16},
                         {3, 5, 1, 33}, {2, 31, 17, 20}, {1, 1, 1, 2048}};
// Data that is exact, and data that is not; a sum or a fused multiply-add rounds once or twice.
double tolerance(Fill fill) {
    return fill == Fill::SmallIntegers ? 0 : 5e-7;
}
// Single values make poor statistics: a one-value tensor may rightly be 0 behind a ReLU.
bool proves_something(const ref::Tensor<double>& want) {
    return std::any_of(want.values.begin(), want.values.end(), [](double v) { return v != 0; });
}

template <class F>
void on_every_shape_and_fill(const F& test) {
    on_every_map_type([&](const Maps& maps) {
        uint64_t seed = 1;
        for (const Shape& shape : kShapes)
            for (const Fill fill : {Fill::SmallIntegers, Fill::OffKinks}) {
                SCOPED_TRACE(to_string(shape) + ", " + to_string(fill));
                test(maps, shape, fill, seed += 10);
            }
    });
}

TEST(Pointwise, ChannelAffineMatchesDouble) {
    on_every_shape_and_fill([](const Maps& maps, const Shape& shape, Fill fill, uint64_t seed) {
        const auto x = maps.random(shape, fill, seed);
        const auto scale = random_values(shape.c, fill, seed + 1),
                   shift = random_values(shape.c, fill, seed + 2);
        for (const Activation activation : kActivations) {
            const auto want = ref::channel_affine(ref::cast<double>(x), ref::cast<double>(scale),
                                                  ref::cast<double>(shift), activation);
            if (!proves_something(want)) continue;
            const Tolerance tol = maps.tolerance(tolerance(fill));
            maps.on_every_backend([&](Backend& backend) {
                const DeviceTensor in = maps.put(backend, x), out = maps.output(backend, shape),
                                   a(backend, scale), b(backend, shift);
                backend.channel_affine(in, a, b, activation, out);
                expect_close("y", out.download(), want, tol);
                backend.channel_affine(in, a, b, activation, in);
                expect_close("y in place", in.download(), want, tol);
            });
        }
    });
}

TEST(Pointwise, ActivateIsExact) {
    on_every_shape_and_fill([](const Maps& maps, const Shape& shape, Fill fill, uint64_t seed) {
        const auto x = maps.random(shape, fill, seed);
        for (const Activation activation : kActivations) {
            const auto want = ref::cast<double>(ref::activate(x, activation));
            if (!proves_something(want)) continue;
            maps.on_every_backend([&](Backend& backend) {
                const DeviceTensor in = maps.put(backend, x), out = maps.output(backend, shape);
                backend.activate(in, activation, out);
                expect_close("y", out.download(), want, 0);
                backend.activate(in, activation, in);
                expect_close("y in place", in.download(), want, 0);
            });
        }
    });
}

TEST(Pointwise, AddMatchesDoubleAndMayOverwriteEitherInput) {
    on_every_shape_and_fill([](const Maps& maps, const Shape& shape, Fill fill, uint64_t seed) {
        const auto a = maps.random(shape, fill, seed), b = maps.random(shape, fill, seed + 1);
        const Tolerance tol = maps.tolerance(tolerance(fill));
        for (const Activation activation : kActivations) {
            const auto want = ref::add(ref::cast<double>(a), ref::cast<double>(b), activation);
            if (!proves_something(want)) continue;
            maps.on_every_backend([&](Backend& backend) {
                const DeviceTensor left = maps.put(backend, a), right = maps.put(backend, b),
                                   out = maps.output(backend, shape);
                backend.add(left, right, activation, out);
                expect_close("y", out.download(), want, tol);
                const DeviceTensor left2 = maps.put(backend, a), right2 = maps.put(backend, b);
                backend.add(left2, right, activation, left2);
                backend.add(left, right2, activation, right2);
                expect_close("y over a", left2.download(), want, tol);
                expect_close("y over b", right2.download(), want, tol);
            });
        }
    });
}

// ---- pointwise_backward, in all combinations of its parts

struct JoinCase {
    Shape samples;  // of the saved activation
    int64_t cotangents;
    size_t terms;
    Activation activation;
    bool scale, addend, sinks;
};

struct JoinData {
    std::vector<ref::Tensor<float>> terms;
    ref::Tensor<float> y, addend;
    std::vector<float> scale;
    std::vector<ref::Tensor<double>> doubles() const {
        std::vector<ref::Tensor<double>> result;
        for (const auto& term : terms) result.push_back(ref::cast<double>(term));
        return result;
    }
};

JoinData make_join(const Maps& maps, const JoinCase& c, Fill fill, uint64_t seed) {
    const Shape rows = c.samples.with_n(c.cotangents * c.samples.n);
    JoinData data;
    for (size_t i = 0; i < c.terms; ++i) data.terms.push_back(maps.random(rows, fill, seed + i));
    if (c.activation != Activation::None)
        data.y = ref::activate(maps.random(c.samples, fill, seed + 3), c.activation);
    if (c.addend) data.addend = maps.random(rows, fill, seed + 4);
    if (c.scale) data.scale = random_values(c.samples.c, fill, seed + 5);
    return data;
}

struct JoinRun {
    ref::Tensor<float> dx;
    std::vector<ref::Tensor<float>> sinks;
};
constexpr Reduction kReductions[] = {Reduction::Sum, Reduction::Mean, Reduction::NonzeroShare};

// alias: -1 dx is memory of its own, 0.. a term, terms.size() the addend; kNoDx: only the sinks are fed.
constexpr int kNoDx = -2;
JoinRun run_join(const Maps& maps, Backend& backend, const JoinCase& c, const JoinData& data, int alias) {
    std::vector<DeviceTensor> inputs;
    for (const auto& term : data.terms) inputs.push_back(maps.put(backend, term));
    if (c.addend) inputs.push_back(maps.put(backend, data.addend));
    const Shape rows = data.terms.front().shape;
    const DeviceTensor own = maps.output(backend, rows);
    std::vector<View> terms(inputs.begin(), inputs.begin() + static_cast<std::ptrdiff_t>(c.terms));

    PointwiseBackward args;
    args.terms = terms;
    args.activation = c.activation;
    args.addend = c.addend ? inputs.back().view() : View{};
    if (alias != kNoDx) args.dx = alias < 0 ? own.view() : inputs[static_cast<size_t>(alias)].view();
    std::optional<DeviceTensor> y, scale;
    if (c.activation != Activation::None) args.y = y.emplace(maps.put(backend, data.y));
    if (c.scale) args.scale = scale.emplace(backend, data.scale);
    std::vector<DeviceTensor> outs;
    std::vector<TapSink> sinks;
    for (const Reduction reduction : kReductions)
        sinks.push_back({reduction, outs.emplace_back(backend, Shape{rows.n, 1, 1, rows.c})});
    if (c.sinks) args.sinks = sinks;
    backend.pointwise_backward(args);

    JoinRun run;
    run.dx = (alias < 0 ? own : inputs[static_cast<size_t>(alias)]).download();
    if (c.sinks)
        for (const DeviceTensor& out : outs) run.sinks.push_back(out.download());
    return run;
}

void check_join(const Maps& maps, const JoinCase& c, Fill fill, uint64_t seed) {
    SCOPED_TRACE(to_string(c.samples) + ", cotangents " + std::to_string(c.cotangents) + ", terms " +
                 std::to_string(c.terms) + ", activation " + std::to_string(int(c.activation)) + ", scale " +
                 std::to_string(c.scale) + ", addend " + std::to_string(c.addend) + ", sinks " +
                 std::to_string(c.sinks) + ", " + to_string(fill));
    const JoinData data = make_join(maps, c, fill, seed);
    const auto terms = data.doubles();
    const auto y = ref::cast<double>(data.y);
    const auto want = ref::pointwise_backward(terms, y, c.activation, ref::cast<double>(data.scale),
                                              ref::cast<double>(data.addend));
    const auto inner = ref::masked_sum(terms, y, c.activation);
    maps.on_every_backend([&](Backend& backend) {
        for (int alias = c.sinks ? kNoDx : -1; alias < int(c.terms) + c.addend; ++alias) {
            SCOPED_TRACE("dx aliases " + std::to_string(alias));
            const JoinRun got = run_join(maps, backend, c, data, alias);
            if (alias != kNoDx) expect_close("dx", got.dx, want, maps.tolerance(tolerance(fill)));
            for (size_t i = 0; i < got.sinks.size(); ++i)
                expect_close("sink " + std::to_string(i), got.sinks[i], ref::reduce(inner, kReductions[i]),
                             kReductions[i] == Reduction::Sum && fill == Fill::SmallIntegers ? 0 : 1e-6);
            if (alias == kNoDx || c.scale || c.addend) continue;  // without them a closed gate is a true zero
            for (size_t i = 0; i < want.values.size(); ++i)
                ASSERT_EQ(got.dx.values[i] == 0, want.values[i] == 0) << i;
        }
    });
}

void check_combinations(const Maps& maps) {
    uint64_t seed = 100;
    for (const size_t terms : {1, 2, 3})
        for (const Activation activation : kActivations)
            for (int parts = 0; parts < 8; ++parts)
                for (const Fill fill : {Fill::SmallIntegers, Fill::OffKinks})
                    check_join(maps,
                               {{2, 3, 3, 19},
                                1,
                                terms,
                                activation,
                                (parts & 1) != 0,
                                (parts & 2) != 0,
                                (parts & 4) != 0},
                               fill, seed += 10);
}
TEST(PointwiseBackward, AllCombinationsMatchDouble) {
    on_every_map_type(check_combinations);
}

void check_cotangents(const Maps& maps) {
    uint64_t seed = 1000;
    for (const int64_t cotangents : {2, 3})
        for (const Shape& samples : {Shape{1, 2, 3, 8}, Shape{3, 5, 4, 33}, Shape{2, 1, 1, 5}})
            for (const size_t terms : {1, 2})
                for (const Activation activation : kActivations)
                    check_join(maps, {samples, cotangents, terms, activation, true, true, true},
                               Fill::SmallIntegers, seed += 10);
}
TEST(PointwiseBackward, CotangentsShareTheSavedActivation) {
    on_every_map_type(check_cotangents);
}

TEST(PointwiseBackward, LargerMapsAndManyTerms) {
    on_every_map_type([](const Maps& maps) {
        check_join(maps, {{1, 40, 37, 24}, 2, 2, Activation::Relu, true, true, true}, Fill::OffKinks, 1);
        check_join(maps, {{2, 17, 23, 64}, 1, 5, Activation::Relu6, false, false, true}, Fill::OffKinks, 2);
        check_join(maps, {{1, 1, 1, 513}, 4, 1, Activation::Relu, false, true, true}, Fill::OffKinks, 3);
    });
}

// The kinks themselves: act' is 0 at y = 0 and at y = 6, whatever rounding would say.
TEST(PointwiseBackward, GateIsClosedAtZeroAndSix) {
    ref::Tensor<float> y(Shape{1, 1, 1, 6}), dy(y.shape, 2.0f);
    on_every_map_type([&](const Maps& maps) {
        const float below_six = maps.is_float() ? 5.9999995f : 5.96875f;
        y.values = {0.0f, -0.0f, 6.0f, 1e-38f, below_six, 3.0f};
        maps.on_every_backend([&](Backend& backend) {
            const DeviceTensor in = maps.put(backend, dy), saved = maps.put(backend, y),
                               out = maps.output(backend, y.shape);
            const View terms[] = {in.view()};
            PointwiseBackward args;
            args.terms = terms;
            args.y = saved;
            args.dx = out;
            args.activation = Activation::Relu6;
            backend.pointwise_backward(args);
            EXPECT_EQ(out.download().values, (std::vector<float>{0, 0, 0, 2, 2, 2}));
            args.activation = Activation::Relu;
            backend.pointwise_backward(args);
            EXPECT_EQ(out.download().values, (std::vector<float>{0, 0, 2, 2, 2, 2}));
        });
    });
}

// 0 * inf would be NaN: a closed gate drops what comes, it does not multiply it.
TEST(PointwiseBackward, ClosedGateDropsInfinity) {
    ref::Tensor<float> y(Shape{1, 1, 2, 9}), dy(y.shape, std::numeric_limits<float>::infinity());
    on_every_map_type([&](const Maps& maps) {
        maps.on_every_backend([&](Backend& backend) {
            const DeviceTensor in = maps.put(backend, dy), saved = maps.put(backend, y),
                               out = maps.output(backend, y.shape);
            const View terms[] = {in.view()};
            PointwiseBackward args;
            args.terms = terms;
            args.y = saved;
            args.dx = out;
            args.activation = Activation::Relu;
            backend.pointwise_backward(args);
            EXPECT_EQ(out.download().values, std::vector<float>(18, 0.0f));
        });
    });
}

// As in PyTorch: a run that has left the numbers must show it, whatever activations it passes through.
TEST(Activations, KeepNaN) {
    constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
    const Shape shape{2, 3, 5, 16};
    on_every_map_type([&](const Maps& maps) {
        auto x = maps.random(shape, Fill::Normal, 1);
        for (size_t i = 0; i < x.values.size(); i += 7) x.values[i] = kNaN;
        const ref::Tensor<float> zeros(shape);
        const std::vector<float> ones(16, 1.0f), none(16, 0.0f);
        maps.on_every_backend([&](Backend& backend) {
            const DeviceTensor in = maps.put(backend, x), zero = maps.put(backend, zeros),
                               scale(backend, ones), shift(backend, none), out = maps.output(backend, shape);
            const auto expect_kept = [&](const char* what) {
                const auto got = out.download().values;
                for (size_t i = 0; i < got.size(); ++i)
                    ASSERT_EQ(std::isnan(got[i]), std::isnan(x.values[i])) << what << "[" << i << "]";
            };
            for (const Activation activation : {Activation::None, Activation::Relu, Activation::Relu6}) {
                backend.activate(in, activation, out);
                expect_kept("activate");
                backend.add(in, zero, activation, out);
                expect_kept("add");
                backend.channel_affine(in, scale, shift, activation, out);
                expect_kept("channel_affine");
            }
        });
    });
}

// Infinities, NaN and the numbers beside 0 and 6 among them.
TEST(Activations, OfEveryBfloat16) {
    ref::Tensor<float> x(Shape{1, 256, 256, 1});
    for (size_t i = 0; i < x.values.size(); ++i)
        x.values[i] = std::bit_cast<float>(static_cast<uint32_t>(i) << 16);
    on_every_map_type([&](const Maps& maps) {
        maps.on_every_backend([&](Backend& backend) {
            const DeviceTensor in = maps.put(backend, x), out = maps.output(backend, x.shape);
            for (const Activation activation : kActivations) {
                backend.activate(in, activation, out);
                const std::vector<float> got = out.download().values;
                for (size_t i = 0; i < got.size(); ++i) {
                    const float want = ref::activate(x.values[i], activation);
                    ASSERT_TRUE(got[i] == want || (std::isnan(got[i]) && std::isnan(want)))
                        << got[i] << " of " << x.values[i];
                }
            }
        });
    });
}

TEST(SignStep, IsExactAndCountsZerosAsPositive) {
    for (const Shape& shape : kShapes) {
        SCOPED_TRACE(to_string(shape));
        const auto x = random_tensor(shape, Fill::Normal, 1);
        auto g = random_tensor(shape, Fill::SmallIntegers, 2);  // one value in seven is 0
        for (size_t i = 0; i < g.values.size(); i += 2)
            if (g.values[i] == 0) g.values[i] = -0.0f;
        const auto step = random_values(shape.c, Fill::Normal, 3);
        const auto want = ref::sign_step(x, g, step);
        on_every_backend([&](Backend& backend) {
            const DeviceTensor in(backend, x), gradient(backend, g), steps(backend, step),
                out(backend, shape);
            backend.sign_step(in, gradient, steps, out);
            expect_same_bits("out", out.download().values, want.values);
            const DeviceTensor over_x(backend, x);
            backend.sign_step(over_x, gradient, steps, over_x);
            expect_same_bits("out over x", over_x.download().values, want.values);
            backend.sign_step(in, gradient, steps, gradient);
            expect_same_bits("out over g", gradient.download().values, want.values);
        });
    }
}

TEST(SignStep, ZerosOfBothSigns) {
    ref::Tensor<float> x(Shape{1, 1, 1, 4}, 1.0f), g(x.shape);
    g.values = {0.0f, -0.0f, -1e-45f, 1e-45f};  // the last two are the smallest denormals: signs, not zeros
    on_every_backend([&](Backend& backend) {
        const DeviceTensor in(backend, x), gradient(backend, g), out(backend, x.shape);
        const DeviceTensor step(backend, std::vector<float>(4, 0.25f));
        backend.sign_step(in, gradient, step, out);
        EXPECT_EQ(out.download().values, (std::vector<float>{0.75f, 0.75f, 1.25f, 0.75f}));
    });
}

}  // namespace
}  // namespace gs::test
