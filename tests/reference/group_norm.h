// Group normalisation with an activation behind it. x, y (n,h,w,c); group g holds channels
// [g c/G, (g+1) c/G); m = h w c/G values.
//   mean = sum(x) / m     var = sum((x - mean)^2) / m     rstd = 1 / sqrt(var + eps)    of each (sample,
//   group) xhat = (x - mean) rstd                  y = act(v),  v = gamma[c] xhat + beta[c] g    = gamma[c]
//   act'(y) dy              dx = rstd (g - mean_group(g) - xhat mean_group(g xhat))
// stats (n,1,G,2) holds mean and rstd. A gradient may have n = k * samples rows: row r reads sample r %
// samples.
#pragma once

#include <cmath>
#include <vector>

#include "core/backend.h"
#include "tests/reference/pointwise.h"
#include "tests/reference/tensor.h"

namespace gs::ref {

template <class T>
struct GroupNorm {
    int64_t groups = 1;
    double eps = 1e-5;
    std::vector<T> gamma, beta;
};

// Sum of f(h, w, c) over the positions and channels of a group.
template <class T, class F>
T sum_of_group(const Shape& x, int64_t groups, int64_t group, const F& f) {
    T sum = T(0);
    for (int64_t h = 0; h < x.h; ++h)
        for (int64_t w = 0; w < x.w; ++w)
            for (int64_t c = group * x.c / groups; c < (group + 1) * x.c / groups; ++c) sum += f(h, w, c);
    return sum;
}

template <class T>
Tensor<T> group_norm_stats(const Tensor<T>& x, int64_t groups, double eps) {
    using std::sqrt;
    const T count = number<T>(x.shape.per_sample() / groups);
    Tensor<T> stats(Shape{x.shape.n, 1, groups, 2});
    for (int64_t n = 0; n < x.shape.n; ++n)
        for (int64_t g = 0; g < groups; ++g) {
            const T mean = sum_of_group<T>(x.shape, groups, g,
                                           [&](auto h, auto w, auto c) { return x.at(n, h, w, c); }) /
                           count;
            const T var = sum_of_group<T>(x.shape, groups, g,
                                          [&](auto h, auto w, auto c) {
                                              const T d = x.at(n, h, w, c) - mean;
                                              return d * d;
                                          }) /
                          count;
            stats.at(n, 0, g, 0) = mean;
            stats.at(n, 0, g, 1) = T(1) / sqrt(var + T(eps));
        }
    return stats;
}

template <class T>
Tensor<T> normalised(const Tensor<T>& x, const Tensor<T>& stats) {
    Tensor<T> xhat(x.shape);
    for_each_element(x.shape, [&](int64_t n, int64_t h, int64_t w, int64_t c) {
        const int64_t g = c * stats.shape.w / x.shape.c;
        xhat.at(n, h, w, c) = (x.at(n, h, w, c) - stats.at(n, 0, g, 0)) * stats.at(n, 0, g, 1);
    });
    return xhat;
}

template <class T>
Tensor<T> group_norm(const Tensor<T>& x, const Tensor<T>& stats, const GroupNorm<T>& params,
                     Activation activation) {
    return channel_affine(normalised(x, stats), params.gamma, params.beta, activation);
}

template <class T>
struct GroupNormGradients {
    Tensor<T> output;  // act'(y) dy, the gradient at the norm's output
    Tensor<T> dx;
};

template <class T>
GroupNormGradients<T> group_norm_backward(const Tensor<T>& dy, const Tensor<T>& x, const Tensor<T>& stats,
                                          const GroupNorm<T>& params, Activation activation) {
    const Tensor<T> xhat = normalised(x, stats);
    const Tensor<T> y = group_norm(x, stats, params, activation);
    GroupNormGradients<T> result{masked_sum<T>({dy}, y, activation), Tensor<T>(dy.shape)};
    const T count = number<T>(x.shape.per_sample() / params.groups);
    for (int64_t r = 0; r < dy.shape.n; ++r)
        for (int64_t group = 0; group < params.groups; ++group) {
            const int64_t n = r % x.shape.n;
            const auto g = [&](int64_t h, int64_t w, int64_t c) {
                return params.gamma[static_cast<size_t>(c)] * result.output.at(r, h, w, c);
            };
            const T mean_g = sum_of_group<T>(x.shape, params.groups, group, g) / count;
            const T mean_gx =
                sum_of_group<T>(x.shape, params.groups, group,
                                [&](auto h, auto w, auto c) { return g(h, w, c) * xhat.at(n, h, w, c); }) /
                count;
            sum_of_group<T>(x.shape, params.groups, group, [&](auto h, auto w, auto c) {
                const T centred = g(h, w, c) - mean_g - xhat.at(n, h, w, c) * mean_gx;
                return result.dx.at(r, h, w, c) = stats.at(n, 0, group, 1) * centred;
            });
        }
    return result;
}

}  // namespace gs::ref
