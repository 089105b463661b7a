// Group normalisation, forward and backward. Statistics from (shift, sum, sum of squares) of each slab and
// channel, merged in float64; the second sweep of each pass recomputes what the first one masked, bit for
// bit.
#include "core/contract.h"
#include "cuda/cuda_backend.h"
#include "cuda/kernels/moments.cuh"
#include "cuda/kernels/sums.h"

namespace gs::cuda {
namespace {

// ---- Statistics ----------------------------------------------------------------------------------------

// A block for each group of each row.
__global__ void __launch_bounds__(kBlock)
    merge_stats_kernel(SweepShape shape, const float* partial, int64_t groups, float eps, float* stats) {
    const int64_t group = blockIdx.x % static_cast<unsigned>(groups),
                  row = blockIdx.x / static_cast<unsigned>(groups), width = shape.channels / groups;
    const Moments all = merged_moments(shape, partial, row, group * width, width);
    if (threadIdx.x != 0) return;
    float* out = stats + (row * groups + group) * 2;
    out[0] = static_cast<float>(all.mean);
    out[1] = static_cast<float>(1.0 / sqrt(all.m2 / all.count + static_cast<double>(eps)));
}

void sweep_stats(Context& context, const View& a, const View& b, const View& y, const GroupNormParams& params,
                 const View& stats) {
    const Shape& shape = a.shape;
    if (shape.n == 0) return;
    std::vector<View> views{a};
    for (const View& view : {b, y})
        if (view) views.push_back(view);
    with_type_and_width(a.dtype, shape.c, views, [&](auto value, auto width) {
        using T = decltype(value);
        constexpr int W = decltype(width)::kValue;
        const Sweep sweep(shape, W);
        auto* partial = context.scratch<float>(ScratchUse::Partial, 3 * shape.n * sweep.slabs * shape.c);
        launch(context, "group statistics", stats_kernel<T, W>, sweep.grid(), sweep.block(), 0,
               StatsSweep<T>{SweepShape(sweep), static_cast<const T*>(a.data), static_cast<const T*>(b.data),
                             static_cast<T*>(y.data), partial});
        launch(context, "merge of group statistics", merge_stats_kernel, grid_size(params.groups * shape.n),
               kBlock, 0, SweepShape(sweep), partial, params.groups, params.eps, stats.f32());
    });
}

// ---- Forward -------------------------------------------------------------------------------------------

// (x - mean) * scale + beta of one thread's channels: forward and backward take it from here, so that masks
// agree.
template <int W>
struct Normalisation {
    Values<W> mean, scale, beta;

    __device__ Normalisation(const float* stats, const float* gamma, const float* betas, int64_t sample,
                             int64_t groups, int64_t channels, int64_t channel) {
        // In 32 bits: divisions of 64 take many registers.
        const unsigned width = static_cast<unsigned>(channels) / static_cast<unsigned>(groups);
        GS_UNROLL
        for (int i = 0; i < W; ++i) {
            const unsigned group = static_cast<unsigned>(channel + i) / width;
            const float* of_group = stats + (sample * groups + group) * 2;
            mean[i] = of_group[0];
            scale[i] = gamma[channel + i] * of_group[1];
            beta[i] = betas[channel + i];
        }
    }
    __device__ float operator()(float x, int i) const { return scaled(x - mean[i], scale[i], beta[i]); }
};

template <class T>
struct NormSweep {
    SweepShape shape;
    const T* x;
    const float *stats, *gamma, *beta;
    int64_t groups;
    Activation activation;
    T* y;
};

template <class T, int W>
__global__ void __launch_bounds__(kBlock) normalise_kernel(NormSweep<T> args) {
    const SweepThread<W> self(args.shape);
    if (!self.active) return;
    const Normalisation<W> norm(args.stats, args.gamma, args.beta, self.row, args.groups, args.shape.channels,
                                self.channel);
    for (int64_t p = self.begin; p < self.end; p += blockDim.y) {
        const int64_t at = self.at(args.shape, self.row, p);
        Values<W> value = load<W>(args.x + at);
        GS_UNROLL
        for (int i = 0; i < W; ++i) value[i] = activated(norm(value[i], i), args.activation);
        store<W>(args.y + at, value);
    }
}

// ---- Backward ------------------------------------------------------------------------------------------

template <class T>
struct NormBackwardSweep {
    SweepShape shape;
    Terms<T> terms;
    const T *x, *addend;
    const float *stats, *gamma, *beta;
    int64_t samples, groups;
    Activation activation;
    const float* factors;      // [rows][3][channels], for the second sweep
    T* dx;                     // of the second sweep
    float *g, *g_x, *nonzero;  // [rows][slabs][channels], of the first; nonzero null: nobody asks
};

// act' * sum(terms) and x - mean at one place.
template <class T, int W>
struct MaskedGradient {
    Values<W> g, x;

