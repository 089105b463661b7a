// Dense float64 linear algebra of fits and fitted scores. Matrices are row-major spans. Its source file is
// the only one that includes Eigen.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gs {

// s += panel^T panel of s (d,d) and panel (rows,d). Only the lower triangle of s is read and written.
void add_gram_lower(std::span<double> s, std::span<const double> panel, int64_t d);
// Copies the lower triangle of s (d,d) to the upper one.
void mirror_lower(std::span<double> s, int64_t d);

struct SymmetricEigen {
    std::vector<double> values;   // [d], ascending
    std::vector<double> vectors;  // [d][d]; column j belongs to values[j]
};
// Of a symmetric matrix (d,d), whose lower triangle is read. Throws Error(Data) where it does not converge
// (not finite).
SymmetricEigen symmetric_eigen(std::span<const double> matrix, int64_t d);

// a b, of a (m,k) and b (k,n).
std::vector<double> multiply(std::span<const double> a, std::span<const double> b, int64_t m, int64_t k,
                             int64_t n);
// a b^T, of a (m,k) and b (n,k).
std::vector<double> multiply_transposed(std::span<const double> a, std::span<const double> b, int64_t m,
                                        int64_t k, int64_t n);

// x of a x = b, a (d,d) symmetric positive definite.
std::vector<double> solve_positive_definite(std::span<const double> a, std::span<const double> b);

}  // namespace gs
