// Group normalisation and the residual add that computes its statistics, against two-pass loops in double.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/reference/group_norm.h"
#include "tests/reference/pooling.h"
#include "tests/support/maps.h"

namespace gs::test {
namespace {

struct NormCase {
    Shape x;
    int64_t groups;
};
// BiT's 32 groups at several widths; groups of one channel, one group; groups that divide no vector.
const NormCase kCases[] = {{{2, 7, 7, 64}, 32},    {{1, 5, 9, 32}, 32},   {{3, 4, 4, 30}, 5},
                           {{1, 15, 15, 128}, 32}, {{2, 6, 5, 12}, 1},    {{2, 3, 3, 36}, 4},
                           {{1, 1, 1, 64}, 8},     {{1, 20, 31, 96}, 32}, {{1, 3, 2, 2048}, 32}};

ref::GroupNorm<float> make_params(const NormCase& c) {
    return {c.groups, 1e-5, random_values(c.x.c, Fill::Normal, 11), random_values(c.x.c, Fill::Normal, 12)};
}
ref::GroupNorm<double> to_double(const ref::GroupNorm<float>& p) {
    return {p.groups, p.eps, ref::cast<double>(p.gamma), ref::cast<double>(p.beta)};
}

// gamma and beta on a backend.
struct DeviceParams {
    DeviceParams(Backend& backend, const ref::GroupNorm<float>& p)
        : gamma(backend, p.gamma), beta(backend, p.beta), groups(p.groups), eps(static_cast<float>(p.eps)) {}
    operator GroupNormParams() const { return {groups, eps, gamma, beta}; }
    DeviceTensor gamma, beta;
    int64_t groups;
    float eps;
};

// mean or rstd of all groups, to be judged each by its own size.
template <class T>
std::vector<T> column(const ref::Tensor<T>& stats, size_t which) {
    std::vector<T> values;
    for (size_t i = which; i < stats.values.size(); i += 2) values.push_back(stats.values[i]);
    return values;
}

// The mean of data that cancel is as exact as the data are large.
void expect_stats(const ref::Tensor<float>& got, const ref::Tensor<double>& want,
                  const ref::Tensor<float>& x) {
    double size = 0;
    for (const float value : x.values) size = std::max(size, std::abs(static_cast<double>(value)));
    const auto means = column(want, 0), got_means = ref::cast<double>(column(got, 0));
    for (size_t i = 0; i < means.size(); ++i)
        ASSERT_TRUE(std::abs(got_means[i] - means[i]) <= 2e-7 * size)
            << "mean " << i << " is " << got_means[i] << ", wanted " << means[i];
    // Every rstd by itself: one bad group must not hide behind a large one.
    const auto rstd = column(got, 1);
    const auto wanted = column(want, 1);
    for (size_t i = 0; i < rstd.size(); ++i)
        expect_close("rstd " + std::to_string(i), {rstd[i]}, std::vector<double>{wanted[i]}, 2e-6);
}

template <class F>
void on_every_case(const F& test) {
    on_every_map_type([&](const Maps& maps) {
        for (const NormCase& c : kCases) {
            SCOPED_TRACE(to_string(c.x) + ", groups " + std::to_string(c.groups));
            test(maps, c);
        }
    });
}

TEST(GroupNorm, StatisticsMatchDouble) {
    on_every_case([](const Maps& maps, const NormCase& c) {
        for (const Fill fill : {Fill::SmallIntegers, Fill::Normal, Fill::LargeOffset}) {
            SCOPED_TRACE(to_string(fill));
            const auto x = maps.random(c.x, fill, 1);
            const auto want = ref::group_norm_stats(ref::cast<double>(x), c.groups, 1e-5);
            maps.on_every_backend([&](Backend& backend) {
                const DeviceTensor in = maps.put(backend, x), stats(backend, want.shape);
                backend.group_norm_stats(in, DeviceParams(backend, make_params(c)), stats);
                expect_stats(stats.download(), want, x);
            });
        }
    });
}

// Constant groups: the variance is 0, not a rounding residue, so rstd is 1 / sqrt(eps).
TEST(GroupNorm, ConstantInputHasNoVariance) {
    const NormCase c{{1, 9, 11, 16}, 4};
    const ref::Tensor<float> x(c.x, 777.77f);
    on_every_map_type([&](const Maps& maps) {
        maps.on_every_backend([&](Backend& backend) {
            const DeviceTensor in = maps.put(backend, x), stats(backend, Shape{1, 1, 4, 2});
            backend.group_norm_stats(in, DeviceParams(backend, make_params(c)), stats);
            for (const float rstd : column(stats.download(), 1)) EXPECT_NEAR(rstd, 1 / std::sqrt(1e-5), 1e-3);
        });
    });
}

TEST(GroupNorm, StatisticsUseTheGivenEpsilon) {
    const NormCase c{{2, 3, 3, 8}, 2};
    auto params = make_params(c);
    params.eps = 0.5;
    on_every_map_type([&](const Maps& maps) {
        const auto x = maps.random(c.x, Fill::Normal, 1);
        const auto want = ref::group_norm_stats(ref::cast<double>(x), c.groups, 0.5);
        maps.on_every_backend([&](Backend& backend) {
            const DeviceTensor in = maps.put(backend, x), stats(backend, want.shape);
            backend.group_norm_stats(in, DeviceParams(backend, params), stats);
            expect_stats(stats.download(), want, x);
        });
    });
}

TEST(GroupNorm, AddWithStatisticsMatchesDouble) {
    on_every_case([](const Maps& maps, const NormCase& c) {
        for (const Fill fill : {Fill::SmallIntegers, Fill::Normal, Fill::LargeOffset}) {
            SCOPED_TRACE(to_string(fill));
            const auto a = maps.random(c.x, fill, 1), b = maps.random(c.x, Fill::SmallIntegers, 2);
            // In float32, and rounded: the statistics are those of what is stored.
            const auto sum = maps.rounded(ref::add(a, b, Activation::None));
            const auto want = ref::group_norm_stats(ref::cast<double>(sum), c.groups, 1e-5);
            maps.on_every_backend([&](Backend& backend) {
                const DeviceTensor left = maps.put(backend, a), right = maps.put(backend, b),
                                   out = maps.output(backend, c.x), stats(backend, want.shape);
                backend.add_with_stats(left, right, out, DeviceParams(backend, make_params(c)), stats);
                expect_same_bits("y", out.download().values, sum.values);
                expect_stats(stats.download(), want, sum);
                for (const DeviceTensor* over : {&left, &right}) {
                    const DeviceTensor saved = maps.put(backend, over->download()),
                                       again(backend, want.shape);
                    backend.add_with_stats(left, right, *over, DeviceParams(backend, make_params(c)), again);
                    expect_same_bits("y over an input", over->download().values, sum.values);
                    expect_same_bits("its stats", again.download().values, stats.download().values);
                    backend.copy(saved, *over);
                }
            });
        }
    });
}

TEST(GroupNorm, ForwardMatchesDouble) {
    on_every_case([](const Maps& maps, const NormCase& c) {
        const auto x = maps.random(c.x, Fill::Normal, 1);
        const auto params = make_params(c);
        const auto stats = ref::cast<float>(ref::group_norm_stats(ref::cast<double>(x), c.groups, 1e-5));
        for (const Activation activation : {Activation::None, Activation::Relu, Activation::Relu6}) {
            const auto want = ref::group_norm(ref::cast<double>(x), ref::cast<double>(stats),
                                              to_double(params), activation);
            maps.on_every_backend([&](Backend& backend) {
                const DeviceTensor in = maps.put(backend, x), saved(backend, stats),
                                   out = maps.output(backend, c.x);
                backend.group_norm(in, saved, DeviceParams(backend, params), activation, out);
                expect_close("y", out.download(), want, maps.tolerance(1e-6));
                backend.group_norm(in, saved, DeviceParams(backend, params), activation, in);
                expect_same_bits("y in place", in.download().values, out.download().values);
            });
        }
    });
}

// Statistics and normalisation together on a map far from zero. float32 holds a mean of 1000 to 3e-5 of the
// deviation 1; E[x^2] - E[x]^2 in float32 would be wrong in the first digit.
TEST(GroupNorm, LargeOffsetKeepsItsDigits) {
    on_every_case([](const Maps& maps, const NormCase& c) {
        if (!maps.is_float()) return;  // bfloat16 holds nothing but the mean
        const auto x = random_tensor(c.x, Fill::LargeOffset, 1);
        const auto params = make_params(c);
        const auto xd = ref::cast<double>(x);
        const auto want = ref::group_norm(xd, ref::group_norm_stats(xd, c.groups, 1e-5), to_double(params),
                                          Activation::None);
        on_every_backend([&](Backend& backend) {
            const DeviceTensor in(backend, x), stats(backend, Shape{c.x.n, 1, c.groups, 2}),
                out(backend, c.x);
            const DeviceParams p(backend, params);
            backend.group_norm_stats(in, p, stats);
            backend.group_norm(in, stats, p, Activation::None, out);
            expect_close("y", out.download(), want, 5e-5);
        });
    });
}

// ---- backward

struct BackwardCase {
    NormCase norm;
    int64_t cotangents = 1;
    size_t terms = 1;
    Activation activation = Activation::Relu;
    bool addend = false, sinks = false;
};
constexpr Reduction kReductions[] = {Reduction::Sum, Reduction::Mean, Reduction::NonzeroShare};

struct BackwardData {
    ref::Tensor<float> x, stats, addend;
    std::vector<ref::Tensor<float>> terms;
    ref::GroupNorm<float> params;
};

// The smallest distance of a pre-activation from a kink: below it float32 may see another mask than double.
double margin(const BackwardData& d) {
    double smallest = 1;
    const auto v = ref::group_norm(ref::cast<double>(d.x), ref::cast<double>(d.stats), to_double(d.params),
                                   Activation::None);
    for (const double value : v.values) smallest = std::min({smallest, std::abs(value), std::abs(value - 6)});
    return smallest;
}

BackwardData make_data(const Maps& maps, const BackwardCase& c) {
    BackwardData d;
    d.params = make_params(c.norm);
    for (uint64_t seed = 1; d.x.values.empty() || margin(d) < 1e-5; ++seed) {  // a few draws at most
        d.x = maps.random(c.norm.x, Fill::Normal, seed);
        d.stats = ref::cast<float>(ref::group_norm_stats(ref::cast<double>(d.x), c.norm.groups, 1e-5));
    }
    const Shape rows = c.norm.x.with_n(c.cotangents * c.norm.x.n);
    for (size_t i = 0; i < c.terms; ++i) d.terms.push_back(maps.random(rows, Fill::Normal, 50 + i));
    if (c.addend) d.addend = maps.random(rows, Fill::Normal, 60);
    return d;
}

struct BackwardRun {
    ref::Tensor<float> dx;
    std::vector<ref::Tensor<float>> sinks;
};

// alias: -1 dx is memory of its own, 0.. a term, terms.size() the addend; kNoDx: only the sinks are fed.
constexpr int kNoDx = -2;
BackwardRun run_backward(const Maps& maps, Backend& backend, const BackwardCase& c, const BackwardData& d,
                         int alias) {
    std::vector<DeviceTensor> inputs;
    for (const auto& term : d.terms) inputs.push_back(maps.put(backend, term));
    if (c.addend) inputs.push_back(maps.put(backend, d.addend));
    const Shape rows = d.terms.front().shape;
    const DeviceTensor own = maps.output(backend, rows), x = maps.put(backend, d.x), stats(backend, d.stats);
    const std::vector<View> terms(inputs.begin(), inputs.begin() + static_cast<std::ptrdiff_t>(c.terms));
    std::vector<DeviceTensor> outs;
    std::vector<TapSink> sinks;
    for (const Reduction reduction : kReductions)
        sinks.push_back({reduction, outs.emplace_back(backend, Shape{rows.n, 1, 1, rows.c})});

    GroupNormBackward args;
    args.terms = terms;
    args.x = x;
    args.stats = stats;
    args.activation = c.activation;
    args.addend = c.addend ? inputs.back().view() : View{};
    if (alias != kNoDx) args.dx = alias < 0 ? own.view() : inputs[static_cast<size_t>(alias)].view();
    if (c.sinks) args.sinks = sinks;
    backend.group_norm_backward(args, DeviceParams(backend, d.params));

    BackwardRun run{(alias < 0 ? own : inputs[static_cast<size_t>(alias)]).download(), {}};
    if (c.sinks)
        for (const DeviceTensor& out : outs) run.sinks.push_back(out.download());
    return run;
}

void check_backward(const Maps& maps, const BackwardCase& c) {
    SCOPED_TRACE(to_string(c.norm.x) + ", groups " + std::to_string(c.norm.groups) + ", cotangents " +
                 std::to_string(c.cotangents) + ", terms " + std::to_string(c.terms) + ", activation " +
                 std::to_string(int(c.activation)) + ", addend " + std::to_string(c.addend) + ", sinks " +
                 std::to_string(c.sinks));
    const BackwardData d = make_data(maps, c);
    ref::Tensor<double> dy = ref::cast<double>(d.terms.front());
    for (size_t i = 1; i < d.terms.size(); ++i)
        dy = ref::add(dy, ref::cast<double>(d.terms[i]), Activation::None);
    auto want = ref::group_norm_backward(dy, ref::cast<double>(d.x), ref::cast<double>(d.stats),
                                         to_double(d.params), c.activation);
    if (c.addend) want.dx = ref::add(want.dx, ref::cast<double>(d.addend), Activation::None);
    maps.on_every_backend([&](Backend& backend) {
        for (int alias = c.sinks ? kNoDx : -1; alias < int(c.terms) + c.addend; ++alias) {
            SCOPED_TRACE("dx aliases " + std::to_string(alias));
            const BackwardRun got = run_backward(maps, backend, c, d, alias);
            if (alias != kNoDx) expect_close("dx", got.dx, want.dx, maps.tolerance(2e-6));
            for (size_t i = 0; i < got.sinks.size(); ++i)
                expect_close("sink " + std::to_string(i), got.sinks[i],
                             ref::reduce(want.output, kReductions[i]), 1e-6);
        }
    });
}

TEST(GroupNormBackward, AllShapesMatchDouble) {
    on_every_case([](const Maps& maps, const NormCase& c) {
        check_backward(maps, {c, 1, 1, Activation::Relu, false, true});
    });
}

TEST(GroupNormBackward, AllCombinationsMatchDouble) {
    const NormCase small{{2, 3, 5, 36}, 4};
    on_every_map_type([&](const Maps& maps) {
        for (const size_t terms : {1, 2, 3})
            for (const Activation activation : {Activation::None, Activation::Relu, Activation::Relu6})
                for (int parts = 0; parts < 4; ++parts)
                    check_backward(maps, {small, 1, terms, activation, (parts & 1) != 0, (parts & 2) != 0});
    });
}

TEST(GroupNormBackward, CotangentsShareTheSavedActivation) {
    on_every_map_type([&](const Maps& maps) {
        for (const int64_t cotangents : {2, 3})
            for (const NormCase& c : {NormCase{{1, 4, 3, 64}, 32}, NormCase{{3, 3, 3, 30}, 5}})
                check_backward(maps, {c, cotangents, 2, Activation::Relu, true, true});
    });
}

// The backward pass recomputes the mask. Here beta puts every pre-activation within rounding of 0, where the
// order of operations decides its sign: the two passes must still agree bit for bit.
void check_mask(const Maps& maps) {
    for (const NormCase& c :
         {NormCase{{1, 1, 1, 2048}, 32}, NormCase{{1, 1, 1, 36}, 4}, NormCase{{1, 1, 1, 64}, 64}}) {
        SCOPED_TRACE(to_string(c.x));
        const auto x = maps.random(c.x, Fill::Normal, 1);
        auto params = make_params(c);
        const auto stats = ref::cast<float>(ref::group_norm_stats(ref::cast<double>(x), c.groups, 1e-5));
        const auto xhat = ref::normalised(ref::cast<double>(x), ref::cast<double>(stats));
        for (size_t i = 0; i < params.beta.size(); ++i)
            params.beta[i] = static_cast<float>(-xhat.values[i] * static_cast<double>(params.gamma[i]));
        maps.on_every_backend([&](Backend& backend) {
            const DeviceTensor in = maps.put(backend, x), saved(backend, stats),
                               out = maps.output(backend, c.x);
            const DeviceTensor dy = maps.put(backend, ref::Tensor<float>(c.x, 1.0f)),
                               dx = maps.output(backend, c.x), mask(backend, c.x);
            const DeviceParams p(backend, params);
            backend.group_norm(in, saved, p, Activation::Relu, out);
            const View terms[] = {dy.view()};
            const TapSink sinks[] = {{Reduction::Sum, mask}};
            backend.group_norm_backward({terms, in, saved, Activation::Relu, {}, dx, sinks}, p);
            auto forward = out.download();
            size_t open = 0;
            for (float& value : forward.values) {
                value = value > 0 ? 1.0f : 0.0f;
                open += value > 0;
            }
            expect_same_bits("mask", mask.download().values, forward.values);
            EXPECT_TRUE(open > 0 || c.groups == c.x.c) << "no gate near the kink is open: proves nothing";
        });
    }
}
TEST(GroupNormBackward, MaskIsTheForwardMaskBitForBit) {
    on_every_map_type(check_mask);
}

// The same over whole maps, counted: the share of open gates equals that of positive outputs.
TEST(GroupNormBackward, MaskCountsEqualForwardCounts) {
    on_every_case([](const Maps& maps, const NormCase& c) {
        const auto x = maps.random(c.x, Fill::Normal, 1);
        const auto stats = ref::cast<float>(ref::group_norm_stats(ref::cast<double>(x), c.groups, 1e-5));
        maps.on_every_backend([&](Backend& backend) {
            const DeviceTensor in = maps.put(backend, x), saved(backend, stats),
                               out = maps.output(backend, c.x), dx = maps.output(backend, c.x);
            const DeviceTensor dy = maps.put(backend, ref::Tensor<float>(c.x, 1.0f));
            const DeviceTensor share(backend, Shape{c.x.n, 1, 1, c.x.c}),
                share_y(backend, Shape{c.x.n, 1, 1, c.x.c});
            const DeviceParams p(backend, make_params(c));
            backend.group_norm(in, saved, p, Activation::Relu, out);
            const View terms[] = {dy.view()};
            const TapSink sinks[] = {{Reduction::NonzeroShare, share}},
                          forward[] = {{Reduction::NonzeroShare, share_y}};
            backend.group_norm_backward({terms, in, saved, Activation::Relu, {}, dx, sinks}, p);
            backend.reduce(out, forward);
            expect_same_bits("share", share.download().values, share_y.download().values);
        });
    });
}

}  // namespace
}  // namespace gs::test
