// Pooling, and the option A shortcut.
#include "core/contract.h"
#include "cpu/cpu_backend.h"
#include "cpu/map_type.h"

namespace gs::cpu {
namespace {

constexpr int64_t kChannelBlock = 256;  // channels of one unit of average pooling

PoolWindow window_of(const Shape& x, const PoolSpec& spec) {
    return {.h = x.h,
            .w = x.w,
            .c = x.c,
            .oh = 0,
            .ow = 0,
            .kernel = spec.kernel,
            .stride = spec.stride,
            .pad = spec.pad,
            .zero_padding = spec.zero_padding};
}

// y[h, w, c + shift] of the option A shortcut belongs to x[stride * h, stride * w, c].
int64_t channel_shift(const View& x, const View& y) {
    return (y.shape.c - x.shape.c) / 2;
}

}  // namespace

void CpuBackend::max_pool(View x, const PoolSpec& spec, View y, View winner) {
    contract::max_pool(x, spec, y, winner);
    const PoolWindow geometry = window_of(x.shape, spec);
    with_type(x, [&](auto type) {
        using T = decltype(type);
        each(y.shape.n * y.shape.h, [&](int64_t unit) {
            PoolWindow window = geometry;
            window.oh = unit % y.shape.h;
            for (window.ow = 0; window.ow < y.shape.w; ++window.ow) {
                const int64_t at = (unit * y.shape.w + window.ow) * y.shape.c;
                kernels().maps<T>().max_pool(x.as<T>() + unit / y.shape.h * x.shape.per_sample(), window,
                                             y.as<T>() + at, winner ? winner.u8() + at : nullptr);
            }
        });
    });
}

void CpuBackend::max_pool_backward(View dy, View winner, const PoolSpec& spec, View dx) {
    contract::max_pool_backward(dy, winner, spec, dx);
    const int64_t samples = winner.shape.n;
    PoolWindow window = window_of(dx.shape, spec);
    window.oh = dy.shape.h;
    window.ow = dy.shape.w;
    with_type(dx, [&](auto type) {
        using T = decltype(type);
        each(dx.shape.n * dx.shape.h, [&](int64_t unit) {
            const int64_t row = unit / dx.shape.h, ih = unit % dx.shape.h;
            for (int64_t iw = 0; iw < dx.shape.w; ++iw) {
                kernels().maps<T>().max_pool_backward(dy.as<T>() + row * dy.shape.per_sample(),
                                                      winner.u8() + row % samples * dy.shape.per_sample(),
                                                      window, ih, iw,
                                                      dx.as<T>() + (unit * dx.shape.w + iw) * dx.shape.c);
            }
        });
    });
}

void CpuBackend::average_pool(View x, int64_t window_h, int64_t window_w, View y) {
    contract::average_pool(x, window_h, window_w, y);
    const int64_t c = x.shape.c;
    const int64_t blocks = (c + kChannelBlock - 1) / kChannelBlock;
    const double count = static_cast<double>(window_h * window_w);
    with_type(x, [&](auto type) {
        using T = decltype(type);
        each(x.shape.n * blocks, [&](int64_t unit) {
            const int64_t n = unit / blocks, first = unit % blocks * kChannelBlock;
            const int64_t width = std::min(kChannelBlock, c - first);
            float row_sum[kChannelBlock];
            double sum[kChannelBlock] = {};
            for (int64_t h = 0; h < window_h; ++h) {  // rows in float32, their sum in float64
                kernels().maps<T>().channel_sums(x.as<T>() + (n * x.shape.h + h) * x.shape.w * c + first,
                                                 window_w, c, width, {row_sum, nullptr});
                for (int64_t i = 0; i < width; ++i) sum[i] += static_cast<double>(row_sum[i]);
            }
            float* out = y.f32() + n * c + first;
            for (int64_t i = 0; i < width; ++i) out[i] = static_cast<float>(sum[i] / count);
        });
    });
}

void CpuBackend::average_pool_backward(View dy, int64_t window_h, int64_t window_w, View dx) {
    contract::average_pool_backward(dy, window_h, window_w, dx);
    const int64_t c = dx.shape.c;
    const float count = static_cast<float>(window_h * window_w);
    with_type(dx, [&](auto type) {
        using T = decltype(type);
        each(dx.shape.n * dx.shape.h, [&](int64_t unit) {
            const int64_t n = unit / dx.shape.h, h = unit % dx.shape.h;
            const float* from = dy.f32() + n * c;
            T* to = dx.as<T>() + unit * dx.shape.w * c;
            for (int64_t w = 0; w < dx.shape.w; ++w, to += c) {
                const bool inside = h < window_h && w < window_w;
                for (int64_t i = 0; i < c; ++i) to[i] = static_cast<T>(inside ? from[i] / count : 0.0f);
            }
        });
    });
}

void CpuBackend::pad_subsample(View x, int64_t stride, View y) {
    contract::pad_subsample(x, stride, y);
    const int64_t shift = channel_shift(x, y);
    with_type(x, [&](auto type) {
        using T = decltype(type);
        each(y.shape.n * y.shape.h, [&](int64_t unit) {
            const int64_t n = unit / y.shape.h, h = unit % y.shape.h;
            T* to = y.as<T>() + unit * y.shape.w * y.shape.c;
            for (int64_t w = 0; w < y.shape.w; ++w, to += y.shape.c) {
                const T* from =
                    x.as<T>() + ((n * x.shape.h + h * stride) * x.shape.w + w * stride) * x.shape.c;
                std::fill(to, to + shift, T{});
                std::copy(from, from + x.shape.c, to + shift);
                std::fill(to + shift + x.shape.c, to + y.shape.c, T{});
            }
        });
    });
}

void CpuBackend::pad_subsample_backward(View dy, int64_t stride, View dx) {
    contract::pad_subsample_backward(dy, stride, dx);
    const int64_t shift = channel_shift(dx, dy);
    with_type(dx, [&](auto type) {
        using T = decltype(type);
        each(dx.shape.n * dx.shape.h, [&](int64_t unit) {
            const int64_t n = unit / dx.shape.h, h = unit % dx.shape.h;
            T* to = dx.as<T>() + unit * dx.shape.w * dx.shape.c;
            for (int64_t w = 0; w < dx.shape.w; ++w, to += dx.shape.c) {
                if (h % stride != 0 || w % stride != 0) {
                    std::fill(to, to + dx.shape.c, T{});
                    continue;
                }
                const T* from =
                    dy.as<T>() + ((n * dy.shape.h + h / stride) * dy.shape.w + w / stride) * dy.shape.c;
                std::copy(from + shift, from + shift + dx.shape.c, to);
            }
        });
    });
}

}  // namespace gs::cpu
