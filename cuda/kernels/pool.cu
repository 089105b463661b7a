// Pooling, and the option A shortcut. One output value (or several neighbouring channels) a thread; gradients
// gather.
#include "core/contract.h"
#include "cuda/cuda_backend.h"
#include "cuda/kernels/sums.h"
#include "cuda/kernels/sweep.cuh"

namespace gs::cuda {
namespace {

constexpr uint8_t kPaddingWon = 255;

struct Windows {
    int64_t h, w, oh, ow, kernel, stride, pad;
    bool zero_padding;

    Windows(const Shape& x, const Shape& y, const PoolSpec& spec)
        : h(x.h),
          w(x.w),
          oh(y.h),
          ow(y.w),
          kernel(spec.kernel),
          stride(spec.stride),
          pad(spec.pad),
          zero_padding(spec.zero_padding) {}
};

// Positions are visited in row order and a later one must be larger to win: ties go to the first. NaN wins
// and stays, as in PyTorch.
template <class T, int W>
__global__ void __launch_bounds__(kBlock)
    max_pool_kernel(SweepShape shape, Windows window, const T* x, T* y, uint8_t* winner) {
    const SweepThread<W> self(shape);
    for (int64_t p = self.begin; self.active && p < self.end; p += blockDim.y) {
        const int64_t h0 = p / window.ow * window.stride - window.pad,
                      w0 = p % window.ow * window.stride - window.pad;
        Values<W> best = Values<W>::filled(0);
        uint8_t best_at[W] = {};
        bool first = true;
        for (int64_t kh = 0; kh < window.kernel; ++kh) {
            for (int64_t kw = 0; kw < window.kernel; ++kw) {
                const int64_t ih = h0 + kh, iw = w0 + kw;
                const bool real = ih >= 0 && ih < window.h && iw >= 0 && iw < window.w;
                if (!real && !window.zero_padding) continue;
                Values<W> v = Values<W>::filled(0);
                if (real)
                    v = load<W>(x + ((self.row * window.h + ih) * window.w + iw) * shape.channels +
                                self.channel);
                const uint8_t at = real ? static_cast<uint8_t>(kh * window.kernel + kw) : kPaddingWon;
                GS_UNROLL
                for (int i = 0; i < W; ++i) {
                    const bool wins = first || v[i] > best[i] || v[i] != v[i];
                    best[i] = wins ? v[i] : best[i];
                    best_at[i] = wins ? at : best_at[i];
                }
                first = false;
            }
        }
        const int64_t at = self.at(shape, self.row, p);
        store<W>(y + at, best);
        if (winner != nullptr) {
            GS_UNROLL
            for (int i = 0; i < W; ++i) winner[at + i] = best_at[i];
        }
    }
}

// The sweep is over dx.
template <class T, int W>
__global__ void __launch_bounds__(kBlock)
    max_pool_backward_kernel(SweepShape shape, Windows window, int64_t samples, const T* dy,
                             const uint8_t* winner, T* dx) {
    const SweepThread<W> self(shape);
    const int64_t sample = static_cast<unsigned>(self.row) % static_cast<unsigned>(samples);
    // Sides in 32 bits: divisions of 64 take many registers.
    const int stride = static_cast<int>(window.stride), kernel = static_cast<int>(window.kernel);
    for (int64_t p = self.begin; self.active && p < self.end; p += blockDim.y) {
        const int h = static_cast<int>(p / window.w + window.pad),
                  w = static_cast<int>(p % window.w + window.pad);
        Values<W> sum = Values<W>::filled(0);
        for (int kh = h % stride; kh < kernel && kh <= h; kh += stride) {
            const int oh = (h - kh) / stride;
            if (oh >= window.oh) continue;
            for (int kw = w % stride; kw < kernel && kw <= w; kw += stride) {
                const int ow = (w - kw) / stride;
                if (ow >= window.ow) continue;
                const int64_t pixel = oh * window.ow + ow, pixels = window.oh * window.ow;
                const Values<W> g = load<W>(dy + (self.row * pixels + pixel) * shape.channels + self.channel);
                const uint8_t* won = winner + (sample * pixels + pixel) * shape.channels + self.channel;
                GS_UNROLL
                for (int i = 0; i < W; ++i)
                    sum[i] += won[i] == static_cast<uint8_t>(kh * kernel + kw) ? g[i] : 0.0f;
            }
        }
        store<W>(dx + self.at(shape, self.row, p), sum);
    }
}

// The sweep is over the window's pixels; x is `map_h` x `map_w`.
template <class T, int W>
__global__ void __launch_bounds__(kBlock)
    average_pool_kernel(SweepShape shape, int64_t window_w, int64_t map_h, int64_t map_w, const T* x,
                        float* partial) {
    const SweepThread<W> self(shape);
    Values<W> sum = Values<W>::filled(0);
    for (int64_t p = self.begin; self.active && p < self.end; p += blockDim.y) {
        const int64_t h = p / window_w, w = p % window_w;
        const Values<W> value =
            load<W>(x + ((self.row * map_h + h) * map_w + w) * shape.channels + self.channel);
        GS_UNROLL
        for (int i = 0; i < W; ++i) sum[i] += value[i];
    }
    write_slab_sums(self, shape, sum, partial);
}

template <class T, int W>
__global__ void __launch_bounds__(kBlock)
    average_pool_backward_kernel(SweepShape shape, int64_t map_w, int64_t window_h, int64_t window_w,
                                 const float* dy, T* dx) {
    const SweepThread<W> self(shape);
    if (!self.active) return;
    const float count = static_cast<float>(window_h * window_w);
    Values<W> share;
    GS_UNROLL
    for (int i = 0; i < W; ++i) share[i] = dy[self.row * shape.channels + self.channel + i] / count;
    for (int64_t p = self.begin; p < self.end; p += blockDim.y) {
        const bool inside = p / map_w < window_h && p % map_w < window_w;
        store<W>(dx + self.at(shape, self.row, p), inside ? share : Values<W>::filled(0));
    }
}

// y[h, w, c + shift] belongs to x[stride * h, stride * w, c].
struct Subsample {
    int64_t stride, shift, x_h, x_w, x_c, y_h, y_w, y_c;

