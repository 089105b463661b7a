#!/usr/bin/env python3
"""Writes logistic.json: logistic regressions of scikit-learn, for tests/scores/test_logistic_regression.cpp.

usage: make_logistic.py OUT.json        (needs numpy and scikit-learn; run once, 1.9.1)

Each case: rows, labels (0 or 1), the folds of StratifiedKFold, the coefficients at a few penalties, and what
LogisticRegressionCV with its defaults chooses. The solver is Newton's with a tight tolerance instead of lbfgs with
100 steps, so that the values are the optimum and not where the solver stopped.
"""
import json
import sys
import warnings

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold

SOLVER = dict(solver="newton-cholesky", tol=1e-13, max_iter=10000)


def overlapping(rng, n, columns, scale, apart):
    labels = np.arange(n) % 2 if n % 3 else np.repeat([0, 1], [n // 2, n - n // 2])
    rows = scale * (rng.normal(size=(n, columns)) @ rng.normal(size=(columns, columns)))
    rows += scale * apart * labels[:, None] * rng.normal(size=columns)
    return rows, labels


def main():
    rng = np.random.default_rng(11)
    cases = {
        "unit scale": overlapping(rng, 80, 3, 1.0, 0.7),
        "layer scores": overlapping(rng, 100, 5, 1e3, 0.5),  # of order -1e3, as Mahalanobis' are
        "blocks, unbalanced": overlapping(rng, 51, 2, 1.0, 1.0),
    }
    rows, labels = cases["layer scores"]
    cases["layer scores"] = (rows - 4000, labels)
    rows, labels = cases["blocks, unbalanced"]
    cases["blocks, unbalanced"] = (np.concatenate([rows[:20], rows[25:]]), np.concatenate([labels[:20], labels[25:]]))
    out = {"scikit-learn": sklearn.__version__, "cases": {}}
    for name, (rows, labels) in cases.items():
        rows = np.round(rows, 6)
        folds = np.empty(len(labels), int)
        for k, (_, test) in enumerate(StratifiedKFold(5).split(rows, labels)):
            folds[test] = k
        fits = []
        for c in (1e-3, 1.0, 1e3):
            model = LogisticRegression(C=c, **SOLVER).fit(rows, labels)
            fits.append({"c": c, "weight": model.coef_[0].tolist(), "bias": float(model.intercept_[0])})
        cv = LogisticRegressionCV(Cs=10, cv=5, scoring="accuracy", **SOLVER).fit(rows, labels)
        out["cases"][name] = {
            "rows": rows.tolist(),
            "labels": labels.tolist(),
            "folds": folds.tolist(),
            "fits": fits,
            "cv": {"c": float(np.ravel(cv.C_)[0]), "weight": np.ravel(cv.coef_).tolist(),
                   "bias": float(np.ravel(cv.intercept_)[0])},
        }
    with open(sys.argv[1], "w") as file:
        json.dump(out, file)
        file.write("\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore", FutureWarning)
    main()
