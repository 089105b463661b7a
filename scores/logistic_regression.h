// Logistic regression with an L2 penalty, and the choice of the penalty by cross-validation: what
// Mahalanobis' layers are combined with. The objective and the folds are scikit-learn's (LogisticRegressionCV
// with its defaults); the fit runs to convergence.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gs {

struct LogisticModel {
    std::vector<double> weight;
    double bias = 0;
};

// Rows of `columns` values each, and their classes, 0 or 1.
struct LabelledRows {
    size_t columns = 0;
    std::vector<double> values;
    std::vector<int> labels;

    size_t rows() const { return labels.size(); }
    std::span<const double> row(size_t n) const { return std::span(values).subspan(n * columns, columns); }
};

// weight . row + bias: above 0 for class 1.
double decision(const LogisticModel& model, std::span<const double> row);

// argmin |weight|^2 / 2 + c sum_n log(1 + exp(-y_n (weight . row_n + bias))), y = +-1; the bias is free.
// Newton's method on standardised columns, whose penalty stays that of the weights as they are. Needs rows of
// both classes.
LogisticModel fit_logistic(const LabelledRows& data, double c);

// Which of `folds` parts each row is tested in: stratified, in order (StratifiedKFold without shuffling).
// Throws Error(Usage) where a class has fewer rows than folds.
std::vector<int> stratified_folds(std::span<const int> labels, int folds);

// Over c = 10 values from 1e-4 to 1e4: the smallest with the best mean accuracy in 5 stratified folds, fitted
// again to all rows.
struct CrossValidated {
    LogisticModel model;
    double c = 0, accuracy = 0;
};
CrossValidated fit_logistic_cv(const LabelledRows& data);

}  // namespace gs
