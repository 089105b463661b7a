// Batch normalisation with the statistics of the batch, a map added to its output and an activation behind.
// x, y (n,h,w,c); m = n h w.
//   mean = sum(x) / m       var = sum((x - mean)^2) / m       rstd = 1 / sqrt(var + eps)         of each
//   channel xhat = (x - mean) rstd  y = act(gamma[c] xhat + beta[c] + addend) g = act'(y) dy          dbeta =
//   sum g     dgamma = sum g xhat dx = gamma rstd (g - dbeta / m - xhat dgamma / m) running = (1 - momentum)
//   running + momentum * (mean, or var m / (m - 1))
// stats (1,1,2,c) holds means, then rstd.
#pragma once

#include <cmath>
#include <vector>

#include "tests/reference/pointwise.h"
#include "tests/reference/tensor.h"

namespace gs::ref {

template <class T>
std::vector<T> channel_sums(const Tensor<T>& x) {
    std::vector<T> sums(static_cast<size_t>(x.shape.c));
    for_each_element(x.shape, [&](int64_t n, int64_t h, int64_t w, int64_t c) {
        sums[static_cast<size_t>(c)] += x.at(n, h, w, c);
    });
    return sums;
}

template <class T>
struct BatchStatistics {
    std::vector<T> mean, var;
};

template <class T>
BatchStatistics<T> batch_statistics(const Tensor<T>& x) {
    const T m = number<T>(x.shape.n * x.shape.pixels());
    BatchStatistics<T> s{channel_sums(x), {}};
    for (T& mean : s.mean) mean /= m;
    Tensor<T> squares(x.shape);
    for_each_element(x.shape, [&](int64_t n, int64_t h, int64_t w, int64_t c) {
        const T d = x.at(n, h, w, c) - s.mean[static_cast<size_t>(c)];
        squares.at(n, h, w, c) = d * d;
    });
    s.var = channel_sums(squares);
    for (T& var : s.var) var /= m;
    return s;
}

template <class T>
Tensor<T> batch_normalised(const Tensor<T>& x, double eps) {
    using std::sqrt;
    const BatchStatistics<T> s = batch_statistics(x);
    Tensor<T> xhat(x.shape);
    for_each_element(x.shape, [&](int64_t n, int64_t h, int64_t w, int64_t channel) {
        const auto c = static_cast<size_t>(channel);
        xhat.at(n, h, w, channel) = (x.at(n, h, w, channel) - s.mean[c]) / sqrt(s.var[c] + T(eps));
    });
    return xhat;
}

// addend may be empty.
template <class T>
Tensor<T> batch_norm(const Tensor<T>& x, const std::vector<T>& gamma, const std::vector<T>& beta,
                     const Tensor<T>& addend, double eps, Activation activation) {
    const Tensor<T> v = channel_affine(batch_normalised(x, eps), gamma, beta, Activation::None);
    return addend.values.empty() ? activate(v, activation) : add(v, addend, activation);
}

template <class T>
struct BatchNormGradients {
    Tensor<T> g, dx;
    std::vector<T> dgamma, dbeta;
};

template <class T>
BatchNormGradients<T> batch_norm_backward(const Tensor<T>& dy, const Tensor<T>& x, const Tensor<T>& y,
                                          const std::vector<T>& gamma, double eps, Activation activation) {
    using std::sqrt;
    const Tensor<T> xhat = batch_normalised(x, eps);
    const BatchStatistics<T> s = batch_statistics(x);
    BatchNormGradients<T> r{masked_sum<T>({dy}, y, activation), Tensor<T>(x.shape), {}, {}};
    Tensor<T> g_xhat = r.g;
    for (size_t i = 0; i < g_xhat.values.size(); ++i) g_xhat.values[i] *= xhat.values[i];
    r.dbeta = channel_sums(r.g);
    r.dgamma = channel_sums(g_xhat);
    const T m = number<T>(x.shape.n * x.shape.pixels());
    for_each_element(x.shape, [&](int64_t n, int64_t h, int64_t w, int64_t channel) {
        const auto c = static_cast<size_t>(channel);
        const T centred =
            r.g.at(n, h, w, channel) - r.dbeta[c] / m - xhat.at(n, h, w, channel) * r.dgamma[c] / m;
        r.dx.at(n, h, w, channel) = gamma[c] / sqrt(s.var[c] + T(eps)) * centred;
    });
    return r;
}

}  // namespace gs::ref
