// Convolution as in PyTorch (a cross-correlation), zero padding, the same stride in both directions.
//   x (n,h,w,in), w [out][in / groups][kernel_h][kernel_w], b [out] or empty, y (n,oh,ow,out)
//   y[n,p,q,o]  = act( b[o] + sum_{i,u,v} w[o,i,u,v] x[n, p*stride + u - pad, q*stride + v - pad, i] )
//   dx[n,h,w,i] = sum over all (p,q,o,u,v) with p*stride + u - pad = h, q*stride + v - pad = w of
//                 w[o,i,u,v] dy[n,p,q,o]
//   dw[o,i,u,v] = sum over n, p, q of dy[n,p,q,o] x[n, p*stride + u - pad, q*stride + v - pad, i]
// With groups, output channel o reads the in / groups input channels of its own group. A linear layer is the
// 1x1 convolution on (n,1,1,c).
#pragma once

#include <vector>

#include "core/backend.h"
#include "tests/reference/pointwise.h"
#include "tests/reference/tensor.h"

namespace gs::ref {

// Calls f(output row, output column, output channel, input row, input column, input channel, weight index)
// for every multiply-add of one sample.
template <class F>
void for_each_product(const ConvSpec& s, const Shape& x, const F& f) {
    const Shape y = s.output_shape(x);
    const int64_t fan_in = s.in_channels / s.groups, fan_out = s.out_channels / s.groups;
    for_each_element(y.with_n(1), [&](int64_t, int64_t p, int64_t q, int64_t o) {
        for (int64_t i = 0; i < fan_in; ++i)
            for (int64_t u = 0; u < s.kernel_h; ++u)
                for (int64_t v = 0; v < s.kernel_w; ++v) {
                    const int64_t h = p * s.stride + u - s.pad, w = q * s.stride + v - s.pad;
                    if (h < 0 || h >= x.h || w < 0 || w >= x.w) continue;
                    const int64_t weight = ((o * fan_in + i) * s.kernel_h + u) * s.kernel_w + v;
                    f(p, q, o, h, w, o / fan_out * fan_in + i, static_cast<size_t>(weight));
                }
    });
}

template <class T>
Tensor<T> convolution(const ConvSpec& spec, const Tensor<T>& x, const std::vector<T>& weights,
                      const std::vector<T>& bias, Activation activation) {
    Tensor<T> y(spec.output_shape(x.shape));
    for_each_element(y.shape, [&](int64_t n, int64_t p, int64_t q, int64_t o) {
        if (!bias.empty()) y.at(n, p, q, o) = bias[static_cast<size_t>(o)];
    });
    for (int64_t n = 0; n < x.shape.n; ++n)
        for_each_product(spec, x.shape,
                         [&](int64_t p, int64_t q, int64_t o, int64_t h, int64_t w, int64_t i, size_t k) {
                             y.at(n, p, q, o) += weights[k] * x.at(n, h, w, i);
                         });
    return activate(y, activation);
}

template <class T>
Tensor<T> convolution_backward_data(const ConvSpec& spec, const Tensor<T>& dy, const std::vector<T>& weights,
                                    const Shape& x) {
    Tensor<T> dx(x);
    for (int64_t n = 0; n < x.n; ++n)
        for_each_product(spec, x,
                         [&](int64_t p, int64_t q, int64_t o, int64_t h, int64_t w, int64_t i, size_t k) {
                             dx.at(n, h, w, i) += weights[k] * dy.at(n, p, q, o);
                         });
    return dx;
}

template <class T>
std::vector<T> convolution_backward_weights(const ConvSpec& spec, const Tensor<T>& x, const Tensor<T>& dy) {
    const int64_t fan_in = spec.in_channels / spec.groups * spec.kernel_h * spec.kernel_w;
    std::vector<T> dw(static_cast<size_t>(spec.out_channels * fan_in));
    for (int64_t n = 0; n < x.shape.n; ++n)
        for_each_product(spec, x.shape,
                         [&](int64_t p, int64_t q, int64_t o, int64_t h, int64_t w, int64_t i, size_t k) {
                             dw[k] += dy.at(n, p, q, o) * x.at(n, h, w, i);
                         });
    return dw;
}

}  // namespace gs::ref
