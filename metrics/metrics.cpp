#include "metrics/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "metrics/roc.h"

namespace gs {
namespace {

constexpr double kRecall = 0.95;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// The same groups seen from below: OOD positive, `score <= threshold` is positive.
RocCurve ood_positive_curve(const RocCurve& id) {
    RocCurve curve{{}, id.negatives, id.positives};
    curve.points.reserve(id.points.size());
    for (size_t k = id.points.size(); k-- > 1;)
        curve.points.push_back(
            {id.negatives - id.points[k - 1].fp, id.positives - id.points[k - 1].tp, id.points[k].threshold});
    curve.points.push_back({id.negatives, id.positives, id.points.front().threshold});
    return curve;
}

// Mann-Whitney's U over n·m, counted in halves so that it is exact until the division.
double auroc(const RocCurve& curve) {
    int64_t halves = 0;
    RocPoint last;
    for (const RocPoint& p : curve.points) {
        halves += (p.fp - last.fp) * (p.tp + last.tp);
        last = p;
    }
    return double(halves) / 2 / double(curve.positives) / double(curve.negatives);
}

double average_precision(const RocCurve& curve) {
    double sum = 0, last = 0;
    for (const RocPoint& p : curve.points) {
        sum += (curve.recall(p) - last) * precision(p);
        last = curve.recall(p);
    }
    return sum;
}

// Area under precision over recall by trapezoids. The curve has no precision at recall 0: scikit-learn begins
// at 1 there, cal_metric at 0. (cal_metric's other pseudo-point, precision 1/2 at recall 1, has no width.)
double trapezoid_aupr(const RocCurve& curve, double precision_at_zero) {
    double sum = 0, last_recall = 0, last_precision = precision_at_zero;
    for (const RocPoint& p : curve.points) {
        sum += (curve.recall(p) - last_recall) * (precision(p) + last_precision) / 2;
        last_recall = curve.recall(p);
        last_precision = precision(p);
    }
    return sum;
}

// The recall nearest to .95 in double arithmetic, from the first point of full recall towards stricter
// thresholds; the first of equals wins. 0.95 - 0.9 < 1 - 0.95 in double, so ten ID samples end at recall 0.9.
double fpr_closest(const RocCurve& curve) {
    size_t k = 0;
    while (curve.points[k].tp < curve.positives) ++k;
    size_t best = k;
    while (k-- > 0)
        if (std::abs(curve.recall(curve.points[k]) - kRecall) <
            std::abs(curve.recall(curve.points[best]) - kRecall))
            best = k;
    return curve.fpr(curve.points[best]);
}

double fpr_first(const RocCurve& curve) {
    const auto at = std::find_if(curve.points.begin(), curve.points.end(),
                                 [&](const RocPoint& p) { return curve.recall(p) >= kRecall; });
    return curve.fpr(*at);
}

// scikit-learn's roc_curve(drop_intermediate=True): an inner point goes where the groups before and after it
// add the same counts. (Collinear points of unequal steps stay, and so does everything where there are only
// two points.)
RocCurve without_collinear_points(const RocCurve& curve) {
    const auto& p = curve.points;
    RocCurve kept{{}, curve.positives, curve.negatives};
    for (size_t k = 0; k < p.size(); ++k) {
        const bool inner = k > 0 && k + 1 < p.size();
        if (inner && p[k + 1].tp - p[k].tp == p[k].tp - p[k - 1].tp &&
            p[k + 1].fp - p[k].fp == p[k].fp - p[k - 1].fp)
            continue;
        kept.points.push_back(p[k]);
    }
    return kept;
}

// cal_metric's minimum over thresholds of both errors over all samples; "nothing is positive" is a threshold
// too.
double detection_error(const RocCurve& curve) {
    int64_t best = curve.positives;
    for (const RocPoint& p : curve.points) best = std::min(best, curve.positives - p.tp + p.fp);
    return double(best) / double(curve.positives + curve.negatives);
}

// nearbyint rounds halves to even, as Python's round and numpy's do: n = 10 gives 0, n = 30 gives 2, n = 50
// gives 2.
double fpr_at_fixed_threshold(const std::vector<double>& id, const std::vector<double>& ood) {
    const auto at = static_cast<size_t>(std::nearbyint(0.05 * double(id.size())));
    const auto above = ood.end() - std::upper_bound(ood.begin(), ood.end(), id[at]);
    return double(above) / double(ood.size());
}

void set_all_to_nan(DetectionMetrics& m) {
    m.auroc = m.aupr_in = m.aupr_out = m.aupr_in_trapezoid = m.aupr_out_trapezoid = kNaN;
    m.aupr_in_openood = m.aupr_out_openood = m.dterr = kNaN;
    m.fpr95_closest = m.fpr95_first = m.fpr95_threshold = kNaN;
    m.fpr95_ood_positive = m.fpr95_ood_positive_closest = kNaN;
}

}  // namespace

DetectionMetrics detection_metrics(std::span<const double> id_scores, std::span<const double> ood_scores) {
    const std::vector<double> id = sorted_without_nan(id_scores), ood = sorted_without_nan(ood_scores);
    DetectionMetrics m;
    m.id_count = int64_t(id.size());
    m.ood_count = int64_t(ood.size());
    m.id_excluded = int64_t(id_scores.size()) - m.id_count;
    m.ood_excluded = int64_t(ood_scores.size()) - m.ood_count;
    if (id.empty() || ood.empty()) {
        set_all_to_nan(m);
        return m;
    }
    const RocCurve id_curve = roc_curve(id, ood), ood_curve = ood_positive_curve(id_curve);
    m.auroc = auroc(id_curve);
    m.aupr_in = average_precision(id_curve);
    m.aupr_out = average_precision(ood_curve);
    m.aupr_in_trapezoid = trapezoid_aupr(id_curve, 0);
    m.aupr_out_trapezoid = trapezoid_aupr(ood_curve, 0);
    m.aupr_in_openood = trapezoid_aupr(ood_curve, 1);
    m.aupr_out_openood = trapezoid_aupr(id_curve, 1);
    m.dterr = detection_error(id_curve);
    m.fpr95_closest = fpr_closest(id_curve);
    m.fpr95_first = fpr_first(id_curve);
    m.fpr95_threshold = fpr_at_fixed_threshold(id, ood);
    m.fpr95_ood_positive = fpr_first(without_collinear_points(ood_curve));
    m.fpr95_ood_positive_closest = fpr_closest(ood_curve);
    return m;
}

}  // namespace gs
