// The ROC curve of in-distribution (ID, positive) against out-of-distribution (OOD) scores, from which every
// figure of detection_metrics() is taken.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gs {

// Samples with score >= threshold: of the positives (tp) and of the negatives (fp).
struct RocPoint {
    int64_t tp = 0, fp = 0;
    double threshold = 0;
};

// One point a distinct score, from the strictest threshold to the one that calls everything positive; ties
// enter as one group, so no metric can depend on the order of equal scores. The point (0, 0) is not stored.
struct RocCurve {
    std::vector<RocPoint> points;
    int64_t positives = 0, negatives = 0;
    double recall(const RocPoint& p) const { return double(p.tp) / double(positives); }
    double fpr(const RocPoint& p) const { return double(p.fp) / double(negatives); }
};
double precision(const RocPoint& p);  // tp / (tp + fp)

// Ascending; NaN left out.
std::vector<double> sorted_without_nan(std::span<const double> scores);

// `id` and `ood` ascend and hold no NaN. O(n).
RocCurve roc_curve(std::span<const double> id, std::span<const double> ood);

}  // namespace gs
