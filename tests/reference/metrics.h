// Detection metrics the slow way: each figure by the definition or the steps of the published script that
// reports it, with loops over all samples at every threshold. Nothing here is shared with metrics/. No NaN,
// no empty side.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <set>
#include <vector>

namespace gs::ref {

using Scores = std::vector<double>;

inline Scores negated(Scores s) {
    for (double& v : s) v = -v;
    return s;
}

inline int64_t count_at_least(const Scores& s, double threshold) {
    return std::count_if(s.begin(), s.end(), [&](double v) { return v >= threshold; });
}

// Every pair of a positive and a negative sample: 1 for the right order, 1/2 for a tie.
inline double auroc(const Scores& positive, const Scores& negative) {
    double won = 0;
    for (double p : positive)
        for (double n : negative) won += p > n ? 1.0 : p == n ? 0.5 : 0.0;
    return won / double(positive.size()) / double(negative.size());
}

// Counts at every distinct threshold, falling: score >= threshold is positive (scikit-learn's
// _binary_clf_curve).
struct Counts {
    std::vector<int64_t> tps, fps;
};
inline Counts binary_clf_curve(const Scores& positive, const Scores& negative) {
    std::set<double, std::greater<>> thresholds(positive.begin(), positive.end());
    thresholds.insert(negative.begin(), negative.end());
    Counts c;
    for (double t : thresholds) {
        c.tps.push_back(count_at_least(positive, t));
        c.fps.push_back(count_at_least(negative, t));
    }
    return c;
}

inline double average_precision(const Scores& positive, const Scores& negative) {
    const Counts c = binary_clf_curve(positive, negative);
    double sum = 0, last = 0;
    for (size_t k = 0; k < c.tps.size(); ++k) {
        const double recall = double(c.tps[k]) / double(positive.size());
        sum += (recall - last) * double(c.tps[k]) / double(c.tps[k] + c.fps[k]);
        last = recall;
    }
    return sum;
}

// fpr_and_fdr_at_recall of the outlier-exposure code, with its reversed slice and its appended point (1, 0).
inline double fpr_at_closest_recall(const Scores& positive, const Scores& negative) {
    const Counts c = binary_clf_curve(positive, negative);
    const auto last = std::lower_bound(c.tps.begin(), c.tps.end(), c.tps.back()) - c.tps.begin();
    std::vector<double> recall;
    std::vector<int64_t> fps;
    for (auto k = last; k >= 0; --k) {
        recall.push_back(double(c.tps[size_t(k)]) / double(c.tps.back()));
        fps.push_back(c.fps[size_t(k)]);
    }
    recall.push_back(1);
    fps.push_back(0);
    for (double& r : recall) r = std::abs(r - 0.95);
    const auto best =
        std::min_element(recall.begin(), recall.end()) - recall.begin();  // the first, as argmin
    return double(fps[size_t(best)]) / double(negative.size());
}

inline double fpr_at_first_recall(const Scores& positive, const Scores& negative) {
    const Counts c = binary_clf_curve(positive, negative);
    size_t k = 0;
    while (double(c.tps[k]) / double(positive.size()) < 0.95) ++k;
    return double(c.fps[k]) / double(negative.size());
}

// roc_curve of scikit-learn as OpenOOD calls it: np.diff(fps, 2) | np.diff(tps, 2) keeps the inner points,
// then the first with recall >= .95. Here OOD is the caller's positive side.
inline double fpr_of_thinned_roc(const Scores& positive, const Scores& negative) {
    const Counts c = binary_clf_curve(positive, negative);
    const size_t n = c.tps.size();
    for (size_t k = 0; k < n; ++k) {
        bool keep = true;
        if (n > 2 && k > 0 && k < n - 1)
            keep = c.fps[k + 1] - 2 * c.fps[k] + c.fps[k - 1] != 0 ||
                   c.tps[k + 1] - 2 * c.tps[k] + c.tps[k - 1] != 0;
        if (keep && double(c.tps[k]) / double(positive.size()) >= 0.95)
            return double(c.fps[k]) / double(negative.size());
    }
    std::abort();  // the last point has recall 1
}

// sklearn.metrics.auc(recall, precision) of precision_recall_curve, which ends at recall 0, precision 1.
inline double trapezoid_pr(const Scores& positive, const Scores& negative) {
    const Counts c = binary_clf_curve(positive, negative);
    double area = 0, last_recall = 0, last_precision = 1;
    for (size_t k = 0; k < c.tps.size(); ++k) {
        const double recall = double(c.tps[k]) / double(positive.size());
        const double precision = double(c.tps[k]) / double(c.tps[k] + c.fps[k]);
        area += 0.5 * (recall - last_recall) * (precision + last_precision);
        last_recall = recall;
        last_precision = precision;
    }
    return area;
}

// GAIA's cal_metric (from ODIN's calMetric): one entry for each sample passed, then equal neighbours are
// merged.
struct CalMetric {
    double fpr, auroc, dterr, auin, auout;
};
struct Walk {
    std::vector<int64_t> tp, fp;
};

inline Walk cal_metric_walk(const Scores& known, const Scores& novel) {  // both ascending
    const size_t n = known.size(), m = novel.size();
    Walk w{std::vector<int64_t>(n + m + 1), std::vector<int64_t>(n + m + 1)};
    w.tp[0] = int64_t(n);
    w.fp[0] = int64_t(m);
    size_t k = 0, o = 0;
    for (size_t l = 0; l < n + m; ++l) {
        const bool take_novel = k == n || (o < m && novel[o] < known[k]);
        w.tp[l + 1] = w.tp[l] - (take_novel ? 0 : 1);
        w.fp[l + 1] = w.fp[l] - (take_novel ? 1 : 0);
        ++(take_novel ? o : k);
    }
    Scores all = known;
    all.insert(all.end(), novel.begin(), novel.end());
    std::sort(all.begin(), all.end());
    for (size_t j = n + m - 1; j >= 1; --j)
        if (all[j] == all[j - 1]) {
            w.tp[j] = w.tp[j + 1];
            w.fp[j] = w.fp[j + 1];
        }
    return w;
}

inline double trapezoid(const std::vector<double>& y, const std::vector<double>& x) {
    double area = 0;
    for (size_t k = 1; k < x.size(); ++k) area += (x[k] - x[k - 1]) * (y[k] + y[k - 1]) / 2;
    return area;
}

inline CalMetric cal_metric(Scores known, Scores novel) {
    std::sort(known.begin(), known.end());
    std::sort(novel.begin(), novel.end());
    const double n = double(known.size()), m = double(novel.size());
    const Walk w = cal_metric_walk(known, novel);
    CalMetric result{0, 0, 2, 0, 0};
    std::vector<double> tpr{1}, not_fpr{0}, recall_in{1}, precision_in{.5}, recall_out{0}, precision_out{0};
    for (size_t k = 0; k < w.tp.size(); ++k) {
        const double tp = double(w.tp[k]), fp = double(w.fp[k]);
        tpr.push_back(tp / n);
        not_fpr.push_back(1 - fp / m);
        result.dterr = std::min(result.dterr, (n - tp + fp) / (n + m));
        if (tp + fp > 0) {
            recall_in.push_back(tp / n);
            precision_in.push_back(tp / (tp + fp));
        }
        if (n - tp + m - fp > 0) {
            recall_out.push_back(1 - fp / m);
            precision_out.push_back((m - fp) / (n - tp + m - fp));
        }
    }
    tpr.push_back(0), not_fpr.push_back(1);
    recall_in.push_back(0), precision_in.push_back(0);
    recall_out.push_back(1), precision_out.push_back(.5);
    result.auroc = -trapezoid(not_fpr, tpr);
    result.auin = -trapezoid(precision_in, recall_in);
    result.auout = trapezoid(precision_out, recall_out);
    // Python's round: to even at exact halves of the product in double.
    const double product = 0.05 * n, floor = std::floor(product), rest = product - floor;
    const bool up = rest > 0.5 || (rest == 0.5 && std::fmod(floor, 2) == 1);
    const double threshold = known[size_t(floor) + (up ? 1 : 0)];
    result.fpr =
        double(std::count_if(novel.begin(), novel.end(), [&](double v) { return v > threshold; })) / m;
    return result;
}

}  // namespace gs::ref
