#include "metrics/roc.h"

#include <algorithm>
#include <cmath>

namespace gs {

double precision(const RocPoint& p) {
    return double(p.tp) / double(p.tp + p.fp);
}

std::vector<double> sorted_without_nan(std::span<const double> scores) {
    std::vector<double> kept;
    kept.reserve(scores.size());
    for (double s : scores)
        if (!std::isnan(s)) kept.push_back(s);
    std::sort(kept.begin(), kept.end());
    return kept;
}

RocCurve roc_curve(std::span<const double> id, std::span<const double> ood) {
    RocCurve curve{{}, int64_t(id.size()), int64_t(ood.size())};
    auto i = id.rbegin(), o = ood.rbegin();
    while (i != id.rend() || o != ood.rend()) {
        double threshold;
        if (i == id.rend()) {
            threshold = *o;
        } else {
            threshold = o == ood.rend() ? *i : std::max(*i, *o);
        }
        while (i != id.rend() && *i >= threshold) ++i;
        while (o != ood.rend() && *o >= threshold) ++o;
        curve.points.push_back({i - id.rbegin(), o - ood.rbegin(), threshold});
    }
    return curve;
}

}  // namespace gs
