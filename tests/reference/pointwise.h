// Elementwise operations; x, y, dx, dy are (n,h,w,c).
//   activation   y = max(x, 0), y = min(max(x, 0), 6)   dx = act'(y) dy; act' = 1 where 0 < y (and y < 6)
//   affine       y = act(scale[c] x + shift[c])         dx = scale[c] act'(y) dy
//   add          y = act(a + b)                         da = db = act'(y) dy
//   join         dx = addend + scale[c] act'(y) sum(terms)   backward of all three, several branches at once
//   sign step    out = x - step[c] sgn(g), sgn(0) = +1
#pragma once

#include <vector>

#include "core/backend.h"
#include "tests/reference/tensor.h"

namespace gs::ref {

template <class T>
T activate(T x, Activation activation) {
    if (activation == Activation::None) return x;
    if (real_part(x) <= 0) return T(0);  // NaN stays
    return activation == Activation::Relu6 && real_part(x) > 6 ? T(6) : x;
}

// Whether the gradient passes, told by the activation's output.
template <class T>
bool passes(T y, Activation activation) {
    if (activation == Activation::None) return true;
    return real_part(y) > 0 && (activation == Activation::Relu || real_part(y) < 6);
}

template <class T>
Tensor<T> activate(const Tensor<T>& x, Activation activation) {
    Tensor<T> y = x;
    for (T& value : y.values) value = activate(value, activation);
    return y;
}

template <class T>
Tensor<T> channel_affine(const Tensor<T>& x, const std::vector<T>& scale, const std::vector<T>& shift,
                         Activation activation) {
    Tensor<T> y(x.shape);
    for_each_element(x.shape, [&](int64_t n, int64_t h, int64_t w, int64_t c) {
        const auto channel = static_cast<size_t>(c);
        y.at(n, h, w, c) = activate(scale[channel] * x.at(n, h, w, c) + shift[channel], activation);
    });
    return y;
}

template <class T>
Tensor<T> add(const Tensor<T>& a, const Tensor<T>& b, Activation activation) {
    Tensor<T> y(a.shape);
    for (size_t i = 0; i < y.values.size(); ++i)
        y.values[i] = activate(a.values[i] + b.values[i], activation);
    return y;
}

// act'(y) * sum(terms): what the sinks of the backward passes see. y has n = samples, row r reads r %
// samples.
template <class T>
Tensor<T> masked_sum(const std::vector<Tensor<T>>& terms, const Tensor<T>& y, Activation activation) {
    Tensor<T> sum(terms.front().shape);
    for_each_element(sum.shape, [&](int64_t r, int64_t h, int64_t w, int64_t c) {
        if (activation != Activation::None && !passes(y.at(r % y.shape.n, h, w, c), activation)) return;
        for (const Tensor<T>& term : terms) sum.at(r, h, w, c) += term.at(r, h, w, c);
    });
    return sum;
}

// scale and addend may be empty.
template <class T>
Tensor<T> pointwise_backward(const std::vector<Tensor<T>>& terms, const Tensor<T>& y, Activation activation,
                             const std::vector<T>& scale, const Tensor<T>& addend) {
    Tensor<T> dx = masked_sum(terms, y, activation);
    for_each_element(dx.shape, [&](int64_t r, int64_t h, int64_t w, int64_t c) {
        if (!scale.empty()) dx.at(r, h, w, c) *= scale[static_cast<size_t>(c)];
        if (!addend.values.empty()) dx.at(r, h, w, c) += addend.at(r, h, w, c);
    });
    return dx;
}

template <class T>
Tensor<T> sign_step(const Tensor<T>& x, const Tensor<T>& g, const std::vector<T>& step) {
    Tensor<T> out(x.shape);
    for_each_element(x.shape, [&](int64_t n, int64_t h, int64_t w, int64_t c) {
        const T s = step[static_cast<size_t>(c)];
        out.at(n, h, w, c) = g.at(n, h, w, c) >= T(0) ? x.at(n, h, w, c) - s : x.at(n, h, w, c) + s;
    });
    return out;
}

}  // namespace gs::ref