    Subsample(const Shape& x, int64_t by, const Shape& y)
        : stride(by), shift((y.c - x.c) / 2), x_h(x.h), x_w(x.w), x_c(x.c), y_h(y.h), y_w(y.w), y_c(y.c) {}
};

template <class T>
__global__ void __launch_bounds__(kBlock)
    pad_subsample_kernel(int64_t values, Subsample s, const T* x, T* y) {
    const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= values) return;
    const int64_t c = i % s.y_c - s.shift, w = i / s.y_c % s.y_w, h = i / s.y_c / s.y_w % s.y_h,
                  n = i / s.y_c / s.y_w / s.y_h;
    const bool real = c >= 0 && c < s.x_c;
    y[i] = real ? x[((n * s.x_h + h * s.stride) * s.x_w + w * s.stride) * s.x_c + c] : T{};
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    pad_subsample_backward_kernel(int64_t values, Subsample s, const T* dy, T* dx) {
    const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= values) return;
    const int64_t c = i % s.x_c, w = i / s.x_c % s.x_w, h = i / s.x_c / s.x_w % s.x_h,
                  n = i / s.x_c / s.x_w / s.x_h;
    const bool kept = h % s.stride == 0 && w % s.stride == 0;
    dx[i] = kept ? dy[((n * s.y_h + h / s.stride) * s.y_w + w / s.stride) * s.y_c + c + s.shift] : T{};
}

// f(T, W, sweep) over the pixels of `map`.
template <class F>
void over_map(const Shape& map, DType type, std::span<const View> views, const F& f) {
    if (map.n == 0) return;
    with_type_and_width(type, map.c, views, [&](auto value, auto width) {
        f(value, width, Sweep(map, decltype(width)::kValue));
    });
}

}  // namespace

