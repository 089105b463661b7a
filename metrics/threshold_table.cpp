#include "metrics/threshold_table.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "metrics/threshold.h"

namespace gs {
namespace {

// `count` values at equal distances in rank, the least and the greatest among them.
void add_quantiles(const std::vector<double>& sorted, size_t count, std::vector<double>& to) {
    const size_t n = std::min(std::max<size_t>(count, 2), sorted.size());
    for (size_t k = 0; k < n; ++k)
        to.push_back(n == 1 ? sorted.front() : sorted[k * (sorted.size() - 1) / (n - 1)]);
}

}  // namespace

ThresholdTable threshold_table(std::span<const std::vector<double>> sets, size_t most) {
    ThresholdTable table;
    for (const auto& set : sets) table.scores.push_back(static_cast<int64_t>(set.size()));
    table.accepted.resize(sets.size());
    if (sets.empty() || sets.front().empty()) return table;
    const double at_95 = threshold_at_tpr(sets.front(), 0.95);
    auto& thresholds = table.thresholds;
    thresholds.push_back(at_95);
    for (size_t s = 0; s < sets.size(); ++s)
        add_quantiles(sets[s], s == 0 ? most / 2 : most / 2 / (sets.size() - 1), thresholds);
    std::erase_if(thresholds, [](double t) { return !std::isfinite(t); });
    std::sort(thresholds.begin(), thresholds.end());
    thresholds.erase(std::unique(thresholds.begin(), thresholds.end()), thresholds.end());
    table.below.assign(thresholds.size(), -std::numeric_limits<double>::infinity());
    for (size_t s = 0; s < sets.size(); ++s)
        for (size_t k = 0; k < thresholds.size(); ++k) {
            const auto first = std::lower_bound(sets[s].begin(), sets[s].end(), thresholds[k]);
            table.accepted[s].push_back(sets[s].end() - first);
            if (first != sets[s].begin()) table.below[k] = std::max(table.below[k], *(first - 1));
        }
    if (thresholds.empty()) return table;
    const auto after = std::upper_bound(thresholds.begin(), thresholds.end(), at_95);
    table.at_95 = after == thresholds.begin() ? 0 : static_cast<size_t>(after - thresholds.begin() - 1);
    table.reaches_95 = double(table.accepted[0][table.at_95]) / double(table.scores[0]) >= 0.95;
    return table;
}

}  // namespace gs
