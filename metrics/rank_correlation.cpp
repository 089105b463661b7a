#include "metrics/rank_correlation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/error.h"

namespace gs {
namespace {

double pearson_of_ranks(const std::vector<double>& a, const std::vector<double>& b) {
    constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
    if (a.size() < 2) return kNaN;
    const double mean = (double(a.size()) + 1) / 2;  // of both, ties or not
    double ab = 0, aa = 0, bb = 0;
    for (size_t k = 0; k < a.size(); ++k) {
        const double x = a[k] - mean, y = b[k] - mean;
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    if (aa == 0 || bb == 0) return kNaN;
    return std::clamp(ab / std::sqrt(aa * bb), -1.0, 1.0);
}

bool has_nan(std::span<const double> values) {
    return std::any_of(values.begin(), values.end(), [](double v) { return std::isnan(v); });
}

}  // namespace

std::vector<double> mean_ranks(std::span<const double> values) {
    std::vector<size_t> order(values.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(), [&](size_t i, size_t j) { return values[i] < values[j]; });
    std::vector<double> ranks(values.size());
    for (size_t first = 0; first < order.size();) {
        size_t last = first + 1;
        while (last < order.size() && values[order[last]] == values[order[first]]) ++last;
        const double rank = double(first + last + 1) / 2;
        for (; first < last; ++first) ranks[order[first]] = rank;
    }
    return ranks;
}

double rank_correlation(std::span<const double> a, std::span<const double> b) {
    GS_REQUIRE(a.size() == b.size());
    std::vector<double> x, y;
    for (size_t k = 0; k < a.size(); ++k) {
        if (std::isnan(a[k]) || std::isnan(b[k])) continue;
        x.push_back(a[k]);
        y.push_back(b[k]);
    }
    return pearson_of_ranks(mean_ranks(x), mean_ranks(y));
}

std::vector<std::vector<double>> rank_correlations(std::span<const std::vector<double>> columns) {
    std::vector<std::vector<double>> ranks;
    for (const auto& column : columns)
        ranks.push_back(has_nan(column) ? std::vector<double>{} : mean_ranks(column));
    std::vector<std::vector<double>> matrix(columns.size(), std::vector<double>(columns.size()));
    for (size_t i = 0; i < columns.size(); ++i)
        for (size_t j = i; j < columns.size(); ++j) {
            const bool ranked = ranks[i].size() == columns[i].size() && ranks[j].size() == columns[j].size();
            matrix[i][j] = matrix[j][i] =
                ranked ? pearson_of_ranks(ranks[i], ranks[j]) : rank_correlation(columns[i], columns[j]);
        }
    return matrix;
}

}  // namespace gs
