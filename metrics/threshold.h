// A score threshold that accepts a wanted share of in-distribution images. Higher scores mean more
// in-distribution; an image is accepted where score >= threshold.
#pragma once

#include <cstdint>
#include <span>

namespace gs {

// The largest threshold t such that the share of `id` scores >= t is at least `tpr`, in (0, 1]: the k-th
// largest score, k the smallest count with k / n >= tpr in double arithmetic. Equal scores are accepted
// together, so that more than tpr may be accepted. NaN scores are left out, as in detection_metrics(); with
// none left the result is NaN. O(n).
double threshold_at_tpr(std::span<const double> id, double tpr);

struct Acceptance {
    int64_t scores = 0, accepted = 0;  // scores: without NaN
    int64_t nan = 0;                   // left out
    double rate() const;               // accepted / scores; NaN without scores
    bool operator==(const Acceptance&) const = default;
};
Acceptance count_accepted(std::span<const double> scores, double threshold);

}  // namespace gs
