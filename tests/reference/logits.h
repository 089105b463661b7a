// Losses at the logits z (n,1,1,C) and their gradients, one row a sample. p = softmax(z / T), k = first
// argmax.
//   UniformCrossEntropy    L = sum_c -log p_c      dL/dz = (C p - 1) / T
//   MaxLogit               L = z_k                 dL/dz = onehot(k)
//   PredictedCrossEntropy  L = -log p_k            dL/dz = (p - onehot(k)) / T
//   ClassCrossEntropy      L = -log p_target       dL/dz = (p - onehot(target)) / T
//   ClassBinaryCrossEntropy  L = sum_j softplus(z_j/T) - z_target/T   dL/dz = (sigmoid(z/T) - onehot(target))
//   / T
#pragma once

#include <cmath>
#include <vector>

#include "core/backend.h"
#include "tests/reference/tensor.h"

namespace gs::ref {

template <class T>
int64_t first_argmax(const Tensor<T>& z, int64_t n) {
    int64_t best = 0;
    for (int64_t c = 1; c < z.shape.c; ++c)
        if (real_part(z.at(n, 0, 0, c)) > real_part(z.at(n, 0, 0, best))) best = c;
    return best;
}

template <class T>
std::vector<T> log_softmax(const Tensor<T>& z, int64_t n, T temperature) {
    using std::exp, std::log;
    const T top = z.at(n, 0, 0, first_argmax(z, n));
    T sum = T(0);
    for (int64_t c = 0; c < z.shape.c; ++c) sum += exp((z.at(n, 0, 0, c) - top) / temperature);
    std::vector<T> log_p;
    for (int64_t c = 0; c < z.shape.c; ++c)
        log_p.push_back((z.at(n, 0, 0, c) - top) / temperature - log(sum));
    return log_p;
}

// The sum over the samples of L; samples do not mix, so its gradient is that of each row.
template <class T>
T loss(Seed seed, T temperature, const Tensor<T>& z, int64_t target = 0) {
    using std::exp, std::log;
    T total = T(0);
    for (int64_t n = 0; n < z.shape.n; ++n) {
        const std::vector<T> log_p = log_softmax(z, n, temperature);
        const int64_t k = first_argmax(z, n);
        if (seed == Seed::MaxLogit) total += z.at(n, 0, 0, k);
        if (seed == Seed::PredictedCrossEntropy) total -= log_p[static_cast<size_t>(k)];
        if (seed == Seed::ClassCrossEntropy) total -= log_p[static_cast<size_t>(target)];
        if (seed == Seed::ClassBinaryCrossEntropy)
            for (int64_t c = 0; c < z.shape.c; ++c) {
                const T u = z.at(n, 0, 0, c) / temperature;
                total += log(T(1) + exp(u)) - (c == target ? u : T(0));
            }
        if (seed == Seed::UniformCrossEntropy)
            for (const T& value : log_p) total -= value;
    }
    return total;
}

template <class T>
Tensor<T> seed_logits(Seed seed, T temperature, const Tensor<T>& z, int64_t target = 0) {
    using std::exp;
    Tensor<T> dz(z.shape);
    for (int64_t n = 0; n < z.shape.n; ++n) {
        const std::vector<T> log_p = log_softmax(z, n, temperature);
        const int64_t k = first_argmax(z, n);
        for (int64_t c = 0; c < z.shape.c; ++c) {
            const T p = exp(log_p[static_cast<size_t>(c)]), hot = T(c == k);
            T& value = dz.at(n, 0, 0, c);
            if (seed == Seed::MaxLogit) value = hot;
            if (seed == Seed::PredictedCrossEntropy) value = (p - hot) / temperature;
            if (seed == Seed::ClassCrossEntropy) value = (p - T(c == target)) / temperature;
            if (seed == Seed::ClassBinaryCrossEntropy)
                value = (T(1) / (T(1) + exp(-z.at(n, 0, 0, c) / temperature)) - T(c == target)) / temperature;
            if (seed == Seed::UniformCrossEntropy) value = (number<T>(z.shape.c) * p - T(1)) / temperature;
        }
    }
    return dz;
}

}  // namespace gs::ref
