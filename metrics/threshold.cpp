#include "metrics/threshold.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "core/error.h"

namespace gs {

double threshold_at_tpr(std::span<const double> id, double tpr) {
    GS_REQUIRE(tpr > 0 && tpr <= 1);
    std::vector<double> scores;
    std::copy_if(id.begin(), id.end(), std::back_inserter(scores), [](double s) { return !std::isnan(s); });
    if (scores.empty()) return std::numeric_limits<double>::quiet_NaN();
    const auto n = static_cast<int64_t>(scores.size());
    const auto reaches = [&](int64_t count) { return double(count) / double(n) >= tpr; };
    int64_t k = std::clamp(static_cast<int64_t>(std::ceil(tpr * double(n))), int64_t{1}, n);
    while (!reaches(k)) ++k;  // the product was rounded; n / n reaches every tpr
    while (k > 1 && reaches(k - 1)) --k;
    std::nth_element(scores.begin(), scores.begin() + (k - 1), scores.end(), std::greater<>());
    return scores[static_cast<size_t>(k - 1)];
}

double Acceptance::rate() const {
    return scores > 0 ? double(accepted) / double(scores) : std::numeric_limits<double>::quiet_NaN();
}

Acceptance count_accepted(std::span<const double> scores, double threshold) {
    Acceptance counts;
    for (double s : scores) {
        counts.nan += std::isnan(s) ? 1 : 0;
        counts.accepted += s >= threshold ? 1 : 0;
    }
    counts.scores = static_cast<int64_t>(scores.size()) - counts.nan;
    return counts;
}

}  // namespace gs
