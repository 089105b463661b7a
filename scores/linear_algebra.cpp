#include "scores/linear_algebra.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <Eigen/Eigenvalues>

#include "core/error.h"

namespace gs {
namespace {

using Matrix64 = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using MutableMap = Eigen::Map<Matrix64>;
using ConstMap = Eigen::Map<const Matrix64>;

ConstMap as_matrix(std::span<const double> values, int64_t rows, int64_t cols) {
    GS_REQUIRE(static_cast<int64_t>(values.size()) == rows * cols);
    return {values.data(), rows, cols};
}

MutableMap as_matrix(std::span<double> values, int64_t rows, int64_t cols) {
    GS_REQUIRE(static_cast<int64_t>(values.size()) == rows * cols);
    return {values.data(), rows, cols};
}

}  // namespace

void add_gram_lower(std::span<double> s, std::span<const double> panel, int64_t d) {
    if (panel.empty()) return;
    const ConstMap rows = as_matrix(panel, static_cast<int64_t>(panel.size()) / d, d);
    as_matrix(s, d, d).selfadjointView<Eigen::Lower>().rankUpdate(rows.transpose());
}

void mirror_lower(std::span<double> s, int64_t d) {
    MutableMap matrix = as_matrix(s, d, d);
    matrix.triangularView<Eigen::StrictlyUpper>() = matrix.transpose();
}

SymmetricEigen symmetric_eigen(std::span<const double> matrix, int64_t d) {
    const ConstMap a = as_matrix(matrix, d, d);
    if (!a.allFinite()) throw Error(ErrorKind::Data, "a covariance matrix is not finite");
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(a);
    if (solver.info() != Eigen::Success)
        throw Error(ErrorKind::Data, "the eigenvalues of a covariance matrix did not converge");
    SymmetricEigen result;
    result.values.assign(solver.eigenvalues().data(), solver.eigenvalues().data() + d);
    result.vectors.resize(static_cast<size_t>(d * d));
    as_matrix(std::span(result.vectors), d, d) = solver.eigenvectors();
    return result;
}

std::vector<double> multiply(std::span<const double> a, std::span<const double> b, int64_t m, int64_t k,
                             int64_t n) {
    std::vector<double> product(static_cast<size_t>(m * n));
    as_matrix(std::span(product), m, n).noalias() = as_matrix(a, m, k) * as_matrix(b, k, n);
    return product;
}

std::vector<double> multiply_transposed(std::span<const double> a, std::span<const double> b, int64_t m,
                                        int64_t k, int64_t n) {
    std::vector<double> product(static_cast<size_t>(m * n));
    as_matrix(std::span(product), m, n).noalias() = as_matrix(a, m, k) * as_matrix(b, n, k).transpose();
    return product;
}

std::vector<double> solve_positive_definite(std::span<const double> a, std::span<const double> b) {
    const auto d = static_cast<int64_t>(b.size());
    const Eigen::VectorXd x = as_matrix(a, d, d).llt().solve(Eigen::Map<const Eigen::VectorXd>(b.data(), d));
    return {x.data(), x.data() + d};
}

}  // namespace gs
