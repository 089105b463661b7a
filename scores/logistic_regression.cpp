#include "scores/logistic_regression.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/softmax.h"
#include "scores/linear_algebra.h"

namespace gs {
namespace {

// The problem in standardised columns u = (x - mean) / scale. Unknowns: v = scale * weight, then the bias
// there, so that t = v . u + bias and the penalty is sum (v / scale)^2 / 2.
class Standardised {
  public:
    Standardised(const LabelledRows& data, double c)
        : data_(data), c_(c), mean_(data.columns), scale_(data.columns) {
        const auto n = static_cast<double>(data.rows());
        for (size_t i = 0; i < data.values.size(); ++i) mean_[i % data.columns] += data.values[i] / n;
        for (size_t i = 0; i < data.values.size(); ++i) {
            const double d = data.values[i] - mean_[i % data.columns];
            scale_[i % data.columns] += d * d / n;
        }
        for (double& s : scale_) s = s > 0 ? std::sqrt(s) : 1;
        for (size_t i = 0; i < data.values.size(); ++i)
            u_.push_back((data.values[i] - mean_[i % data.columns]) / scale_[i % data.columns]);
    }

    size_t unknowns() const { return data_.columns + 1; }

    double objective(std::span<const double> x) const {
        double sum = 0;
        for (size_t n = 0; n < data_.rows(); ++n) sum += softplus(data_.labels[n] == 1 ? -t(x, n) : t(x, n));
        sum *= c_;
        for (size_t i = 0; i < data_.columns; ++i) sum += penalty(i) * x[i] * x[i] / 2;
        return sum;
    }

    // The gradient, and the Hessian (unknowns, unknowns).
    void derivatives(std::span<const double> x, std::vector<double>& gradient,
                     std::vector<double>& hessian) const {
        const size_t k = unknowns();
        gradient.assign(k, 0);
        hessian.assign(k * k, 0);
        for (size_t n = 0; n < data_.rows(); ++n) {
            const double p = sigmoid(t(x, n));
            // p (1 - p) of a far row is 0, and the free bias' curvature must not vanish with it.
            const double curvature = std::max(p * sigmoid(-t(x, n)), 1e-300);
            for (size_t i = 0; i < k; ++i) {
                gradient[i] += c_ * (p - data_.labels[n]) * value(n, i);
                for (size_t j = 0; j < k; ++j)
                    hessian[i * k + j] += c_ * curvature * value(n, i) * value(n, j);
            }
        }
        for (size_t i = 0; i < data_.columns; ++i) {
            gradient[i] += penalty(i) * x[i];
            hessian[i * k + i] += penalty(i);
        }
    }

    LogisticModel model(std::span<const double> x) const {
        LogisticModel model{.weight = {}, .bias = x[data_.columns]};
        for (size_t i = 0; i < data_.columns; ++i) {
            model.weight.push_back(x[i] / scale_[i]);
            model.bias -= model.weight[i] * mean_[i];
        }
        return model;
    }

  private:
    const LabelledRows& data_;
    double c_;
    std::vector<double> mean_, scale_;
    std::vector<double> u_;