    __device__ MaskedGradient(const NormBackwardSweep<T>& args, const Normalisation<W>& norm, int64_t at,
                              int64_t saved)
        : g(args.terms.template sum<W>(at)), x(load<W>(args.x + saved)) {
        GS_UNROLL
        for (int i = 0; i < W; ++i) {
            if (args.activation != Activation::None)
                g[i] = is_open(as_stored<T>(norm(x[i], i)), args.activation) ? g[i] : 0.0f;
            x[i] -= norm.mean[i];
        }
    }
};

// Two blocks fit: without the second number 12.0 takes 64 registers, and spills one.
template <class T, int W>
__global__ void __launch_bounds__(kBlock, 2) norm_backward_sums_kernel(NormBackwardSweep<T> args) {
    const SweepThread<W> self(args.shape);
    const int64_t sample = static_cast<unsigned>(self.row) % static_cast<unsigned>(args.samples);
    Values<W> g = Values<W>::filled(0), g_x = g, nonzero = g;
    if (self.active) {
        const Normalisation<W> norm(args.stats, args.gamma, args.beta, sample, args.groups,
                                    args.shape.channels, self.channel);
        for (int64_t p = self.begin; p < self.end; p += blockDim.y) {
            const MaskedGradient<T, W> here(args, norm, self.at(args.shape, self.row, p),
                                            self.at(args.shape, sample, p));
            GS_UNROLL
            for (int i = 0; i < W; ++i) {
                g[i] += here.g[i];
                g_x[i] = fmaf(here.g[i], here.x[i], g_x[i]);
                nonzero[i] += here.g[i] != 0.0f ? 1.0f : 0.0f;
            }
        }
    }
    write_slab_sums(self, args.shape, g, args.g);
    write_slab_sums(self, args.shape, g_x, args.g_x);
    write_slab_sums(self, args.shape, nonzero, args.nonzero);
}

// The sum of a warp's values, for every lane of it.
__device__ double sum_over_warp(double value) {
    GS_UNROLL
    for (int mask = 16; mask > 0; mask /= 2) value += __shfl_xor_sync(0xffffffffu, value, mask);
    return value;
}

// A block for each group of each row, a warp for each channel in turn. Writes factors [rows][3][channels] of
//   dx = g * factor0 + (x - mean) * factor1 + factor2
// and dgamma [rows][channels], where asked for.
__global__ void __launch_bounds__(kBlock)
    norm_factors_kernel(SweepShape shape, const float* g, const float* g_x, const float* stats,
                        const float* gamma, int64_t samples, int64_t groups, float* factors, float* dgamma) {
    GS_DYNAMIC_SHARED(double, totals);  // [2][width]: gamma * sum g, gamma * rstd * sum g x
    const int64_t group = blockIdx.x % static_cast<unsigned>(groups),
                  row = blockIdx.x / static_cast<unsigned>(groups), width = shape.channels / groups;
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    const double rstd = stats[(row % samples * groups + group) * 2 + 1];
    for (int64_t i = warp; i < width; i += warps) {
        const int64_t c = group * width + i;
        double sum = 0, dot = 0;
        for (int64_t s = lane; s < shape.slabs; s += 32) {
            const int64_t at = (row * shape.slabs + s) * shape.channels + c;
            sum += static_cast<double>(g[at]);
            dot += static_cast<double>(g_x[at]);
        }
        sum = sum_over_warp(sum);
        dot = sum_over_warp(dot);
        if (lane == 0) {
            totals[i] = static_cast<double>(gamma[c]) * sum;
            totals[width + i] = static_cast<double>(gamma[c]) * rstd * dot;
            if (dgamma != nullptr) dgamma[row * shape.channels + c] = static_cast<float>(rstd * dot);
        }
    }
    __syncthreads();
    if (factors == nullptr) return;
    double mean_g = 0, mean_g_xhat = 0;
    for (int64_t i = 0; i < width; ++i) {
        mean_g += totals[i];
        mean_g_xhat += totals[width + i];
    }
    const double count = static_cast<double>(shape.pixels * width);
    float* out = factors + row * 3 * shape.channels + group * width;
    for (int64_t i = threadIdx.x; i < width; i += blockDim.x) {
        out[i] = static_cast<float>(rstd * static_cast<double>(gamma[group * width + i]));
        out[shape.channels + i] = static_cast<float>(-rstd * rstd * mean_g_xhat / count);
        out[2 * shape.channels + i] = static_cast<float>(-rstd * mean_g / count);
    }
}

template <class T, int W>
__global__ void __launch_bounds__(kBlock) norm_backward_kernel(NormBackwardSweep<T> args) {
    const SweepThread<W> self(args.shape);
    if (!self.active) return;
    const int64_t sample = static_cast<unsigned>(self.row) % static_cast<unsigned>(args.samples);
    const Normalisation<W> norm(args.stats, args.gamma, args.beta, sample, args.groups, args.shape.channels,
                                self.channel);
    const float* factors = args.factors + self.row * 3 * args.shape.channels + self.channel;
    const Values<W> g_factor = load<W>(factors), x_factor = load<W>(factors + args.shape.channels),
                    shift = load<W>(factors + 2 * args.shape.channels);
    for (int64_t p = self.begin; p < self.end; p += blockDim.y) {
        const int64_t at = self.at(args.shape, self.row, p);
        const MaskedGradient<T, W> here(args, norm, at, self.at(args.shape, sample, p));
        Values<W> dx = args.addend != nullptr ? load<W>(args.addend + at) : Values<W>::filled(0);
        GS_UNROLL
        for (int i = 0; i < W; ++i)
            dx[i] += fmaf(here.g[i], g_factor[i], fmaf(here.x[i], x_factor[i], shift[i]));
        store<W>(args.dx + at, dx);
    }
}

}  // namespace

void CudaBackend::group_norm_stats(View x, const GroupNormParams& params, View stats) {
    contract::group_norm_stats(x, params, stats);
    sweep_stats(*context_, x, {}, {}, params, stats);
}

void CudaBackend::add_with_stats(View a, View b, View y, const GroupNormParams& params, View stats) {
    contract::add_with_stats(a, b, y, params, stats);
    sweep_stats(*context_, a, b, y, params, stats);
}

void CudaBackend::group_norm(View x, View stats, const GroupNormParams& params, Activation activation,
                             View y) {
    contract::group_norm(x, stats, params, y);
    if (x.shape.n == 0) return;
    const View views[] = {x, y};
    with_type_and_width(x.dtype, x.shape.c, views, [&](auto value, auto width) {
        using T = decltype(value);
        constexpr int W = decltype(width)::kValue;
        const Sweep sweep(x.shape, W);
        launch(*context_, "group norm", normalise_kernel<T, W>, sweep.grid(), sweep.block(), 0,
               NormSweep<T>{SweepShape(sweep), static_cast<const T*>(x.data), stats.f32(), params.gamma.f32(),
                            params.beta.f32(), params.groups, activation, static_cast<T*>(y.data)});
    });
}

void CudaBackend::group_norm_backward(const GroupNormBackward& args, const GroupNormParams& params) {
    contract::group_norm_backward(args, params);
    const Shape shape = args.terms.front().shape;
    const int64_t samples = args.x.shape.n, c = shape.c;
    if (shape.n == 0) return;
    std::vector<View> views(args.terms.begin(), args.terms.end());
    views.push_back(args.x);
    for (const View& view : {args.addend, args.dx})
        if (view) views.push_back(view);
    with_type_and_width(args.x.dtype, c, views, [&](auto value, auto width) {
        using T = decltype(value);
        constexpr int W = decltype(width)::kValue;
        const Sweep sweep(shape, W);
        const SinkSums sinks(*context_, args.sinks, sweep);
        const int64_t each = shape.n * sweep.slabs * c;
        auto* g = context_->scratch<float>(ScratchUse::Partial, 2 * each);
        auto* factors = context_->scratch<float>(ScratchUse::Coefficients, shape.n * 3 * c);
        const NormBackwardSweep<T> kernel_args{.shape = SweepShape(sweep),
                                               .terms = Terms<T>(args.terms),
                                               .x = static_cast<const T*>(args.x.data),
                                               .addend = static_cast<const T*>(args.addend.data),
                                               .stats = args.stats.f32(),
                                               .gamma = params.gamma.f32(),
                                               .beta = params.beta.f32(),
                                               .samples = samples,
                                               .groups = params.groups,
                                               .activation = args.activation,
                                               .factors = factors,
                                               .dx = static_cast<T*>(args.dx.data),
                                               .g = g,
                                               .g_x = g + each,
                                               .nonzero = sinks.nonzero()};
        launch(*context_, "sums of a group norm's gradient", norm_backward_sums_kernel<T, W>, sweep.grid(),
               sweep.block(), 0, kernel_args);
        launch(*context_, "factors of a group norm's gradient", norm_factors_kernel,
               grid_size(params.groups * shape.n), kBlock,
               2 * static_cast<size_t>(c / params.groups) * sizeof(double), SweepShape(sweep), g, g + each,
               args.stats.f32(), params.gamma.f32(), samples, params.groups, args.dx ? factors : nullptr,
               args.dgamma.f32());
        sinks.write(g);
        if (args.dx)
            launch(*context_, "group norm backward", norm_backward_kernel<T, W>, sweep.grid(), sweep.block(),
                   0, kernel_args);
    });
}

}  // namespace gs::cuda
