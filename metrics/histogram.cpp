#include "metrics/histogram.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gs {

BinRange bin_range(std::span<const std::span<const double>> sets) {
    BinRange range{std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
    for (const auto& set : sets) {
        std::vector<double> finite;
        std::copy_if(set.begin(), set.end(), std::back_inserter(finite),
                     [](double s) { return std::isfinite(s); });
        if (finite.empty()) continue;
        const auto tail = static_cast<std::ptrdiff_t>(finite.size() / 200);
        std::nth_element(finite.begin(), finite.begin() + tail, finite.end());
        range.low = std::min(range.low, finite[static_cast<size_t>(tail)]);
        std::nth_element(finite.begin(), finite.end() - 1 - tail, finite.end());
        range.high = std::max(range.high, *(finite.end() - 1 - tail));
    }
    if (!(range.low <= range.high)) return {};
    // Differences of huge values stay finite: bins are found by halves.
    const double width = range.high / 2 - range.low / 2,
                 size = std::max(std::abs(range.low), std::abs(range.high));
    if (width <= 1e-12 * size) {
        // A tenth of the least numbers, and a half of such, would be 0.
        constexpr double kLeast = std::numeric_limits<double>::min(),
                         kMost = std::numeric_limits<double>::max();
        const double room = size > 0 ? std::max(size / 10, kLeast) : 0.5;
        return {std::max(range.low - room, -kMost), std::min(range.high + room, kMost)};
    }
    return range;
}

std::vector<int64_t> histogram(std::span<const double> scores, const BinRange& range, int bins) {
    std::vector<int64_t> counts(static_cast<size_t>(bins));
    const double width = range.high / 2 - range.low / 2;
    for (const double s : scores) {
        if (std::isnan(s)) continue;
        const double at = std::clamp((s / 2 - range.low / 2) / width * bins, 0.0, double(bins - 1));
        ++counts[static_cast<size_t>(at)];
    }
    return counts;
}

}  // namespace gs
