// Pooling and the other operations that move values between positions. x (n,h,w,c).
//   max       y[n,p,q,c] = max over the window's kernel x kernel positions; padding never wins, or takes part
//             with zeros. winner: the window position kh * kernel + kw of the first maximum in row order, 255
//             where a padded zero won. dx: every dy is added at its winner, those of padding vanish.
//   average   y[n,0,0,c] = mean over the top-left window; dx = dy / (window_h window_w) in the window, else 0
//   pad_subsample (option A shortcut)  y[n,h,w,c + (cy - cx) / 2] = x[n, stride h, stride w, c], else 0; dx
//   its
//             transpose
//   reduce    (n,h,w,c) -> (n,1,1,c): sum, mean, share of values that are not exactly 0
// A gradient may have n = k * samples rows: row r reads winner r % samples.
#pragma once

#include "core/backend.h"
#include "tests/reference/tensor.h"

namespace gs::ref {

constexpr uint8_t kPaddingWon = 255;

template <class T>
struct MaxPooled {
    Tensor<T> y;
    Tensor<uint8_t> winner;
};

template <class T>
MaxPooled<T> max_pool(const Tensor<T>& x, const PoolSpec& spec) {
    const Shape shape = spec.output_shape(x.shape);
    MaxPooled<T> out{Tensor<T>(shape), Tensor<uint8_t>(shape)};
    for_each_element(shape, [&](int64_t n, int64_t p, int64_t q, int64_t c) {
        bool found = false;
        T best = T(0);
        const auto offer = [&](T value, int64_t position) {
            const bool is_nan = real_part(value) != real_part(value);  // the last one wins, as in PyTorch
            if (found && !is_nan && !(real_part(value) > real_part(best))) return;
            found = true;
            best = value;
            out.winner.at(n, p, q, c) = static_cast<uint8_t>(position);
        };
        for (int64_t u = 0; u < spec.kernel; ++u)
            for (int64_t v = 0; v < spec.kernel; ++v) {
                const int64_t h = p * spec.stride + u - spec.pad, w = q * spec.stride + v - spec.pad;
                if (x.has(h, w))
                    offer(x.at(n, h, w, c), u * spec.kernel + v);
                else if (spec.zero_padding)
                    offer(T(0), kPaddingWon);
            }
        out.y.at(n, p, q, c) = best;
    });
    return out;
}

template <class T>
Tensor<T> max_pool_backward(const Tensor<T>& dy, const Tensor<uint8_t>& winner, const PoolSpec& spec,
                            const Shape& x) {
    Tensor<T> dx(x);
    for_each_element(dy.shape, [&](int64_t r, int64_t p, int64_t q, int64_t c) {
        const uint8_t position = winner.at(r % winner.shape.n, p, q, c);
        if (position == kPaddingWon) return;
        const int64_t h = p * spec.stride + position / spec.kernel - spec.pad;
        const int64_t w = q * spec.stride + position % spec.kernel - spec.pad;
        dx.at(r, h, w, c) += dy.at(r, p, q, c);
    });
    return dx;
}

template <class T>
Tensor<T> average_pool(const Tensor<T>& x, int64_t window_h, int64_t window_w) {
    Tensor<T> y(Shape{x.shape.n, 1, 1, x.shape.c});
    for_each_element(x.shape, [&](int64_t n, int64_t h, int64_t w, int64_t c) {
        if (h < window_h && w < window_w)
            y.at(n, 0, 0, c) += x.at(n, h, w, c) / number<T>(window_h * window_w);
    });
    return y;
}

template <class T>
Tensor<T> average_pool_backward(const Tensor<T>& dy, int64_t window_h, int64_t window_w, const Shape& x) {
    Tensor<T> dx(x);
    for_each_element(x, [&](int64_t n, int64_t h, int64_t w, int64_t c) {
        if (h < window_h && w < window_w)
            dx.at(n, h, w, c) = dy.at(n, 0, 0, c) / number<T>(window_h * window_w);
    });
    return dx;
}

template <class T>
Tensor<T> pad_subsample(const Tensor<T>& x, int64_t stride, const Shape& y_shape) {
    Tensor<T> y(y_shape);
    for_each_element(Shape{y_shape.n, y_shape.h, y_shape.w, x.shape.c},
                     [&](int64_t n, int64_t h, int64_t w, int64_t c) {
                         y.at(n, h, w, c + (y_shape.c - x.shape.c) / 2) = x.at(n, stride * h, stride * w, c);
                     });
    return y;
}

template <class T>
Tensor<T> pad_subsample_backward(const Tensor<T>& dy, int64_t stride, const Shape& x) {
    Tensor<T> dx(x);
    for_each_element(Shape{x.n, dy.shape.h, dy.shape.w, x.c},
                     [&](int64_t n, int64_t h, int64_t w, int64_t c) {
                         dx.at(n, stride * h, stride * w, c) = dy.at(n, h, w, c + (dy.shape.c - x.c) / 2);
                     });
    return dx;
}

template <class T>
Tensor<T> reduce(const Tensor<T>& x, Reduction reduction) {
    Tensor<T> out(Shape{x.shape.n, 1, 1, x.shape.c});
    for_each_element(x.shape, [&](int64_t n, int64_t h, int64_t w, int64_t c) {
        const T value = x.at(n, h, w, c);
        out.at(n, 0, 0, c) += reduction == Reduction::NonzeroShare ? T(value != T(0)) : value;
    });
    if (reduction != Reduction::Sum)
        for (T& value : out.values) value /= number<T>(x.shape.pixels());
    return out;
}

}  // namespace gs::ref
