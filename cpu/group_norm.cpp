// Group normalisation, forward and backward.
#include <cmath>

#include "core/contract.h"
#include "cpu/cpu_backend.h"
#include "cpu/map_type.h"
#include "cpu/sinks.h"

namespace gs::cpu {
namespace {

// Mean and sum of squared deviations of `count` values; merged pairwise (Chan et al.), never E[x^2] - E[x]^2.
struct Moments {
    double count = 0.0, mean = 0.0, m2 = 0.0;

    void merge(const Moments& other) {
        const double total = count + other.count, delta = other.mean - mean;
        mean += delta * other.count / total;
        m2 += other.m2 + delta * delta * count * other.count / total;
        count = total;
    }
};

// In float64, four lanes: the order is fixed by `count` alone.
double sum_of(const float* values, int64_t count) {
    double lanes[4] = {};
    int64_t i = 0;
    for (; i + 4 <= count; i += 4) {
        for (int64_t l = 0; l < 4; ++l) lanes[l] += static_cast<double>(values[i + l]);
    }
    for (; i < count; ++i) lanes[0] += static_cast<double>(values[i]);
    return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

// Moments of every group of one slab in two passes over it, the second from cache. `sum` holds the channels'
// sums on entry; `first` and `second` are scratch, [c] each.
template <class T>
void slab_moments(const Kernels& kernels, const T* x, int64_t pixels, int64_t c, int64_t groups, float* sum,
                  float* first, float* second, Moments* out) {
    const int64_t width = c / groups;
    const double count = static_cast<double>(pixels * width);
    for (int64_t g = 0; g < groups; ++g) {
        const float center = static_cast<float>(sum_of(sum + g * width, width) / count);
        std::fill(sum + g * width, sum + (g + 1) * width, center);
    }
    kernels.maps<T>().centered_moments(x, pixels, c, sum, first, second);
    for (int64_t g = 0; g < groups; ++g) {
        const double d = sum_of(first + g * width, width), d2 = sum_of(second + g * width, width);
        // d is what rounding the centre left over: tiny against d2, so nothing cancels.
        const double mean = static_cast<double>(sum[g * width]) + d / count;
        out[g] = {count, mean, std::max(d2 - d * d / count, 0.0)};
    }
}

void write_stats(const Moments* slabs, int64_t slab_count, int64_t groups, float eps, float* stats) {
    for (int64_t g = 0; g < groups; ++g) {
        Moments all = slabs[g];
        for (int64_t s = 1; s < slab_count; ++s) all.merge(slabs[s * groups + g]);
        stats[2 * g] = static_cast<float>(all.mean);
        stats[2 * g + 1] = static_cast<float>(1.0 / std::sqrt(all.m2 / all.count + static_cast<double>(eps)));
    }
}

// first_pass(unit offset, pixels, sum) leaves the channel sums of a slab whose values stand at y + offset.
template <class T, class FirstPass>
void sweep_stats(Context& context, const View& y, const GroupNormParams& params, const View& stats,
                 const FirstPass& first_pass) {
    const Slabs slabs(y.shape);
    const int64_t c = y.shape.c, groups = params.groups;
    Moments* partial =
        context.partial_sums.get<Moments>(static_cast<size_t>(y.shape.n * slabs.count * groups));
    float* scratch = context.workspace.get<float>(static_cast<size_t>(context.threads * 3 * c));
    parallel_for(context.threads, y.shape.n * slabs.count, [&](int64_t unit, int worker) {
        const int64_t row = unit / slabs.count, slab = unit % slabs.count;
        const int64_t at = row * y.shape.per_sample() + slabs.offset(slab);
        float* sum = scratch + worker * 3 * c;
        first_pass(at, slabs.size(slab), sum);
        slab_moments(context.kernels, y.as<T>() + at, slabs.size(slab), c, groups, sum, sum + c, sum + 2 * c,
                     partial + unit * groups);
    });
    parallel_for(context.threads, y.shape.n, [&](int64_t row) {
        write_stats(partial + row * slabs.count * groups, slabs.count, groups, params.eps,
                    stats.f32() + row * groups * 2);
    });
}

// mean and scale = gamma * rstd of every channel of every sample, [n][2][c] in scratch; shift = beta. Forward
// and backward take them from here, so their masks agree to the bit.
class Coefficients {
  public:
    Coefficients(Context& context, const View& stats, const GroupNormParams& params)
        : c_(params.gamma.shape.c),
          values_(context.coefficients.get<float>(static_cast<size_t>(stats.shape.n * 2 * c_))),
          beta_(params.beta.f32()) {
        const int64_t width = c_ / params.groups;
        parallel_for(context.threads, stats.shape.n, [&](int64_t n) {
            const float* mean_rstd = stats.f32() + n * params.groups * 2;
            float* mean = values_ + n * 2 * c_;
            for (int64_t i = 0; i < c_; ++i) {
                mean[i] = mean_rstd[i / width * 2];
                mean[c_ + i] = params.gamma.f32()[i] * mean_rstd[i / width * 2 + 1];
            }
        });
    }
    NormCoefficients sample(int64_t n) const {
        const float* mean = values_ + n * 2 * c_;
        return {mean, mean + c_, beta_};
    }

  private:
    int64_t c_;
    float* values_;
    const float* beta_;
};

// The three factors of dx from the sums of one row's slabs.
struct RowSums {
    const float* g;    // [slab][c]
    const float* g_x;  // [slab][c]
    int64_t slabs, pixels, c, groups;

    double over_slabs(const float* sums, int64_t channel) const {
        double total = 0.0;
        for (int64_t s = 0; s < slabs; ++s) total += static_cast<double>(sums[s * c + channel]);
        return total;
    }
    // out: [c]
    void gamma_gradient(const float* mean_rstd, float* out) const {
        for (int64_t i = 0; i < c; ++i)
            out[i] = static_cast<float>(static_cast<double>(mean_rstd[i / (c / groups) * 2 + 1]) *
                                        over_slabs(g_x, i));
    }
    // out: g_scale, x_scale, shift, [c] each
    void factors(const float* gamma, const float* mean_rstd, float* out) const {
        const int64_t width = c / groups;
        const double count = static_cast<double>(pixels * width);
        for (int64_t group = 0; group < groups; ++group) {
            const double rstd = static_cast<double>(mean_rstd[2 * group + 1]);
            double mean_g = 0.0, mean_g_xhat = 0.0;
            for (int64_t i = group * width; i < (group + 1) * width; ++i) {
                mean_g += static_cast<double>(gamma[i]) * over_slabs(g, i) / count;
                mean_g_xhat += static_cast<double>(gamma[i]) * rstd * over_slabs(g_x, i) / count;
            }
            for (int64_t i = group * width; i < (group + 1) * width; ++i) {
                out[i] = static_cast<float>(rstd * static_cast<double>(gamma[i]));
                out[c + i] = static_cast<float>(-rstd * rstd * mean_g_xhat);
                out[2 * c + i] = static_cast<float>(-rstd * mean_g);
            }
        }
    }
};

}  // namespace

void CpuBackend::group_norm_stats(View x, const GroupNormParams& params, View stats) {
    contract::group_norm_stats(x, params, stats);
    with_type(x, [&](auto type) {
        using T = decltype(type);
        sweep_stats<T>(*context_, x, params, stats, [&](int64_t at, int64_t pixels, float* sum) {
            kernels().maps<T>().channel_sums(x.as<T>() + at, pixels, x.shape.c, x.shape.c, {sum, nullptr});
        });
    });
}

void CpuBackend::add_with_stats(View a, View b, View y, const GroupNormParams& params, View stats) {
    contract::add_with_stats(a, b, y, params, stats);
    with_type(y, [&](auto type) {
        using T = decltype(type);
        sweep_stats<T>(*context_, y, params, stats, [&](int64_t at, int64_t pixels, float* sum) {
            kernels().maps<T>().add_and_sum(a.as<T>() + at, b.as<T>() + at, pixels, y.shape.c, y.as<T>() + at,
                                            sum);
        });
    });
}

void CpuBackend::group_norm(View x, View stats, const GroupNormParams& params, Activation activation,
                            View y) {
    contract::group_norm(x, stats, params, y);
    const Slabs slabs(x.shape);
    const Coefficients coefficients(*context_, stats, params);
    with_type(x, [&](auto type) {
        using T = decltype(type);
        each(x.shape.n * slabs.count, [&](int64_t unit) {
            const int64_t row = unit / slabs.count, slab = unit % slabs.count;
            const int64_t at = row * x.shape.per_sample() + slabs.offset(slab);
            kernels().maps<T>().normalize(x.as<T>() + at, slabs.size(slab), x.shape.c,
                                          coefficients.sample(row), activation, y.as<T>() + at);
        });
    });
}

void CpuBackend::group_norm_backward(const GroupNormBackward& args, const GroupNormParams& params) {
    contract::group_norm_backward(args, params);
    with_type(args.x, [&](auto type) { norm_backward<decltype(type)>(args, params); });
}

template <class T>
void CpuBackend::norm_backward(const GroupNormBackward& args, const GroupNormParams& params) {
    const TermPointers<T> terms(args.terms);
    const Shape shape = terms.shape();
    const int64_t samples = args.x.shape.n, c = shape.c;
    const Slabs slabs(shape);
    const Coefficients coefficients(*context_, args.stats, params);
    const SinkSums sinks(context_->sinks, args.sinks, shape, slabs);
    const size_t sums = static_cast<size_t>(shape.n * slabs.count * c);
    float* g = context_->partial_sums.get<float>(2 * sums);
    float* g_x = g + sums;
    float* factors = context_->workspace.get<float>(static_cast<size_t>(shape.n * 3 * c));

    const auto first = [&](int64_t row, int64_t slab, int) {
        const int64_t at = slabs.offset(slab), partial = (row * slabs.count + slab) * c;
        kernels().maps<T>().norm_backward_sums(
            terms.at(row * shape.per_sample() + at), args.x.as<T>() + row % samples * shape.per_sample() + at,
            slabs.size(slab), c, coefficients.sample(row % samples), args.activation,
            {g + partial, g_x + partial, sinks.slab(row, slab).nonzero});
    };
    const auto combine = [&](int64_t row) {
        const int64_t partial = row * slabs.count * c;
        const RowSums row_sums{g + partial, g_x + partial, slabs.count, slabs.pixels, c, params.groups};
        const float* stats = args.stats.f32() + row % samples * params.groups * 2;
        row_sums.factors(params.gamma.f32(), stats, factors + row * 3 * c);
        if (args.dgamma) row_sums.gamma_gradient(stats, args.dgamma.f32() + row * c);
        sinks.write(row, g + partial);
    };
    const auto second = [&](int64_t row, int64_t slab, int) {
        const int64_t inside = slabs.offset(slab), at = row * shape.per_sample() + inside;
        const float* f = factors + row * 3 * c;
        kernels().maps<T>().norm_backward(
            terms.at(at), args.x.as<T>() + row % samples * shape.per_sample() + inside, slabs.size(slab), c,
            coefficients.sample(row % samples), args.activation, {f, f + c, f + 2 * c},
            args.addend ? args.addend.as<T>() + at : nullptr, args.dx.as<T>() + at);
    };
    const auto sinks_only = [](int64_t, int64_t, int) {};
    if (args.dx) {
        two_sweeps(context_->threads, shape.n, slabs.count, first, combine, second);
    } else {
        two_sweeps(context_->threads, shape.n, slabs.count, first, combine, sinks_only);
    }
}

}  // namespace gs::cpu
