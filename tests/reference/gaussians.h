// Gaussians with a tied covariance, by the definition and two passes over the data; matrices as nested
// vectors.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace gs::ref {

using Row = std::vector<double>;
using Rows = std::vector<Row>;

inline Rows zeros(size_t rows, size_t cols) {
    return Rows(rows, Row(cols, 0.0));
}

struct TiedGaussians {
    std::vector<int64_t> count;
    Rows mean;     // of each class; 0 where it is empty
    Rows scatter;  // sum over the images of (x - mean of its class)(x - mean)^T
};

inline TiedGaussians tied_gaussians(const Rows& x, const std::vector<int64_t>& labels, size_t classes) {
    const size_t d = x.at(0).size();
    TiedGaussians g{std::vector<int64_t>(classes), zeros(classes, d), zeros(d, d)};
    for (size_t n = 0; n < x.size(); ++n) ++g.count[static_cast<size_t>(labels[n])];
    for (size_t n = 0; n < x.size(); ++n) {
        const auto c = static_cast<size_t>(labels[n]);
        for (size_t i = 0; i < d; ++i) g.mean[c][i] += x[n][i] / static_cast<double>(g.count[c]);
    }
    for (size_t n = 0; n < x.size(); ++n) {
        const Row& mean = g.mean[static_cast<size_t>(labels[n])];
        for (size_t i = 0; i < d; ++i)
            for (size_t j = 0; j < d; ++j) g.scatter[i][j] += (x[n][i] - mean[i]) * (x[n][j] - mean[j]);
    }
    return g;
}

// Jacobi's rotations: a becomes diagonal, the columns of v its eigenvectors.
inline void diagonalise(Rows& a, Rows& v) {
    const size_t d = a.size();
    v = zeros(d, d);
    for (size_t i = 0; i < d; ++i) v[i][i] = 1;
    for (int sweep = 0; sweep < 60; ++sweep) {
        for (size_t p = 0; p < d; ++p) {
            for (size_t q = p + 1; q < d; ++q) {
                if (a[p][q] == 0) continue;
                const double angle = std::atan2(2 * a[p][q], a[q][q] - a[p][p]) / 2;
                const double c = std::cos(angle), s = std::sin(angle);
                const auto rotate = [&](double& x, double& y) {
                    const double old = x;
                    x = c * old - s * y;
                    y = s * old + c * y;
                };
                for (size_t k = 0; k < d; ++k) rotate(a[k][p], a[k][q]);
                for (size_t k = 0; k < d; ++k) rotate(a[p][k], a[q][k]);
                for (size_t k = 0; k < d; ++k) rotate(v[k][p], v[k][q]);
            }
        }
    }
}

// Pseudo-inverse of a symmetric matrix: eigenvalues of at most d * 2^-52 of the largest magnitude count as 0.
inline Rows pseudo_inverse(Rows a) {
    const size_t d = a.size();
    Rows v;
    diagonalise(a, v);
    double largest = 0;
    for (size_t k = 0; k < d; ++k) largest = std::max(largest, std::abs(a[k][k]));
    const double cutoff = static_cast<double>(d) * std::numeric_limits<double>::epsilon() * largest;
    Rows inverse = zeros(d, d);
    for (size_t k = 0; k < d; ++k) {
        if (std::abs(a[k][k]) <= cutoff) continue;
        for (size_t i = 0; i < d; ++i)
            for (size_t j = 0; j < d; ++j) inverse[i][j] += v[i][k] * v[j][k] / a[k][k];
    }
    return inverse;
}

// -1/2 (x - mean)^T P (x - mean).
inline double half_distance_score(const Row& x, const Row& mean, const Rows& precision) {
    double sum = 0;
    for (size_t i = 0; i < x.size(); ++i)
        for (size_t j = 0; j < x.size(); ++j) sum += (x[i] - mean[i]) * precision[i][j] * (x[j] - mean[j]);
    return -sum / 2;
}

}  // namespace gs::ref