    double value(size_t n, size_t i) const { return i < data_.columns ? u_[n * data_.columns + i] : 1; }
    double penalty(size_t i) const { return 1 / (scale_[i] * scale_[i]); }
    double t(std::span<const double> x, size_t n) const {
        double sum = x[data_.columns];
        for (size_t i = 0; i < data_.columns; ++i) sum += x[i] * value(n, i);
        return sum;
    }
};

// Halves Newton's step until the objective falls enough (Armijo, up to its rounding); false where it does
// not.
bool advance(const Standardised& problem, std::vector<double>& x, std::span<const double> step,
             double slope) {
    const double before = problem.objective(x);
    for (double size = 1; size > 1e-10; size /= 2) {
        std::vector<double> next(x);
        for (size_t i = 0; i < x.size(); ++i) next[i] -= size * step[i];
        if (problem.objective(next) <= before - 1e-4 * size * slope + 1e-14 * before) {
            x = std::move(next);
            return true;
        }
    }
    return false;
}

LabelledRows rows_where(const LabelledRows& data, std::span<const int> fold, int number, bool inside) {
    LabelledRows part{.columns = data.columns, .values = {}, .labels = {}};
    for (size_t n = 0; n < data.rows(); ++n) {
        if ((fold[n] == number) != inside) continue;
        const auto row = data.row(n);
        part.values.insert(part.values.end(), row.begin(), row.end());
        part.labels.push_back(data.labels[n]);
    }
    return part;
}

double accuracy(const LogisticModel& model, const LabelledRows& data) {
    size_t right = 0;
    for (size_t n = 0; n < data.rows(); ++n)
        right += (decision(model, data.row(n)) > 0 ? 1 : 0) == data.labels[n] ? 1 : 0;
    return static_cast<double>(right) / static_cast<double>(data.rows());
}

}  // namespace

double decision(const LogisticModel& model, std::span<const double> row) {
    return std::inner_product(row.begin(), row.end(), model.weight.begin(), model.bias);
}

LogisticModel fit_logistic(const LabelledRows& data, double c) {
    constexpr int kMostSteps = 300;
    const Standardised problem(data, c);
    std::vector<double> x(problem.unknowns()), gradient, hessian;
    for (int i = 0; i < kMostSteps; ++i) {
        problem.derivatives(x, gradient, hessian);
        const std::vector<double> step = solve_positive_definite(hessian, gradient);
        const double slope = std::inner_product(step.begin(), step.end(), gradient.begin(), 0.0);
        // slope / 2 is how far the objective is from its minimum, up to third order.
        if (!(slope > 1e-22 * problem.objective(x)) || !advance(problem, x, step, slope)) break;
    }
    return problem.model(x);
}

std::vector<int> stratified_folds(std::span<const int> labels, int folds) {
    // Where the classes, sorted in order of appearance, are dealt out: so many rows of a class go to each
    // fold.
    const auto first = static_cast<size_t>(labels.empty() ? 0 : labels[0]);
    size_t count[2] = {0, 0};
    for (const int label : labels) ++count[label];
    if (count[0] < static_cast<size_t>(folds) || count[1] < static_cast<size_t>(folds))
        throw Error(ErrorKind::Usage, "cross-validation needs " + std::to_string(folds) +
                                          " rows of each class, there are " + std::to_string(count[0]) +
                                          " and " + std::to_string(count[1]));
    std::vector<size_t> room[2] = {std::vector<size_t>(static_cast<size_t>(folds)),
                                   std::vector<size_t>(static_cast<size_t>(folds))};
    for (size_t n = 0; n < labels.size(); ++n)
        ++room[n < count[first] ? first : 1 - first][n % static_cast<size_t>(folds)];
    std::vector<int> fold;
    size_t at[2] = {0, 0};
    for (const int label : labels) {
        while (room[label][at[label]] == 0) ++at[label];
        --room[label][at[label]];
        fold.push_back(static_cast<int>(at[label]));
    }
    return fold;
}

CrossValidated fit_logistic_cv(const LabelledRows& data) {
    constexpr int kFolds = 5, kPenalties = 10;
    const std::vector<int> folds = stratified_folds(data.labels, kFolds);
    CrossValidated best;
    for (int i = 0; i < kPenalties; ++i) {
        const double c = std::pow(10.0, -4 + 8.0 * i / (kPenalties - 1));
        double sum = 0;
        for (int fold = 0; fold < kFolds; ++fold)
            sum += accuracy(fit_logistic(rows_where(data, folds, fold, false), c),
                            rows_where(data, folds, fold, true));
        if (i > 0 && !(sum / kFolds > best.accuracy)) continue;
        best.c = c;
        best.accuracy = sum / kFolds;
    }
    best.model = fit_logistic(data, best.c);
    return best;
}

}  // namespace gs
