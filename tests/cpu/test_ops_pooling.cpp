// Pooling, the option A shortcut and the reductions of taps, against loops.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/reference/pooling.h"
#include "tests/support/maps.h"

namespace gs::test {
namespace {

ref::Tensor<double> to_double(const ref::Tensor<float>& t) {
    return ref::cast<double>(t);
}

struct PoolCase {
    Shape x;
    PoolSpec spec;  // kernel, stride, pad, zero_padding
};
const PoolCase kPools[] = {{{2, 8, 8, 16}, {3, 2, 1, false}},
                           {{2, 8, 8, 16}, {3, 2, 1, true}},  // even map: the last row has no padding
                           {{1, 9, 11, 7}, {3, 2, 1, false}},
                           {{1, 9, 11, 7}, {3, 2, 1, true}},
                           {{3, 5, 4, 33}, {2, 2, 0, false}},
                           {{1, 6, 6, 1}, {3, 1, 1, true}},
                           {{1, 6, 7, 64}, {3, 1, 1, false}},  // every window overlaps eight others
                           {{2, 1, 1, 5}, {3, 2, 1, false}},
                           {{1, 1, 3, 20}, {3, 2, 1, true}},
                           {{1, 12, 10, 3}, {5, 3, 2, true}},
                           {{1, 17, 17, 130}, {3, 2, 1, false}}};

template <class F>
void on_every_pool(const F& test) {
    on_every_map_type([&](const Maps& maps) {
        for (const PoolCase& c : kPools) {
            SCOPED_TRACE(to_string(c.x) + ", kernel " + std::to_string(c.spec.kernel) + "/" +
                         std::to_string(c.spec.stride) + ", pad " + std::to_string(c.spec.pad) +
                         (c.spec.zero_padding ? " with zeros" : ""));
            test(maps, c);
        }
    });
}

// Small integers: most windows hold ties, so `winner` shows whether the first of them is taken.
TEST(MaxPool, ValuesAndWinnersAreExact) {
    on_every_pool([](const Maps& maps, const PoolCase& c) {
        for (const Fill fill : {Fill::SmallIntegers, Fill::Normal}) {
            SCOPED_TRACE(to_string(fill));
            auto x = random_tensor(c.x, fill, 1);
            for (float& value : x.values) value -= 1;  // mostly negative, so that padded zeros win often
            x = maps.rounded(x);
            const auto want = ref::max_pool(x, c.spec);
            maps.on_every_backend([&](Backend& backend) {
                const DeviceTensor in = maps.put(backend, x), out = maps.output(backend, want.y.shape);
                const DeviceTensor winner(backend, want.y.shape, DType::U8),
                    alone = maps.output(backend, want.y.shape);
                backend.max_pool(in, c.spec, out, winner);
                EXPECT_EQ(out.download().values, want.y.values);
                EXPECT_EQ(winner.download_u8().values, want.winner.values);
                backend.max_pool(in, c.spec, alone, View{});
                EXPECT_EQ(alone.download().values, want.y.values) << "without winners";
            });
        }
    });
}

// An overflowed image must not come out with a score.
TEST(MaxPool, KeepsNaN) {
    on_every_pool([](const Maps& maps, const PoolCase& c) {
        auto x = maps.random(c.x, Fill::Normal, 1);
        for (size_t i = 0; i < x.values.size(); i += 7) x.values[i] = std::numeric_limits<float>::quiet_NaN();
        const auto want = ref::max_pool(x, c.spec);
        maps.on_every_backend([&](Backend& backend) {
            const DeviceTensor in = maps.put(backend, x), out = maps.output(backend, want.y.shape);
            const DeviceTensor winner(backend, want.y.shape, DType::U8);
            backend.max_pool(in, c.spec, out, winner);
            const std::vector<float> got = out.download().values;
            for (size_t i = 0; i < got.size(); ++i)
                EXPECT_TRUE(got[i] == want.y.values[i] ||
                            (std::isnan(got[i]) && std::isnan(want.y.values[i])))
                    << i;
            EXPECT_EQ(winner.download_u8().values, want.winner.values);
        });
    });
}

TEST(MaxPool, FirstOfEqualValuesWins) {  // as PyTorch: in row order, padding included where it takes part
    const ref::Tensor<float> ones(Shape{1, 3, 3, 1}, 1.0f), zeros(Shape{1, 3, 3, 1}, 0.0f);
    on_every_map_type([&](const Maps& maps) {
        maps.on_every_backend([&](Backend& backend) {
            const auto winners = [&](const ref::Tensor<float>& x, bool zero_padding) {
                const PoolSpec spec{3, 2, 1, zero_padding};
                const DeviceTensor in = maps.put(backend, x),
                                   out = maps.output(backend, spec.output_shape(x.shape));
                const DeviceTensor winner(backend, spec.output_shape(x.shape), DType::U8);
                backend.max_pool(in, spec, out, winner);
                return winner.download_u8().values;
            };
            EXPECT_EQ(winners(ones, false), (std::vector<uint8_t>{4, 3, 1, 0}));
            EXPECT_EQ(winners(ones, true), (std::vector<uint8_t>{4, 3, 1, 0}));
            EXPECT_EQ(winners(zeros, false), (std::vector<uint8_t>{4, 3, 1, 0}));
            EXPECT_EQ(winners(zeros, true), (std::vector<uint8_t>{255, 255, 255, 0}));
        });
    });
}

TEST(MaxPool, BackwardAddsOverlappingWindowsForEveryCotangent) {
    on_every_pool([](const Maps& maps, const PoolCase& c) {
        for (const int64_t cotangents : {1, 3})
            for (const Fill fill : {Fill::SmallIntegers, Fill::Normal}) {
                SCOPED_TRACE(to_string(fill) + ", cotangents " + std::to_string(cotangents));
                const auto winner = ref::max_pool(random_tensor(c.x, fill, 1), c.spec).winner;
                const auto dy = maps.random(winner.shape.with_n(cotangents * c.x.n), fill, 2);
                const Shape rows = c.x.with_n(cotangents * c.x.n);
                const auto want = ref::max_pool_backward(to_double(dy), winner, c.spec, rows);
                maps.on_every_backend([&](Backend& backend) {
                    const DeviceTensor in = maps.put(backend, dy), positions(backend, winner),
                                       out = maps.output(backend, rows);
                    backend.max_pool_backward(in, positions, c.spec, out);
                    expect_close("dx", out.download(), want,
                                 maps.tolerance(fill == Fill::SmallIntegers ? 0 : 5e-7));
                });
            }
    });
}

// ---- average

struct WindowCase {
    Shape x;
    int64_t h, w;
};
const WindowCase kWindows[] = {{{2, 8, 8, 16}, 8, 8},     {{1, 7, 7, 33}, 7, 7},  {{3, 5, 6, 20}, 4, 4},
                               {{1, 9, 8, 1}, 1, 8},      {{1, 1, 1, 130}, 1, 1}, {{2, 6, 7, 5}, 2, 3},
                               {{1, 15, 15, 256}, 15, 15}};

// The mean is a feature, float32 whatever maps are.
void check_average(const Maps& maps) {
    for (const WindowCase& c : kWindows)
        for (const Fill fill : {Fill::SmallIntegers, Fill::Normal}) {
            SCOPED_TRACE(to_string(c.x) + ", window " + std::to_string(c.h) + "x" + std::to_string(c.w));
            const auto x = maps.random(c.x, fill, 1);
            const auto dy = random_tensor({c.x.n, 1, 1, c.x.c}, fill, 2);
            const auto want = ref::average_pool(to_double(x), c.h, c.w);
            const auto want_dx = ref::average_pool_backward(to_double(dy), c.h, c.w, c.x);
            const int64_t area = c.h * c.w;
            const bool exact = fill == Fill::SmallIntegers && (area & (area - 1)) == 0;  // division by 2^k
            maps.on_every_backend([&](Backend& backend) {
                const DeviceTensor in = maps.put(backend, x), out(backend, want.shape), gradient(backend, dy),
                                   dx = maps.output(backend, c.x);
                backend.average_pool(in, c.h, c.w, out);
                backend.average_pool_backward(gradient, c.h, c.w, dx);
                expect_close("y", out.download(), want, exact ? 0 : 1e-6);
                const auto got_dx = dx.download();
                expect_close("dx", got_dx, want_dx, maps.tolerance(exact ? 0 : 2e-7));
                for (size_t i = 0; i < got_dx.values.size(); ++i)
                    ASSERT_EQ(got_dx.values[i] == 0, want_dx.values[i] == 0) << "zeros outside the window";
            });
        }
}
TEST(AveragePool, MeanOfTheTopLeftWindow) {
    on_every_map_type(check_average);
}

TEST(AveragePool, LongSumsKeepTheirDigits) {
    auto x = random_tensor({1, 257, 301, 3}, Fill::Normal, 1);
    for (float& value : x.values) value += 10;
    on_every_map_type([&](const Maps& maps) {
        x = maps.rounded(x);
        const auto want = ref::average_pool(to_double(x), 257, 301);
        maps.on_every_backend([&](Backend& backend) {
            const DeviceTensor in = maps.put(backend, x), out(backend, want.shape);
            backend.average_pool(in, 257, 301, out);
            expect_close("y", out.download(), want, 2e-6);
        });
    });
}

// ---- option A shortcut

struct ShortcutCase {
    Shape x;
    int64_t stride;
    Shape y;
};
const ShortcutCase kShortcuts[] = {{{2, 8, 8, 16}, 2, {2, 4, 4, 32}}, {{1, 7, 5, 16}, 2, {1, 4, 3, 32}},
                                   {{3, 4, 4, 3}, 1, {3, 4, 4, 7}},   {{1, 9, 9, 17}, 3, {1, 3, 3, 40}},
                                   {{2, 5, 5, 8}, 2, {2, 3, 3, 8}},   {{1, 1, 1, 1}, 2, {1, 1, 1, 3}}};

void check_shortcuts(const Maps& maps) {
    for (const ShortcutCase& c : kShortcuts) {
        SCOPED_TRACE(to_string(c.x) + " to " + to_string(c.y));
        const auto x = maps.random(c.x, Fill::Normal, 1), dy = maps.random(c.y, Fill::Normal, 2);
        const auto want = ref::pad_subsample(to_double(x), c.stride, c.y);
        const auto want_dx = ref::pad_subsample_backward(to_double(dy), c.stride, c.x);
        maps.on_every_backend([&](Backend& backend) {
            const DeviceTensor in = maps.put(backend, x), out = maps.output(backend, c.y),
                               gradient = maps.put(backend, dy), dx = maps.output(backend, c.x);
            backend.pad_subsample(in, c.stride, out);
            backend.pad_subsample_backward(gradient, c.stride, dx);
            expect_close("y", out.download(), want, 0);
            expect_close("dx", dx.download(), want_dx, 0);
        });
    }
}
TEST(PadSubsample, ForwardAndBackwardAreExact) {
    on_every_map_type(check_shortcuts);
}

// ---- reductions

void check_reductions(const Maps& maps) {
    const Shape shapes[] = {{2, 8, 8, 16}, {1, 7, 5, 33},  {3, 1, 1, 5},
                            {1, 4, 16, 1}, {2, 3, 3, 130}, {1, 32, 16, 64}};
    for (const Shape& shape : shapes)
        for (const Fill fill : {Fill::SmallIntegers, Fill::Normal}) {
            SCOPED_TRACE(to_string(shape) + ", " + to_string(fill));
            const auto x = maps.random(shape, fill, 1);
            const bool power_of_two = (shape.pixels() & (shape.pixels() - 1)) == 0;
            maps.on_every_backend([&](Backend& backend) {
                const DeviceTensor in = maps.put(backend, x);
                const Shape reduced{shape.n, 1, 1, shape.c};
                const DeviceTensor sum(backend, reduced), mean(backend, reduced), share(backend, reduced);
                const TapSink sinks[] = {
                    {Reduction::Mean, mean}, {Reduction::NonzeroShare, share}, {Reduction::Sum, sum}};
                backend.reduce(in, sinks);
                const auto want = [&](Reduction reduction) { return ref::reduce(to_double(x), reduction); };
                const bool exact = fill == Fill::SmallIntegers;
                expect_close("sum", sum.download(), want(Reduction::Sum), exact ? 0 : 1e-6);
                expect_close("mean", mean.download(), want(Reduction::Mean),
                             exact && power_of_two ? 0 : 1e-6);
                expect_close("share", share.download(), want(Reduction::NonzeroShare),
                             power_of_two ? 0 : 1e-7);
            });
        }
}
TEST(Reduce, AllReductionsInOneSweep) {
    on_every_map_type(check_reductions);
}

TEST(Reduce, CountsOnlyTrueZeros) {  // -0 is a zero, a denormal is not
    ref::Tensor<float> x(Shape{1, 2, 2, 1});
    on_every_map_type([&](const Maps& maps) {
        const float smallest = maps.is_float() ? 1e-45f : 0x1p-133f;
        x.values = {0.0f, -0.0f, smallest, -smallest};
        maps.on_every_backend([&](Backend& backend) {
            const DeviceTensor in = maps.put(backend, x), share(backend, Shape{1, 1, 1, 1});
            const TapSink sinks[] = {{Reduction::NonzeroShare, share}};
            backend.reduce(in, sinks);
            EXPECT_EQ(share.download().values, std::vector<float>{0.5f});
        });
    });
}

TEST(Reduce, LongSumsKeepTheirDigits) {
    auto x = random_tensor({1, 240, 240, 5}, Fill::Normal, 1);
    for (float& value : x.values) value += 10;
    on_every_map_type([&](const Maps& maps) {
        x = maps.rounded(x);
        maps.on_every_backend([&](Backend& backend) {
            const DeviceTensor in = maps.put(backend, x), sum(backend, Shape{1, 1, 1, 5});
            const TapSink sinks[] = {{Reduction::Sum, sum}};
            backend.reduce(in, sinks);
            expect_close("sum", sum.download(), ref::reduce(to_double(x), Reduction::Sum), 2e-6);
        });
    });
}

}  // namespace
}  // namespace gs::test
