// Gradients of a scalar function of a tensor without knowing its derivative.
//   complex step        df/dx_i = Im f(x + i h e_i) / h   no cancellation, exact to rounding; f must be
//                       analytic but for kinks, where the references branch on the real part
//   finite differences  df/dx_i = (f(x + h e_i) - f(x - h e_i)) / 2h   about 1e-9 of f at h = 1e-5
#pragma once

#include <complex>

#include "tests/reference/tensor.h"

namespace gs::test {

using Complex = std::complex<double>;

template <class F>  // Complex f(const ref::Tensor<Complex>&)
ref::Tensor<double> complex_step_gradient(const F& f, const ref::Tensor<double>& x) {
    constexpr double h = 1e-100;
    ref::Tensor<Complex> probe = ref::cast<Complex>(x);
    ref::Tensor<double> gradient(x.shape);
    for (size_t i = 0; i < x.values.size(); ++i) {
        probe.values[i] = {x.values[i], h};
        gradient.values[i] = f(probe).imag() / h;
        probe.values[i] = x.values[i];
    }
    return gradient;
}

template <class F>  // double f(const ref::Tensor<double>&)
ref::Tensor<double> finite_difference_gradient(const F& f, const ref::Tensor<double>& x, double h = 1e-5) {
    ref::Tensor<double> probe = x, gradient(x.shape);
    for (size_t i = 0; i < x.values.size(); ++i) {
        probe.values[i] = x.values[i] + h;
        const double above = f(probe);
        probe.values[i] = x.values[i] - h;
        gradient.values[i] = (above - f(probe)) / (2 * h);
        probe.values[i] = x.values[i];
    }
    return gradient;
}

// <a, b> without conjugation: the scalar whose gradient a backward pass is.
template <class T>
T inner(const ref::Tensor<double>& a, const ref::Tensor<T>& b) {
    T sum = T(0);
    for (size_t i = 0; i < b.values.size(); ++i) sum += T(a.values[i]) * b.values[i];
    return sum;
}

}  // namespace gs::test
