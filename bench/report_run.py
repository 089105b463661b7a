#!/usr/bin/env python3
"""A made-up run folder of any size, to look at and to time `gradscore report`.

usage: bench/report_run.py OUT --gradscore build/tools/gradscore [--images 100000] [--methods 8] [--sets 6] [--open]
Scores are seeded normal variables; the metrics are computed by `gradscore metrics`. With --open the report is made, too,
and opened in a headless Chromium; what that took is printed. A folder that is there is kept.
"""
import argparse
import csv
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import time

METHODS = ["msp", "maxlogit", "energy", "odin:temperature=1000", "gradnorm", "gaia-a", "gaia-z", "mahalanobis"]
METRICS = ["auroc", "aupr_in", "aupr_out", "dterr", "fpr95_closest", "fpr95_first", "fpr95_threshold",
           "fpr95_ood_positive", "fpr95_ood_positive_closest", "aupr_in_trapezoid", "aupr_out_trapezoid",
           "aupr_in_openood", "aupr_out_openood"]


def set_json(name, role, images, excluded, source):
    return {"name": name, "description": source, "role": role, "total": images, "scored": images - len(excluded),
            "excluded": len(excluded), "labelled": role == "id", "labelled_images": 0, "correct": 0,
            "accuracy": 0.9 if role == "id" else None, "digest": f"{random.Random(name + source).getrandbits(256):064x}",
            "failures": [{"path": path, "reason": reason} for path, reason in excluded]}


def write_run(out, gradscore, images=1000, methods=METHODS, sets=("near", "far"), id_name="photos", seed=1,
              path="{set}/image {index:06d}.jpg", excluded=(), source="folder:/nowhere/{set}", run=None,
              drop=0.8):
    """One ID set and OOD `sets` of `images` each, their scores lower by `drop` a set; `excluded`: (path, reason) of images
    without scores."""
    os.makedirs(os.path.join(out, "scores"))
    draw = random.Random(seed)
    empty = {name: None for name in METRICS} | {"id_count": 0, "ood_count": 0, "id_excluded": 0, "ood_excluded": 0}
    names = [id_name, *sets]
    for position, name in enumerate(names):
        file_name = os.path.join(out, "scores", name + ".csv")
        with open(file_name, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["index", "path", "label", "prediction", "reason", *methods])
            for index in range(images):
                common = draw.gauss(0, 1) - position * drop
                if index < len(excluded):
                    writer.writerow([index, excluded[index][0], "", "", excluded[index][1], *[""] * len(methods)])
                    continue
                scores = [repr(common + draw.gauss(-0.1 * position * m, 0.8)) for m in range(len(methods))]
                label = index % 10 if position == 0 else ""
                writer.writerow([index, path.format(set=name, index=index), label, draw.randrange(10), "", *scores])
    facts = {"gradscore_version": "0.0", "command": "bench/report_run.py", "net": "made-up", "family": "none",
             "classes": 10, "weights": {"path": "none", "sha256": "0" * 64, "format": "none"}, "preprocess": "none",
             "device": "cpu", "precision": "f32", "threads": 1, "batch": 0, "seed": 0, "limit": None,
             "started": "2026-01-01T00:00:00Z", "wall_seconds": 12.5, "images_per_second": 100.0, "libraries": {},
             "notices": []} | (run or {})
    results = {"schema": "gradscore/results/1", "run": facts,
               "sets": [set_json(name, "ood" if k else "id", images, excluded, source.format(set=name))
                        for k, name in enumerate(names)],
               "methods": [{"name": name, "options": {}} for name in methods],
               "metrics": {method: {name: empty for name in sets} for method in methods},
               "averages": {method: empty for method in methods}, "warnings": []}
    target = os.path.join(out, "results.json")
    with open(target, "w", encoding="utf-8") as file:
        json.dump(results, file)
    computed = subprocess.run([gradscore, "metrics", out, "--json"], check=True, capture_output=True).stdout
    with open(target, "wb") as file:
        file.write(computed)


def open_report(out, gradscore, rounds=5):
    """Makes OUT.html and opens it several times: seconds, bytes, and seconds until it is loaded and drawn."""
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests" / "browser"))
    from chromium import Browser, find_browser
    page = out.rstrip("/") + ".html"
    start = time.monotonic()
    subprocess.run([gradscore, "report", out, "--out", page, "--no-thumbnails", "--force"], check=True)
    made = time.monotonic() - start
    with Browser(find_browser()) as browser:
        browser.screen(1280, 900)
        opened = [browser.open(pathlib.Path(page).resolve().as_uri()) for _ in range(rounds)]
        errors = browser.errors
    print(json.dumps({"made_s": round(made, 2), "bytes": os.path.getsize(page), "errors": errors,
                      "open_s": {"median": round(statistics.median(opened), 3), "all": [round(s, 3) for s in opened]}}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--gradscore", required=True)
    parser.add_argument("--images", type=int, default=100000)
    parser.add_argument("--methods", type=int, default=8)
    parser.add_argument("--sets", type=int, default=6)
    parser.add_argument("--open", action="store_true")
    flags = parser.parse_args()
    if not os.path.isdir(flags.out):
        write_run(flags.out, flags.gradscore, flags.images,
                  [METHODS[k] if k < len(METHODS) else f"method-{k + 1}" for k in range(flags.methods)],
                  [f"set-{k + 1}" for k in range(flags.sets)])
    if flags.open:
        open_report(flags.out, flags.gradscore)
