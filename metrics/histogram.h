// Histograms of several sets over the same bins.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gs {

struct BinRange {
    double low = 0, high = 1;  // finite, low < high
};

// The range that holds the middle of every set: from the least 0.5 % quantile to the greatest 99.5 %
// quantile. NaN and infinities are left out; with nothing left it is 0 to 1, and around a single value it has
// a width.
BinRange bin_range(std::span<const std::span<const double>> sets);

// How many scores lie in each of `bins` equal parts; those beyond count in the first or the last, NaN
// nowhere.
std::vector<int64_t> histogram(std::span<const double> scores, const BinRange& range, int bins);

}  // namespace gs
