#!/usr/bin/env python3
"""Writes metrics.json beside itself: score arrays and what scikit-learn and the published rules make of them.

usage: make_metrics.py [--out FILE]      (numpy, scikit-learn)

Scores are rounded to four decimals so that the file stays small and readable. get_measures is gradnorm_ood's and
MOS's, cal_metric GAIA-OOD's, openood OpenOOD v1.5's; outlier_exposure is get_measures with OOD as positive class.
scikit-learn refuses infinities, so a case that has them is computed with stand-ins beyond all other scores; the file
holds the strings "inf" and "-inf".
"""
import argparse
import json
import os

import numpy as np
import sklearn
import sklearn.metrics as skm

STAND_IN = 1e6


def fpr_closest(pos, neg):
    thresholds = np.unique(np.r_[pos, neg])[::-1]
    tp = np.array([(pos >= t).sum() for t in thresholds])
    fp = np.array([(neg >= t).sum() for t in thresholds])
    first_full = int(np.searchsorted(tp, tp[-1]))
    recall = np.r_[(tp / tp[-1])[first_full::-1], 1.0]
    fps = np.r_[fp[first_full::-1], 0]
    return fps[int(np.argmin(np.abs(recall - 0.95)))] / len(neg)


def fpr_first(pos, neg):
    for t in np.unique(np.r_[pos, neg])[::-1]:
        if (pos >= t).sum() / len(pos) >= 0.95:
            return (neg >= t).sum() / len(neg)


def get_measures(i, o):
    y, s = np.r_[np.ones(len(i), int), np.zeros(len(o), int)], np.r_[i, o]
    return {"auroc": skm.roc_auc_score(y, s), "aupr_in": skm.average_precision_score(y, s),
            "aupr_out": skm.average_precision_score(1 - y, -s),
            "fpr95_closest": fpr_closest(i, o), "fpr95_first": fpr_first(i, o)}


def cal_metric(i, o):
    n, m = len(i), len(o)
    known, everything = np.sort(i), np.sort(np.r_[i, o])
    # Entry j: the j smallest are gone, and with them whatever equals the largest of those.
    tp = np.r_[n, [(i > t).sum() for t in everything]]
    fp = np.r_[m, [(o > t).sum() for t in everything]]
    tpr, fpr = np.r_[1.0, tp / n, 0.0], np.r_[1.0, fp / m, 0.0]
    keep_in, keep_out = np.r_[True, tp + fp > 0, True], np.r_[True, n - tp + m - fp > 0, True]
    p_in = np.r_[0.5, tp / np.maximum(tp + fp, 1), 0.0]
    p_out = np.r_[0.0, (m - fp) / np.maximum(n - tp + m - fp, 1), 0.5]
    return {"fpr": (o > known[round(0.05 * n)]).sum() / m, "auroc": -np.trapezoid(1 - fpr, tpr),
            "dterr": ((n - tp + fp) / (n + m)).min(), "auin": -np.trapezoid(p_in[keep_in], tpr[keep_in]),
            "auout": np.trapezoid(p_out[keep_out], 1 - fpr[keep_out])}


def openood(i, o):
    label, conf = np.r_[np.zeros(len(i), int), np.ones(len(o), int)], np.r_[i, o]
    fpr, tpr, _ = skm.roc_curve(label, -conf)
    p_in, r_in, _ = skm.precision_recall_curve(label, -conf)
    p_out, r_out, _ = skm.precision_recall_curve(1 - label, conf)
    return {"auroc": skm.auc(fpr, tpr), "aupr_in": skm.auc(r_in, p_in), "aupr_out": skm.auc(r_out, p_out),
            "fpr95": fpr[np.argmax(tpr >= 0.95)]}


def cases(g):
    n, m = 120, 90
    tied = np.repeat(np.arange(20.0), 2)
    yield "gauss", g.normal(1, 1, n), g.normal(0, 1, m)
    yield "ties_grid", np.round(g.normal(1, 1, n), 1), np.round(g.normal(0, 1, m), 1)
    yield "heavy_ties", g.integers(0, 4, n), g.integers(-1, 3, m)
    yield "saturated", np.where(g.random(n) < .6, 1, g.random(n)), np.where(g.random(m) < .3, 1, g.random(m))
    yield "separable", g.random(n) + 2, g.random(m)
    yield "reversed", g.random(n), g.random(m) + 2
    yield "constant", np.ones(20), np.ones(15)
    yield "n10", np.arange(10) + .5, g.uniform(-3, 9, 12)
    yield "n20", np.arange(20) + .5, g.uniform(-3, 19, 25)
    yield "n30_half_even", g.normal(0, 1, 30), g.normal(-.3, 1, 25)
    yield "n50_half_even", g.normal(0, 1, 50), g.normal(-.5, 1, 40)
    yield "n70_half_even", g.normal(0, 1, 70), g.normal(-.5, 1, 40)
    yield "single", np.array([.3]), np.array([.1])
    yield "single_equal", np.array([.3]), np.array([.3])
    yield "imbalanced", g.normal(.5, 1, 40), g.normal(0, 1, 400)
    yield "collinear_ties", np.repeat(np.arange(10.0), 3), np.repeat(np.arange(10.0), 2)
    yield "collinear_tail", np.r_[tied, 30.0], np.r_[tied, -5.0, -5.0]
    inf = STAND_IN
    yield "infinities", np.r_[g.normal(1, 1, 40), [inf] * 5, [-inf] * 2], np.r_[g.normal(0, 1, 30), [-inf] * 6, inf]


def listed(scores):
    return [("inf" if v > 0 else "-inf") if abs(v) == STAND_IN else float(v) for v in scores]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = os.path.dirname(os.path.abspath(__file__))
    parser.add_argument("--out", default=os.path.join(here, "metrics.json"))
    out = parser.parse_args().out
    result = {"made_by": "tests/golden/make_metrics.py", "numpy": np.__version__, "sklearn": sklearn.__version__,
              "cases": {}}
    for name, i, o in cases(np.random.default_rng(20260)):
        i, o = np.round(np.asarray(i, float), 4), np.round(np.asarray(o, float), 4)
        case = {"id": listed(i), "ood": listed(o), "get_measures": get_measures(i, o),
                "cal_metric": cal_metric(i, o), "openood": openood(i, o),
                "outlier_exposure": {"fpr95_closest": fpr_closest(-o, -i)}}
        result["cases"][name] = case
    with open(out, "w") as f:
        rows = [f'"{name}": {json.dumps(case, default=float)}' for name, case in result.pop("cases").items()]
        f.write(json.dumps(result)[:-1] + ', "cases": {\n' + ",\n".join(rows) + "\n}}\n")


if __name__ == "__main__":
    main()
