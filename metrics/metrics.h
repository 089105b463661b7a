// Detection metrics of in-distribution (ID) against out-of-distribution (OOD) scores, in every published
// convention. Scores: higher means more in-distribution. All results are fractions in [0, 1].
#pragma once

#include <cstdint>
#include <span>

namespace gs {

// Names and conventions: docs/metrics.md. ID is the positive class unless the comment, as the table there,
// says that OOD is. Names do not tell: OpenOOD's "in" has OOD positive, its "out" ID.
struct DetectionMetrics {
    int64_t id_count = 0, ood_count = 0;        // scores used
    int64_t id_excluded = 0, ood_excluded = 0;  // NaN
    double auroc = 0;                           // Mann-Whitney, ties count one half
    double aupr_in = 0;                         // average precision, ID positive (get_measures)
    double aupr_out = 0;                        // average precision of the negated scores, OOD positive
    double aupr_in_trapezoid = 0;               // cal_metric (GAIA-OOD)
    double aupr_out_trapezoid = 0;              // the same of the negated scores, OOD positive
    double aupr_in_openood = 0;                 // OpenOOD v1.5's "aupr_in": OOD positive, trapezoid
    double aupr_out_openood = 0;                // OpenOOD v1.5's "aupr_out": ID positive, trapezoid
    double dterr = 0;                           // cal_metric: min ((n - tp) + fp) / (n + m)
    double fpr95_closest = 0;                   // get_measures: recall closest to .95
    double fpr95_first = 0;                     // textbook: first threshold with ID recall >= .95
    double fpr95_threshold = 0;                 // cal_metric: sorted_ID[round(.05 n)], strict
    double fpr95_ood_positive = 0;              // OpenOOD: OOD positive, first ROC point with recall >= .95
    double fpr95_ood_positive_closest = 0;      // outlier-exposure: OOD positive
};

// O(n log n). NaN scores are left out and counted; infinities are ranked. With no scores left on a side every
// figure is NaN.
DetectionMetrics detection_metrics(std::span<const double> id, std::span<const double> ood);

}  // namespace gs
