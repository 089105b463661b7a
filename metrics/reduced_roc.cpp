#include "metrics/reduced_roc.h"

#include <algorithm>
#include <cmath>
#include <queue>

#include "core/error.h"

namespace gs {
namespace {

constexpr size_t kOrigin = SIZE_MAX;  // the point (0, 0), before points[0]

struct Span {
    size_t first = 0, last = 0, farthest = 0;  // indices of points; `first` may be kOrigin
    double roc = 0, precision = 0, worst = 0;  // worst: in units of the tolerances
    bool operator<(const Span& other) const { return worst < other.worst; }
};

// How far (px, py) lies from the chord to (dx, dy): the distance to its line with the larger difference as
// norm. The curve climbs inside the box of which the chord is a diagonal, so that the line's nearest point is
// on the chord.
double from_diagonal(double px, double py, double dx, double dy) {
    return std::abs(px * dy - py * dx) / (dx + dy);
}

// Euclidean, to the chord itself; no less than with the larger difference as norm.
double from_chord(double px, double py, double dx, double dy) {
    const double length = dx * dx + dy * dy;
    const double along = length > 0 ? std::clamp((px * dx + py * dy) / length, 0.0, 1.0) : 0.0;
    return std::hypot(px - along * dx, py - along * dy);
}

class Reduction {
  public:
    Reduction(const RocCurve& curve, const RocTolerance& tolerance) : curve_(curve), tolerance_(tolerance) {}

    Span measure(size_t first, size_t last) const {
        Span span{first, last, last, 0, 0, 0};
        const RocPoint from = first == kOrigin ? RocPoint{} : curve_.points[first];
        const RocPoint& to = curve_.points[last];
        const double x = curve_.fpr(from), y = curve_.recall(from);
        const double p = first == kOrigin ? 0 : precision(from);
        for (size_t k = first == kOrigin ? 0 : first + 1; k < last; ++k) {
            const RocPoint& at = curve_.points[k];
            const double roc = from_diagonal(curve_.fpr(at) - x, curve_.recall(at) - y, curve_.fpr(to) - x,
                                             curve_.recall(to) - y);
            const double other = first == kOrigin ? 0
                                                  : from_chord(curve_.recall(at) - y, precision(at) - p,
                                                               curve_.recall(to) - y, precision(to) - p);
            span.roc = std::max(span.roc, roc);
            span.precision = std::max(span.precision, other);
            const double worst = std::max(roc / tolerance_.roc, other / tolerance_.precision);
            if (worst > span.worst) {
                span.worst = worst;
                span.farthest = k;
            }
        }
        return span;
    }

    // The first point, the last, and those between that are a hundredth on from the one before.
    std::vector<size_t> grid(size_t most) const {
        const double step = std::max(0.01, 4.0 / static_cast<double>(most));
        std::vector<size_t> kept{0};
        const auto& points = curve_.points;
        for (size_t k = 1; k + 1 < points.size(); ++k) {
            const RocPoint& before = points[kept.back()];
            const bool at_95 = curve_.recall(points[k]) >= 0.95 && curve_.recall(points[k - 1]) < 0.95;
            if (at_95 || curve_.recall(points[k]) - curve_.recall(before) >= step ||
                curve_.fpr(points[k]) - curve_.fpr(before) >= step)
                kept.push_back(k);
        }
        if (points.size() > 1) kept.push_back(points.size() - 1);
        return kept;
    }

  private:
    const RocCurve& curve_;
    RocTolerance tolerance_;
};

}  // namespace

ReducedRoc reduce_roc(const RocCurve& curve, size_t most, const RocTolerance& tolerance) {
    GS_REQUIRE(!curve.points.empty() && curve.positives > 0 && curve.negatives > 0 && most >= 4);
    const Reduction reduction(curve, tolerance);
    std::vector<size_t> kept = reduction.grid(most);
    std::priority_queue<Span> spans;
    spans.push(reduction.measure(kOrigin, kept.front()));
    for (size_t k = 1; k < kept.size(); ++k) spans.push(reduction.measure(kept[k - 1], kept[k]));
    while (kept.size() < most && spans.top().worst > 1) {
        const Span worst = spans.top();
        spans.pop();
        kept.push_back(worst.farthest);
        spans.push(reduction.measure(worst.first, worst.farthest));
        spans.push(reduction.measure(worst.farthest, worst.last));
    }
    std::sort(kept.begin(), kept.end());
    ReducedRoc reduced;
    for (const size_t k : kept) reduced.points.push_back(curve.points[k]);
    for (; !spans.empty(); spans.pop()) {
        reduced.roc_error = std::max(reduced.roc_error, spans.top().roc);
        reduced.precision_error = std::max(reduced.precision_error, spans.top().precision);
    }
    return reduced;
}

}  // namespace gs
