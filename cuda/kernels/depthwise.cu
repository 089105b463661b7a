#include "cuda/kernels/depthwise.h"
#include "cuda/kernels/sums.h"
#include "cuda/kernels/sweep.cuh"

namespace gs::cuda {
namespace {

// In 32 bits: divisions of 64 take many registers.
struct Geometry {
    int h, w, out_h, out_w, kernel_h, kernel_w, stride, pad;

    Geometry(const ConvSpec& spec, const Shape& x, const Shape& y)
        : h(static_cast<int>(x.h)),
          w(static_cast<int>(x.w)),
          out_h(static_cast<int>(y.h)),
          out_w(static_cast<int>(y.w)),
          kernel_h(static_cast<int>(spec.kernel_h)),
          kernel_w(static_cast<int>(spec.kernel_w)),
          stride(static_cast<int>(spec.stride)),
          pad(static_cast<int>(spec.pad)) {
        GS_REQUIRE(x.pixels() < (int64_t{1} << 31) && y.pixels() < (int64_t{1} << 31));
    }
};

// The sweep is over y.
template <class TX, class T, int W>
__global__ void __launch_bounds__(kBlock)
    forward_kernel(SweepShape shape, Geometry at, const TX* x, const float* weights, const float* bias,
                   Activation activation, T* y) {
    const SweepThread<W> self(shape);
    for (int64_t p = self.begin; self.active && p < self.end; p += blockDim.y) {
        Values<W> sum = bias != nullptr ? load<W>(bias + self.channel) : Values<W>::filled(0);
        const int oh = static_cast<int>(p) / at.out_w, ow = static_cast<int>(p) % at.out_w;
        GS_ROLLED
        for (int kh = 0; kh < at.kernel_h; ++kh) {
            const int ih = oh * at.stride + kh - at.pad;
            if (ih < 0 || ih >= at.h) continue;
            GS_ROLLED
            for (int kw = 0; kw < at.kernel_w; ++kw) {
                const int iw = ow * at.stride + kw - at.pad;
                if (iw < 0 || iw >= at.w) continue;
                const Values<W> value = load<W>(x + ((self.row * at.h + ih) * at.w + iw) * shape.channels +
                                                self.channel),
                                weight = load<W>(weights + (kh * at.kernel_w + kw) * shape.channels +
                                                 self.channel);
                GS_UNROLL
                for (int i = 0; i < W; ++i) sum[i] = fmaf(value[i], weight[i], sum[i]);
            }
        }
        GS_UNROLL
        for (int i = 0; i < W; ++i) sum[i] = activated(sum[i], activation);
        store<W>(y + self.at(shape, self.row, p), sum);
    }
}

// The sweep is over dx.
template <class TX, class T, int W>
__global__ void __launch_bounds__(kBlock)
    backward_data_kernel(SweepShape shape, Geometry at, const T* dy, const float* weights, TX* dx) {
    const SweepThread<W> self(shape);
    for (int64_t p = self.begin; self.active && p < self.end; p += blockDim.y) {
        const int h = static_cast<int>(p) / at.w + at.pad, w = static_cast<int>(p) % at.w + at.pad;
        Values<W> sum = Values<W>::filled(0);
        GS_ROLLED
        for (int kh = h % at.stride; kh < at.kernel_h && kh <= h; kh += at.stride) {
            const int oh = (h - kh) / at.stride;
            if (oh >= at.out_h) continue;
            GS_ROLLED
            for (int kw = w % at.stride; kw < at.kernel_w && kw <= w; kw += at.stride) {
                const int ow = (w - kw) / at.stride;
                if (ow >= at.out_w) continue;
                const Values<W> g = load<W>(dy +
                                            ((self.row * at.out_h + oh) * at.out_w + ow) * shape.channels +
                                            self.channel),
                                weight = load<W>(weights + (kh * at.kernel_w + kw) * shape.channels +
                                                 self.channel);
                GS_UNROLL
                for (int i = 0; i < W; ++i) sum[i] = fmaf(g[i], weight[i], sum[i]);
            }
        }
        store<W>(dx + self.at(shape, self.row, p), sum);
    }
}

// The sweep is over dy's pixels, its rows those of dy times the taps.
template <class TX, class T, int W>
__global__ void __launch_bounds__(kBlock)
    weight_gradients_kernel(SweepShape shape, Geometry at, int64_t samples, const TX* x, const T* dy,
                            float* partial) {
    const SweepThread<W> self(shape);
    const int64_t taps = at.kernel_h * at.kernel_w, row = self.row / taps;
    const int tap = static_cast<int>(self.row % taps);
    const int dh = tap / at.kernel_w - at.pad, dw = tap % at.kernel_w - at.pad;
    Values<W> sum = Values<W>::filled(0);
    for (int64_t p = self.begin; self.active && p < self.end; p += blockDim.y) {
        const int ih = static_cast<int>(p) / at.out_w * at.stride + dh,
                  iw = static_cast<int>(p) % at.out_w * at.stride + dw;
        if (ih < 0 || ih >= at.h || iw < 0 || iw >= at.w) continue;
        const Values<W> g = load<W>(dy + self.at(shape, row, p));
        const TX* from = x + ((row % samples * at.h + ih) * at.w + iw) * shape.channels + self.channel;
        GS_UNROLL
        for (int i = 0; i < W; ++i) sum[i] = fmaf(g[i], static_cast<float>(from[i]), sum[i]);
    }
    write_slab_sums(self, shape, sum, partial);
}

// f(TX{}, T{}, Constant<W>{}): x (or dx) is of y's type, or an image in float32.
template <class F>
void with_types(const View& x, const View& y, int64_t channels, const F& f) {
    const View views[] = {x, y};
    with_type_and_width(y.dtype, channels, views, [&](auto value, auto width) {
        if (x.dtype == y.dtype)
            f(value, value, width);
        else
            f(float{}, value, width);
    });
}

}  // namespace

void depthwise_forward(Context& context, const ConvSpec& spec, View x, const float* weights,
                       const float* bias, Activation activation, View y) {
    if (y.shape.n == 0) return;
    with_types(x, y, y.shape.c, [&](auto in, auto value, auto width) {
        using TX = decltype(in);
        using T = decltype(value);
        constexpr int W = decltype(width)::kValue;
        const Sweep sweep(y.shape, W);
        launch(context, "depthwise convolution", forward_kernel<TX, T, W>, sweep.grid(), sweep.block(), 0,
               SweepShape(sweep), Geometry(spec, x.shape, y.shape), static_cast<const TX*>(x.data), weights,
               bias, activation, static_cast<T*>(y.data));
    });
}

void depthwise_backward_data(Context& context, const ConvSpec& spec, View dy, const float* weights, View dx) {
    if (dx.shape.n == 0) return;
    with_types(dx, dy, dx.shape.c, [&](auto in, auto value, auto width) {
        using TX = decltype(in);
        using T = decltype(value);
        constexpr int W = decltype(width)::kValue;
        const Sweep sweep(dx.shape, W);
        launch(context, "depthwise data gradient", backward_data_kernel<TX, T, W>, sweep.grid(),
               sweep.block(), 0, SweepShape(sweep), Geometry(spec, dx.shape, dy.shape),
               static_cast<const T*>(dy.data), weights, static_cast<TX*>(dx.data));
    });
}

float* depthwise_weight_gradients(Context& context, const ConvSpec& spec, View x, View dy) {
    const Shape shape = dy.shape.with_n(dy.shape.n * spec.kernel_h * spec.kernel_w);
    float* result = context.scratch<float>(ScratchUse::Gradient, shape.n * shape.c);
    if (shape.n == 0) return result;
    const View views[] = {dy};
    with_type_and_width(dy.dtype, shape.c, views, [&](auto value, auto width) {
        using T = decltype(value);
        constexpr int W = decltype(width)::kValue;
        const Sweep sweep(shape, W);
        auto* partial = context.scratch<float>(ScratchUse::Coefficients, shape.n * sweep.slabs * shape.c);
        with_type(x.dtype, [&](auto input) {
            using TX = decltype(input);
            launch(context, "depthwise weight gradients", weight_gradients_kernel<TX, T, W>, sweep.grid(),
                   sweep.block(), 0, SweepShape(sweep), Geometry(spec, x.shape, dy.shape), x.shape.n,
                   static_cast<const TX*>(x.data), static_cast<const T*>(dy.data), partial);
        });
        add_slabs(context, "depthwise weight gradients", partial, sweep, 1.0, nullptr, result);
    });
    return result;
}

}  // namespace gs::cuda
