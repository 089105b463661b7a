// The join of gradients with their masks and reductions, in one sweep; and reductions of activations.
#include "core/contract.h"
#include "cuda/cuda_backend.h"
#include "cuda/kernels/sums.h"
#include "cuda/kernels/sweep.cuh"

namespace gs::cuda {
namespace {

template <class T>
struct BackwardSweep {
    SweepShape shape;
    Terms<T> terms;
    Activation activation;
    int64_t samples;
    const T *y, *addend, *x;
    const float *scale, *mean;
    T* dx;
    float *sum, *nonzero, *centered;  // [rows][slabs][channels], or null
};

// Reads every term, y and the addend once and writes dx once.
template <class T, int W>
__global__ void __launch_bounds__(kBlock) pointwise_backward_kernel(BackwardSweep<T> args) {
    const SweepThread<W> self(args.shape);
    const int64_t sample = self.row % args.samples;
    Values<W> sum = Values<W>::filled(0), nonzero = sum, centered = sum, mean = sum;
    Values<W> scale = Values<W>::filled(1);
    if (self.active && args.scale != nullptr) scale = load<W>(args.scale + self.channel);
    if (self.active && args.mean != nullptr) mean = load<W>(args.mean + self.channel);
    for (int64_t p = self.begin; self.active && p < self.end; p += blockDim.y) {
        const int64_t at = self.at(args.shape, self.row, p), saved = self.at(args.shape, sample, p);
        Values<W> g = args.terms.template sum<W>(at);
        if (args.activation != Activation::None) {
            const Values<W> y = load<W>(args.y + saved);
            GS_UNROLL
            for (int i = 0; i < W; ++i) g[i] = is_open(y[i], args.activation) ? g[i] : 0.0f;
        }
        GS_UNROLL
        for (int i = 0; i < W; ++i) {
            sum[i] += g[i];
            nonzero[i] += g[i] != 0.0f ? 1.0f : 0.0f;
        }
        if (args.centered != nullptr) {
            const Values<W> x = load<W>(args.x + saved);
            GS_UNROLL
            for (int i = 0; i < W; ++i) centered[i] = fmaf(g[i], x[i] - mean[i], centered[i]);
        }
        if (args.dx == nullptr) continue;
        Values<W> dx = args.addend != nullptr ? load<W>(args.addend + at) : Values<W>::filled(0);
        GS_UNROLL
        for (int i = 0; i < W; ++i)
            dx[i] = args.addend != nullptr ? fmaf(scale[i], g[i], dx[i]) : scale[i] * g[i];
        store<W>(args.dx + at, dx);
    }
    write_slab_sums(self, args.shape, sum, args.sum);
    write_slab_sums(self, args.shape, nonzero, args.nonzero);
    write_slab_sums(self, args.shape, centered, args.centered);
}

}  // namespace

void CudaBackend::pointwise_backward(const PointwiseBackward& args) {
    contract::pointwise_backward(args);
    const Shape shape = args.terms.front().shape;
    const DType type = args.terms.front().dtype;
    if (shape.n == 0) return;
    int64_t samples = shape.n;
    if (args.activation != Activation::None) samples = args.y.shape.n;
    if (args.gamma.out) samples = args.gamma.x.shape.n;
    std::vector<View> views(args.terms.begin(), args.terms.end());
    for (const View& view : {args.y, args.addend, args.dx, args.gamma.x})
        if (view) views.push_back(view);
    with_type_and_width(type, shape.c, views, [&](auto value, auto width) {
        using T = decltype(value);
        constexpr int W = decltype(width)::kValue;
        const Sweep sweep(shape, W);
        const SinkSums sinks(*context_, args.sinks, sweep);
        float* centered = args.gamma.out
                              ? context_->scratch<float>(ScratchUse::Partial, shape.n * sweep.slabs * shape.c)
                              : nullptr;
        const BackwardSweep<T> kernel_args{.shape = SweepShape(sweep),
                                           .terms = Terms<T>(args.terms),
                                           .activation = args.activation,
                                           .samples = samples,
                                           .y = static_cast<const T*>(args.y.data),
                                           .addend = static_cast<const T*>(args.addend.data),
                                           .x = static_cast<const T*>(args.gamma.x.data),
                                           .scale = args.scale.f32(),
                                           .mean = args.gamma.out ? args.gamma.mean.f32() : nullptr,
                                           .dx = static_cast<T*>(args.dx.data),
                                           .sum = sinks.sum(),
                                           .nonzero = sinks.nonzero(),
                                           .centered = centered};
        launch(*context_, "pointwise backward", pointwise_backward_kernel<T, W>, sweep.grid(), sweep.block(),
               0, kernel_args);
        sinks.write();
        if (args.gamma.out)
            add_slabs(*context_, "gradient of a folded norm's gamma", centered, sweep, 1.0,
                      args.gamma.rstd.f32(), args.gamma.out.f32());
    });
}

void CudaBackend::reduce(View x, std::span<const TapSink> sinks) {
    const View terms[] = {x};
    pointwise_backward({.terms = terms, .sinks = sinks});
}

}  // namespace gs::cuda
