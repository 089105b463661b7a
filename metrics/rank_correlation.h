// Spearman's rank correlation: how far two scores agree on an order.
#pragma once

#include <span>
#include <vector>

namespace gs {

// Ranks from 1 on, equal values share their mean rank. No NaN.
std::vector<double> mean_ranks(std::span<const double> values);

// Pearson's correlation of the mean ranks, from -1 to 1. Pairs with a NaN are left out; NaN where fewer than
// two pairs are left or all values of a side are equal. O(n log n).
double rank_correlation(std::span<const double> a, std::span<const double> b);

// Of every column with every other, [row][column]: as rank_correlation(), each column ranked once.
std::vector<std::vector<double>> rank_correlations(std::span<const std::vector<double>> columns);

}  // namespace gs
