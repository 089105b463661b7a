// Batch normalisation with the statistics of the batch, forward and backward. All positions of a batch are
// one row.
#include "core/contract.h"
#include "core/training.h"
#include "cuda/cuda_backend.h"
#include "cuda/kernels/moments.cuh"

namespace gs::cuda {
namespace {

// A block a channel.
__global__ void __launch_bounds__(kBlock)
    batch_stats_kernel(SweepShape shape, const float* partial, float eps, double momentum, float* stats,
                       float* running_mean, float* running_var) {
    const int64_t c = blockIdx.x;
    const Moments all = merged_moments(shape, partial, 0, c, 1);
    if (threadIdx.x != 0) return;
    stats[c] = static_cast<float>(all.mean);
    stats[shape.channels + c] = static_cast<float>(1 / sqrt(all.m2 / all.count + static_cast<double>(eps)));
    if (running_mean == nullptr) return;
    const double mean = running_mean[c], var = running_var[c];
    running_mean[c] = static_cast<float>((1 - momentum) * mean + momentum * all.mean);
    running_var[c] = static_cast<float>((1 - momentum) * var + momentum * all.m2 / (all.count - 1));
}

// (x - mean) * gamma * rstd + beta of one thread's channels: forward and backward take it from here, so that
// masks agree.
template <int W>
struct BatchNormalisation {
    Values<W> mean, scale, beta;