void CudaBackend::max_pool(View x, const PoolSpec& spec, View y, View winner) {
    contract::max_pool(x, spec, y, winner);
    const View views[] = {x, y};
    over_map(y.shape, y.dtype, views, [&](auto value, auto width, const Sweep& sweep) {
        using T = decltype(value);
        launch(*context_, "max pool", max_pool_kernel<T, decltype(width)::kValue>, sweep.grid(),
               sweep.block(), 0, SweepShape(sweep), Windows(x.shape, y.shape, spec),
               static_cast<const T*>(x.data), static_cast<T*>(y.data), winner ? winner.u8() : nullptr);
    });
}

void CudaBackend::max_pool_backward(View dy, View winner, const PoolSpec& spec, View dx) {
    contract::max_pool_backward(dy, winner, spec, dx);
    const int64_t samples = winner.shape.n;
    const View views[] = {dx, dy};
    over_map(dx.shape, dx.dtype, views, [&](auto value, auto width, const Sweep& sweep) {
        using T = decltype(value);
        launch(*context_, "max pool backward", max_pool_backward_kernel<T, decltype(width)::kValue>,
               sweep.grid(), sweep.block(), 0, SweepShape(sweep), Windows(dx.shape, dy.shape, spec), samples,
               static_cast<const T*>(dy.data), winner.u8(), static_cast<T*>(dx.data));
    });
}

void CudaBackend::average_pool(View x, int64_t window_h, int64_t window_w, View y) {
    contract::average_pool(x, window_h, window_w, y);
    const View views[] = {x};
    over_map({x.shape.n, window_h, window_w, x.shape.c}, x.dtype, views,
             [&](auto value, auto width, const Sweep& sweep) {
                 using T = decltype(value);
                 auto* partial =
                     context_->scratch<float>(ScratchUse::Partial, sweep.rows * sweep.slabs * sweep.channels);
                 launch(*context_, "average pool", average_pool_kernel<T, decltype(width)::kValue>,
                        sweep.grid(), sweep.block(), 0, SweepShape(sweep), window_w, x.shape.h, x.shape.w,
                        static_cast<const T*>(x.data), partial);
                 add_slabs(*context_, "average pool", partial, sweep,
                           1.0 / static_cast<double>(window_h * window_w), nullptr, y.f32());
             });
}

void CudaBackend::average_pool_backward(View dy, int64_t window_h, int64_t window_w, View dx) {
    contract::average_pool_backward(dy, window_h, window_w, dx);
    const View views[] = {dx};
    over_map(dx.shape, dx.dtype, views, [&](auto value, auto width, const Sweep& sweep) {
        using T = decltype(value);
        launch(*context_, "average pool backward", average_pool_backward_kernel<T, decltype(width)::kValue>,
               sweep.grid(), sweep.block(), 0, SweepShape(sweep), dx.shape.w, window_h, window_w, dy.f32(),
               static_cast<T*>(dx.data));
    });
}

void CudaBackend::pad_subsample(View x, int64_t stride, View y) {
    contract::pad_subsample(x, stride, y);
    if (y.shape.size() == 0) return;
    const Subsample shape(x.shape, stride, y.shape);
    with_type(y.dtype, [&](auto value) {
        using T = decltype(value);
        launch(*context_, "subsampled shortcut", pad_subsample_kernel<T>, blocks_for(y.shape.size()), kBlock,
               0, y.shape.size(), shape, static_cast<const T*>(x.data), static_cast<T*>(y.data));
    });
}

void CudaBackend::pad_subsample_backward(View dy, int64_t stride, View dx) {
    contract::pad_subsample_backward(dy, stride, dx);
    if (dx.shape.size() == 0) return;
    const Subsample shape(dx.shape, stride, dy.shape);
    with_type(dx.dtype, [&](auto value) {
        using T = decltype(value);
        launch(*context_, "subsampled shortcut backward", pad_subsample_backward_kernel<T>,
               blocks_for(dx.shape.size()), kBlock, 0, dx.shape.size(), shape, static_cast<const T*>(dy.data),
               static_cast<T*>(dx.data));
    });
}

}  // namespace gs::cuda
