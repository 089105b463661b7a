// Scores by their definitions, in long double and without any closed form: what the product's are judged by.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

namespace gs::test {

using Real = long double;

inline std::vector<Real> softmax(std::span<const double> z, Real temperature) {
    const Real m = *std::max_element(z.begin(), z.end());
    std::vector<Real> p;
    Real sum = 0;
    for (const double v : z) sum += p.emplace_back(std::exp((v - m) / temperature));
    for (Real& v : p) v /= sum;
    return p;
}

inline Real energy(std::span<const double> z, Real temperature) {
    const Real m = *std::max_element(z.begin(), z.end());
    Real sum = 0;
    for (const double v : z) sum += std::exp((v - m) / temperature);
    return m + temperature * std::log(sum);
}

inline Real norm(const std::vector<Real>& values, double p) {
    Real sum = 0;
    for (const Real v : values)
        sum = std::isinf(p) ? std::max(sum, std::abs(v)) : sum + std::pow(std::abs(v), static_cast<Real>(p));
    return std::isinf(p) ? sum : std::pow(sum, 1 / static_cast<Real>(p));
}

// Every element of the gradient of L = sum_c -log softmax((W f + b) / T)_c with respect to W, and to b where
// asked.
inline std::vector<Real> head_gradient(std::span<const double> z, std::span<const double> f, Real temperature,
                                       bool with_bias) {
    const std::vector<Real> p = softmax(z, temperature);
    std::vector<Real> all;
    for (size_t k = 0; k < z.size(); ++k) {
        Real dz = 0;  // d/dz_k of each class' term
        for (size_t c = 0; c < z.size(); ++c) dz += (p[k] - (c == k ? 1 : 0)) / temperature;
        for (const double v : f) all.push_back(dz * v);
        if (with_bias) all.push_back(dz);
    }
    return all;
}

}  // namespace gs::test