    __device__ BatchNormalisation(const float* stats, const float* gamma, const float* betas,
                                  int64_t channels, int64_t channel)
        : mean(load<W>(stats + channel)), scale(load<W>(gamma + channel)), beta(load<W>(betas + channel)) {
        GS_UNROLL
        for (int i = 0; i < W; ++i) scale[i] *= stats[channels + channel + i];
    }
    __device__ float operator()(float x, int i) const { return scaled(x - mean[i], scale[i], beta[i]); }
};

struct BatchNormSweep {
    SweepShape shape;
    const float *x, *stats, *gamma, *beta, *addend;  // addend of y, or of dx; null: none
    Activation activation;
    float* y;
};

template <int W>
__global__ void __launch_bounds__(kBlock) batch_norm_kernel(BatchNormSweep args) {
    const SweepThread<W> self(args.shape);
    if (!self.active) return;
    const BatchNormalisation<W> norm(args.stats, args.gamma, args.beta, args.shape.channels, self.channel);
    for (int64_t p = self.begin; p < self.end; p += blockDim.y) {
        const int64_t at = self.at(args.shape, 0, p);
        Values<W> value = load<W>(args.x + at), other = Values<W>::filled(0);
        if (args.addend != nullptr) other = load<W>(args.addend + at);
        GS_UNROLL
        for (int i = 0; i < W; ++i) value[i] = activated(norm(value[i], i) + other[i], args.activation);
        store<W>(args.y + at, value);
    }
}

struct BatchNormBackwardSweep {
    BatchNormSweep norm;  // addend: of dx
    Terms<float> terms;
    const float* y;         // the forward pass's output, or null: the mask is computed again
    float* g;               // where the masked gradient goes; with y
    float *sum, *centered;  // [slabs][channels]
    const float* factors;   // [3][channels]
    float* dx;
};

// Both sweeps make the same masked gradient.
template <int W>
__device__ Values<W> masked_gradient(const BatchNormBackwardSweep& args, const BatchNormalisation<W>& norm,
                                     const Values<W>& x, int64_t at) {
    Values<W> g = args.terms.template sum<W>(at);
    if (args.norm.activation == Activation::None) return g;
    Values<W> y;
    if (args.y != nullptr) {
        y = load<W>(args.y + at);
    } else {
        GS_UNROLL
        for (int i = 0; i < W; ++i) y[i] = activated(norm(x[i], i), args.norm.activation);
    }
    GS_UNROLL
    for (int i = 0; i < W; ++i) g[i] = is_open(y[i], args.norm.activation) ? g[i] : 0.0f;
    return g;
}

template <int W>
__global__ void __launch_bounds__(kBlock) batch_norm_sums_kernel(BatchNormBackwardSweep args) {
    const SweepThread<W> self(args.norm.shape);
    Values<W> sum = Values<W>::filled(0), centered = sum;
    if (self.active) {
        const BatchNormalisation<W> norm(args.norm.stats, args.norm.gamma, args.norm.beta,
                                         args.norm.shape.channels, self.channel);
        for (int64_t p = self.begin; p < self.end; p += blockDim.y) {
            const int64_t at = self.at(args.norm.shape, 0, p);
            const Values<W> x = load<W>(args.norm.x + at), g = masked_gradient(args, norm, x, at);
            GS_UNROLL
            for (int i = 0; i < W; ++i) {
                sum[i] += g[i];
                centered[i] = fmaf(g[i], x[i] - norm.mean[i], centered[i]);
            }
            if (args.g != nullptr) store<W>(args.g + at, g);
        }
    }
    write_slab_sums(self, args.norm.shape, sum, args.sum);
    write_slab_sums(self, args.norm.shape, centered, args.centered);
}

// A block a channel: gradients of gamma and beta, and the factors [3][channels] of
//   dx = g * factor0 + (x - mean) * factor1 + factor2
__global__ void __launch_bounds__(kBlock)
    batch_norm_factors_kernel(SweepShape shape, const float* partial_sum, const float* partial_centered,
                              const float* stats, const float* gamma, float* factors, float* dgamma,
                              float* dbeta) {
    const int64_t c = blockIdx.x;
    double sum = 0, centered = 0;
    for (int64_t s = threadIdx.x; s < shape.slabs; s += blockDim.x) {
        sum += static_cast<double>(partial_sum[s * shape.channels + c]);
        centered += static_cast<double>(partial_centered[s * shape.channels + c]);
    }
    sum = sum_over_block(sum);
    centered = sum_over_block(centered);
    if (threadIdx.x != 0) return;
    const double m = static_cast<double>(shape.pixels), rstd = stats[shape.channels + c];
    const double scale = static_cast<double>(gamma[c]) * rstd, of_gamma = rstd * centered;
    factors[c] = static_cast<float>(scale);
    factors[shape.channels + c] = static_cast<float>(-scale * rstd * of_gamma / m);
    factors[2 * shape.channels + c] = static_cast<float>(-scale * sum / m);
    if (dgamma != nullptr) dgamma[c] = static_cast<float>(of_gamma);
    if (dbeta != nullptr) dbeta[c] = static_cast<float>(sum);
}

template <int W>
__global__ void __launch_bounds__(kBlock) batch_norm_backward_kernel(BatchNormBackwardSweep args) {
    const SweepThread<W> self(args.norm.shape);
    if (!self.active) return;
    const int64_t channels = args.norm.shape.channels;
    const BatchNormalisation<W> norm(args.norm.stats, args.norm.gamma, args.norm.beta, channels,
                                     self.channel);
    const float* factors = args.factors + self.channel;
    const Values<W> g_factor = load<W>(factors), x_factor = load<W>(factors + channels),
                    shift = load<W>(factors + 2 * channels);
    for (int64_t p = self.begin; p < self.end; p += blockDim.y) {
        const int64_t at = self.at(args.norm.shape, 0, p);
        const Values<W> x = load<W>(args.norm.x + at);
        const Values<W> g = args.g != nullptr ? load<W>(args.g + at) : masked_gradient(args, norm, x, at);
        Values<W> dx = Values<W>::filled(0);
        if (args.norm.addend != nullptr) dx = load<W>(args.norm.addend + at);
        GS_UNROLL
        for (int i = 0; i < W; ++i)
            dx[i] += fmaf(g[i], g_factor[i], fmaf(x[i] - norm.mean[i], x_factor[i], shift[i]));
        store<W>(args.dx + at, dx);
    }
}

Shape as_one_row(const Shape& shape) {
    return {1, shape.n * shape.h, shape.w, shape.c};
}

// f(Constant<W>{}, sweep); `views`: maps, statistics and coefficients that are read several channels at a
// time.
template <class F>
void over_batch(const Shape& shape, std::initializer_list<View> views, const F& f) {
    std::vector<View> present;
    for (const View& view : views)
        if (view) present.push_back(view);
    with_type_and_width(DType::F32, shape.c, present, [&](auto value, auto width) {
        if constexpr (std::is_same_v<decltype(value), float>)
            f(width, Sweep(as_one_row(shape), decltype(width)::kValue));
    });
}

}  // namespace

void CudaBackend::batch_norm_stats(const BatchNormStatistics& args) {
    contract::batch_norm_stats(args);
    const Shape& shape = args.x.shape;
    over_batch(shape, {args.x}, [&](auto width, const Sweep& sweep) {
        auto* partial = context_->scratch<float>(ScratchUse::Partial, 3 * sweep.slabs * shape.c);
        launch(*context_, "batch statistics", stats_kernel<float, decltype(width)::kValue>, sweep.grid(),
               sweep.block(), 0,
               StatsSweep<float>{SweepShape(sweep), args.x.f32(), nullptr, nullptr, partial});
        launch(*context_, "merge of batch statistics", batch_stats_kernel, grid_size(shape.c), kBlock, 0,
               SweepShape(sweep), partial, args.eps, static_cast<double>(args.momentum), args.stats.f32(),
               args.running_mean.f32(), args.running_var.f32());
    });
}

void CudaBackend::batch_norm(const BatchNormForward& args) {
    contract::batch_norm(args);
    over_batch(args.x.shape, {args.x, args.y, args.addend, args.stats, args.gamma, args.beta},
               [&](auto width, const Sweep& sweep) {
                   launch(*context_, "batch norm", batch_norm_kernel<decltype(width)::kValue>, sweep.grid(),
                          sweep.block(), 0,
                          BatchNormSweep{SweepShape(sweep), args.x.f32(), args.stats.f32(), args.gamma.f32(),
                                         args.beta.f32(), args.addend.f32(), args.activation, args.y.f32()});
               });
}

void CudaBackend::batch_norm_backward(const BatchNormBackward& args) {
    contract::batch_norm_backward(args);
    const Shape shape = args.x.shape;
    // Terms aligned less than the rest are found by their own check.
    bool aligned = true;
    for (const View& term : args.terms) aligned = aligned && is_aligned(term);
    const View& worst =
        aligned ? args.x : *std::find_if_not(args.terms.begin(), args.terms.end(), is_aligned);
    over_batch(shape,
               {worst, args.x, args.y, args.g, args.addend, args.dx, args.stats, args.gamma, args.beta},
               [&](auto width, const Sweep& sweep) {
                   constexpr int W = decltype(width)::kValue;
                   const int64_t each = sweep.slabs * shape.c;
                   auto* partial = context_->scratch<float>(ScratchUse::Partial, 2 * each);
                   auto* factors = context_->scratch<float>(ScratchUse::Coefficients, 3 * shape.c);
                   const BatchNormBackwardSweep kernel_args{
                       .norm = {SweepShape(sweep), args.x.f32(), args.stats.f32(), args.gamma.f32(),
                                args.beta.f32(), args.addend.f32(), args.activation, nullptr},
                       .terms = Terms<float>(args.terms),
                       .y = args.y.f32(),
                       .g = args.g.f32(),
                       .sum = partial,
                       .centered = partial + each,
                       .factors = factors,
                       .dx = args.dx.f32()};
                   launch(*context_, "sums of a batch norm's gradient", batch_norm_sums_kernel<W>,
                          sweep.grid(), sweep.block(), 0, kernel_args);
                   launch(*context_, "factors of a batch norm's gradient", batch_norm_factors_kernel,
                          grid_size(shape.c), kBlock, 0, SweepShape(sweep), partial, partial + each,
                          args.stats.f32(), args.gamma.f32(), factors, args.dgamma.f32(), args.dbeta.f32());
                   if (args.dx)
                       launch(*context_, "batch norm backward", batch_norm_backward_kernel<W>, sweep.grid(),
                              sweep.block(), 0, kernel_args);
               });
}

}  // namespace gs::cuda
