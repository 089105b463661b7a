// A ROC curve with few enough points to draw, and how far that drawing is from the whole curve.
#pragma once

#include <cstddef>
#include <vector>

#include "metrics/roc.h"

namespace gs {

struct ReducedRoc {
    std::vector<RocPoint> points;  // some of the curve's, in order; the first and the last are among them
    // The farthest that a point of the curve lies from the polygon through (0, 0) and `points`, in the plane
    // of FPR and recall, as the larger of the two differences; and the same of recall and precision (through
    // `points` alone, as precision has no value at recall 0).
    double roc_error = 0, precision_error = 0;
};

struct RocTolerance {
    double roc = 5e-4, precision = 2.5e-3;
};

// At most `most` points (4 or more). It begins with points a hundredth apart on each axis, and the first of
// recall >= 0.95; then the span that is farthest off, measured by the tolerances, is split at its farthest
// point until none is beyond them or the points are used up. The curve must have points.
ReducedRoc reduce_roc(const RocCurve& curve, size_t most, const RocTolerance& tolerance = {});

}  // namespace gs
