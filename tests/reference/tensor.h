// What the references compute on: a plain NHWC array of any scalar. The references are loops and nothing
// else: obviously correct, never tuned, never called by the product.
//
// Scalars: float, double, long double, and std::complex<double> for complex-step gradients (gradcheck.h).
// Where a function has a kink (ReLU, max) the branch is taken on the real part.
#pragma once

#include <complex>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/tensor.h"

namespace gs::ref {

template <class T>
struct Tensor {
    Shape shape;
    std::vector<T> values;

    Tensor() = default;
    explicit Tensor(const Shape& s, T value = T{}) : shape(s), values(static_cast<size_t>(s.size()), value) {}

    size_t index(int64_t n, int64_t h, int64_t w, int64_t c) const {
        return static_cast<size_t>(((n * shape.h + h) * shape.w + w) * shape.c + c);
    }
    T& at(int64_t n, int64_t h, int64_t w, int64_t c) { return values[index(n, h, w, c)]; }
    const T& at(int64_t n, int64_t h, int64_t w, int64_t c) const { return values[index(n, h, w, c)]; }
    bool has(int64_t h, int64_t w) const { return h >= 0 && h < shape.h && w >= 0 && w < shape.w; }
};

template <class To, class From>
std::vector<To> cast(const std::vector<From>& from) {
    return std::vector<To>(from.begin(), from.end());
}

template <class To, class From>
Tensor<To> cast(const Tensor<From>& from) {
    Tensor<To> to;
    to.shape = from.shape;
    to.values = cast<To>(from.values);
    return to;
}

template <class T>
T number(int64_t count) {
    return static_cast<T>(static_cast<double>(count));
}

template <class T>
T real_part(T x) {
    return x;
}
template <class T>
T real_part(std::complex<T> x) {
    return x.real();
}

// Calls f(n, h, w, c) for every element in memory order.
template <class F>
void for_each_element(const Shape& s, const F& f) {
    for (int64_t n = 0; n < s.n; ++n)
        for (int64_t h = 0; h < s.h; ++h)
            for (int64_t w = 0; w < s.w; ++w)
                for (int64_t c = 0; c < s.c; ++c) f(n, h, w, c);
}

}  // namespace gs::ref
