#!/usr/bin/env python3
"""The report page in a real browser: opened from the disk, used by keyboard, seen by phone and by night.

usage: report_page.py GRADSCORE FOLDER    screenshots are left in FOLDER; exit code 77: there is no browser here
"""
import csv
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parents[2] / "bench")]
from chromium import Browser, find_browser  # noqa: E402
from report_run import METHODS, write_run  # noqa: E402

EVIL = "<script>alert('x')<\\script> & \"<img src=x onerror=alert(1)>"
SCREENS = {"phone": (390, 844, False, True), "phone-dark": (390, 844, True, True),
           "desktop": (1280, 900, False, False), "desktop-dark": (1280, 900, True, False)}
failures = []


def check(holds, what):
    print(("ok    " if holds else "FAILS ") + what)
    if not holds:
        failures.append(what)


def focused(page):
    return page.run("(e => (e.id || e.className || e.textContent.trim().slice(0, 20)) + ' ' + e.tagName)"
                    "(document.activeElement)")


def tab_to(page, condition, most=80):
    """Presses Tab until the focused element meets a condition in JavaScript of `e`."""
    for _ in range(most):
        page.press("Tab")
        if page.run(f"(e => {condition})(document.activeElement)"):
            return True
    return False


def shown_figures(page, kind):
    """Of the table of results: (run, method, set) to the exact value behind the figure."""
    return page.run(f"""Object.fromEntries([...document.querySelectorAll('#results-table td[data-kind="{kind}"]')]
        .filter(c => c.dataset.v !== undefined).map(c => [[c.parentElement.dataset.run,
        c.parentElement.dataset.method, c.dataset.set].join(), [c.dataset.v, c.textContent]]))""")


def check_table(page, results, kind, field):
    wanted = {}
    for m, method in enumerate(results["methods"]):
        for s, ood in enumerate(results["sets"][1:]):
            wanted[f"0,{m},{s}"] = results["metrics"][method["name"]][ood["name"]][field]
        wanted[f"0,{m},average"] = results["averages"][method["name"]][field]
    shown = shown_figures(page, kind)
    check(shown.keys() == wanted.keys() and all(float(shown[k][0]) == wanted[k] for k in wanted),
          f"{field} of the table is that of results.json, to the last digit")
    check(all(abs(float(shown[k][1]) - 100 * wanted[k]) <= 0.005 + 1e-9 for k in wanted), f"{field} as it is read")


def check_conventions(page, results):
    for select, kind in (("fpr-convention", "fpr"), ("aupr-convention", "aupr")):
        fields = page.run(f"[...document.getElementById('{select}').options].map(o => o.value)")
        check(len(fields) == (5 if kind == "fpr" else 6), f"{len(fields)} conventions of {kind}")
        for field in fields:
            page.run(f"""(s => {{ s.value = '{field}'; s.dispatchEvent(new Event('change')) }})
                         (document.getElementById('{select}'))""")
            check_table(page, results, kind, field)
        choose(page, select, 0)
    check_table(page, results, "auroc", "auroc")


def check_coming_back(page, results):
    """Browsers restore what was chosen: the table must be of it."""
    for select, option in (("fpr-convention", 3), ("aupr-convention", 4), ("method", 2)):
        choose(page, select, option)
    page.leave_and_come_back()
    check(page.run("document.getElementById('fpr-convention').selectedIndex") == 3,
          "the browser restores what was chosen")
    for select, kind in (("fpr-convention", "fpr"), ("aupr-convention", "aupr")):
        field, text = page.run(f"(o => [o.value, o.text])(document.getElementById('{select}').selectedOptions[0])")
        check_table(page, results, kind, field)
        check(text in page.run("document.getElementById('convention').textContent"), f"and says so: {text}")
    check(page.run("document.querySelector('.histograms:not([hidden])').dataset.method") == page.run(
        "document.getElementById('method').value") == "2", "the method that is shown is the one that is chosen")


def check_keyboard(page, results):
    page.press("Tab")
    check("skip" in focused(page), "the first Tab is at the link that skips to the results")
    check(tab_to(page, "e.id === 'fpr-convention'"), "Tab reaches the choice of convention")
    page.press("ArrowDown")
    check(page.run("document.getElementById('convention').textContent.includes('textbook')"), "a key changes it")
    check(tab_to(page, "e.tagName === 'BUTTON' && e.closest('th')?.dataset.kind === 'auroc'"), "Tab reaches a column")
    order = "[...document.querySelectorAll('#results-table tbody tr')].map(r => Number(r.dataset.method))"
    before = page.run(order)
    page.press("Enter")
    values = [results["metrics"][m["name"]][results["sets"][1]["name"]]["auroc"] for m in results["methods"]]
    check(page.run(order) == sorted(before, key=lambda m: -values[m]), "Enter sorts, the best first")
    check(page.run("document.activeElement.closest('th').ariaSort") == "descending", "and says so")
    page.press(" ")
    check(page.run(order) == sorted(before, key=lambda m: values[m]), "Space sorts the other way round")
    check(tab_to(page, "e.id === 'method'"), "Tab reaches the choice of method")
    page.press("ArrowDown")
    check(page.run("document.querySelector('.histograms:not([hidden])').dataset.method") == "1", "another method")
    check(tab_to(page, "e.id === 'set'"), "Tab reaches the choice of OOD set")
    page.press("ArrowDown")
    check(page.run("[...document.querySelectorAll('.pair:not([hidden])')].map(p => p.dataset.set).join()") == "1",
          "its curves alone are shown")
    check(tab_to(page, "e.type === 'range'"), "Tab reaches the threshold")
    check_threshold(page, results)


def choose(page, select, option):
    page.run(f"""(s => {{ s.selectedIndex = {option}; s.dispatchEvent(new Event('change')) }})
                 (document.getElementById('{select}'))""")


def rates(page):
    return page.run("[...document.querySelectorAll('.rates tr')].map(r => [...r.cells].map(c => c.textContent))")


def check_threshold(page, results):
    method, sets = results["methods"][1]["name"], results["sets"]
    for row, ood in zip(rates(page)[2:], sets[1:]):
        fpr = results["metrics"][method][ood["name"]]["fpr95_first"]
        check(row[1] == f"FPR {100 * fpr:.2f} %", f"at first the FPR of {ood['name'][:12]} is fpr95_first")
    place = "(m => [m.getAttribute('cx'), m.getAttribute('cy')])(document.querySelector('.pair:not([hidden]) .mark.chosen'))"
    mark, old = page.run(place), rates(page)
    for _ in range(30):
        page.press("ArrowRight")
    new = rates(page)
    check(float(new[1][1].split()[1]) < float(old[1][1].split()[1]), "a stricter threshold accepts fewer ID images")
    check(page.run(place) != mark, "the mark moves along the curve")
    choose(page, "set", 0)
    check(page.run("document.querySelector('.pair:not([hidden])').dataset.set") == "0" and rates(page) == new,
          "another OOD set has the same threshold")
    choose(page, "method", 0)
    choose(page, "method", 1)
    check(rates(page) == old, "another method begins at its own")
    choose(page, "set", 1)
    page.press("Home")
    check(rates(page)[1][1] == "TPR 100.00 %", "the loosest accepts all")
    told = page.run("document.activeElement.getAttribute('aria-valuetext')")
    check("TPR 100.00 %" in told and "FPR" in told and "precision" in told, "who hears the page is told the rates")
    check(tab_to(page, "e.tagName === 'BUTTON'"), "Tab reaches the way back")
    page.press("Enter")
    check(rates(page) == old, "to 95 % TPR")


def check_columns(page):
    """Sorting, heard: which column, of which set, and which way."""
    heads = "[...document.querySelectorAll('#results-table th button')]"
    names = page.run(heads + ".map(b => b.ariaLabel)")
    check("FPR95, near" in names and "AUROC, Average" in names, f"columns are named with their set {names[:4]}")
    check(len(set(names)) == len(names), "no two alike")
    marks = []
    for _ in range(2):
        page.run(heads + ".find(b => b.ariaLabel === 'AUROC, far').click()")
        marks.append(page.run("getComputedStyle(document.querySelector('[aria-sort] button'), '::after').content"))
    check(page.run("document.getElementById('sorted').textContent") == "Sorted by AUROC, far, ascending", "sorting is told")
    check(len(set(marks)) == 2, f"up and down look different {marks}")
    choose(page, "aupr-convention", 2)
    column = page.run("document.querySelector('th[data-kind=aupr] .name').textContent")
    check(column + ", far" in page.run(heads + ".map(b => b.ariaLabel)"), f"another convention is named, too ({column})")


def check_averages(page):
    """Run 1 has two OOD sets, run 2 one of them."""
    page.run("""for (const s of document.querySelectorAll('#fpr-convention, #aupr-convention'))
                { s.selectedIndex = 1; s.dispatchEvent(new Event('change')) }""")
    averages = page.run("""[...document.querySelectorAll('#results-table td[data-set="average"]')]
        .map(c => [c.parentElement.dataset.run, c.textContent])""")
    check(all((text == "–") == (run == "1") for run, text in averages), "a run that lacks a set has no averages")


def check_no_image_accepted(page):
    """The strictest threshold accepts images of the set far alone."""
    check(tab_to(page, "e.type === 'range'"), "Tab reaches the threshold")
    page.press("End")
    check(rates(page)[2][2] == "n/a", "no precision where no image is accepted")
    marks = page.run("""[...document.querySelectorAll('.pr .mark.chosen')].filter(m => m.checkVisibility()).length""")
    check(marks == 1, f"nor its mark: {marks} of the two runs")  # run 2's threshold has not moved
    broken = page.run("[...document.querySelectorAll('svg *')].filter(e => [...e.attributes].some(a => /NaN/.test(a.value))).length")
    check(broken == 0, "no picture has a NaN")
    page.press("Home")
    check(page.run("[...document.querySelectorAll('.pr .mark.chosen')].filter(m => m.checkVisibility()).length") == 2,
          "it is back with the images")


def check_two_runs(page, gradscore, folder):
    runs = []
    for name, sets in (("two-sets", ["near", "far"]), ("one-set", ["near"])):
        runs.append(os.path.join(folder, name))
        write_run(runs[-1], gradscore, images=200, methods=METHODS[:2], sets=sets, drop=-3)
    html = os.path.join(folder, "runs.html")
    subprocess.run([gradscore, "report", *runs, "--out", html], check=True, capture_output=True)
    url = pathlib.Path(html).resolve().as_uri()
    page.open(url)
    check_columns(page)
    check_averages(page)
    check_no_image_accepted(page)
    return url


def change_scores(run, gradscore, change):
    """Every score becomes change(set, method, row, score), and metrics are computed anew. Returns [set][method] scores."""
    scores = {}
    for path in pathlib.Path(run, "scores").glob("*.csv"):
        with open(path, newline="", encoding="utf-8") as file:
            head, *rows = csv.reader(file)
        first = head.index("reason") + 1
        for k, row in enumerate(rows):
            row[first:] = [repr(change(path.stem, m, k, float(score))) for m, score in enumerate(row[first:])]
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([head, *rows])
        scores[path.stem] = [[float(row[first + m]) for row in rows] for m in range(len(head) - first)]
    computed = subprocess.run([gradscore, "metrics", run, "--json"], check=True, capture_output=True).stdout
    pathlib.Path(run, "results.json").write_bytes(computed)
    return scores


def check_every_threshold(page, scores):
    """At each place of the slider: the score that is shown accepts as many images as are told, and the rates are those
    of Python's (and C++'s) rounding, which takes halves to the even digit."""
    shown = page.run("""(slider => [...Array(Number(slider.max) + 1).keys()].map(k => {
        slider.value = k; slider.dispatchEvent(new Event('input'));
        return [...document.querySelectorAll('.rates tr')].map(r => [...r.cells].map(c => c.textContent)); }))
        (document.querySelector('.slide input'))""")
    wrong, halves = [], 0
    for (head, *rows) in shown:
        threshold = float(head[0].split()[-1])
        accepted = [int(row[3].split()[0].replace(",", "")) for row in rows]
        wanted = [sum(score >= threshold for score in of_set[0]) for of_set in scores]
        texts = [f"TPR {100 * (wanted[0] / 800):.2f} %", *(f"FPR {100 * (count / 800):.2f} %" for count in wanted[1:])]
        halves += sum(count % 4 == 1 for count in wanted)
        if accepted != wanted or texts != [row[1] for row in rows]:
            wrong.append((head[0], accepted, wanted, [row[1] for row in rows]))
    check(len(shown) > 200 and wrong == [], f"the score shown gives the {len(shown)} counts and rates {wrong[:2]}")
    check(halves > 100, f"{halves} rates lie between two hundredths")
    check(max(len(head[0]) for head, *_ in shown) > 15, "scores close to each other are told apart")


def check_close_scores(page, gradscore, folder):
    run, html = os.path.join(folder, "close"), os.path.join(folder, "close.html")
    write_run(run, gradscore, images=800, methods=METHODS[:2], sets=["near"])

    def change(name, method, row, score):
        if method == 0:  # most are so close to 1 that five digits do not tell them apart
            return 1 - math.exp(-2 * score - 16)
        return -math.inf if name == "photos" and row < 60 else score

    scores = change_scores(run, gradscore, change)
    subprocess.run([gradscore, "report", run, "--out", html], check=True, capture_output=True)
    url = pathlib.Path(html).resolve().as_uri()
    page.open(url)
    check_every_threshold(page, [scores["photos"], scores["near"]])
    button = "document.querySelector('.slide button').textContent"
    check(page.run(button) == "95 % TPR", "the button says where it leads")
    choose(page, "method", 1)
    check(page.run(button) == "Highest TPR" and rates(page)[1][1] == "TPR 92.50 %", "also where 95 % cannot be reached")
    return url


def check_without_ood(page, gradscore, folder):
    run, html = os.path.join(folder, "id-only"), os.path.join(folder, "id-only.html")
    write_run(run, gradscore, images=100, methods=METHODS[:2], sets=[])
    subprocess.run([gradscore, "report", run, "--out", html], check=True, capture_output=True)
    url = pathlib.Path(html).resolve().as_uri()
    page.open(url)
    check([len(row) for row in rates(page)] == [3, 3], "without OOD sets there is no precision")
    check(page.run("[...document.querySelectorAll('nav a')].every(a => document.querySelector(a.hash))"),
          "links lead somewhere")
    return url


def check_names(page):
    """Every control and picture has a name; nothing that is hidden takes the focus."""
    nameless = page.run("""[...document.querySelectorAll('select, input, button, svg[role=img], [role=region], table')]
        .filter(e => !(e.ariaLabel || e.labels?.length || e.textContent.trim() || e.querySelector('caption')
            || e.closest('[aria-label]')))
        .map(e => e.outerHTML.slice(0, 80))""")
    check(nameless == [], f"every control and picture has a name {nameless}")
    check(page.run("document.documentElement.lang") == "en" and page.run("document.querySelectorAll('h1').length") == 1,
          "a language and one heading")
    levels = page.run("[...document.querySelectorAll('h1, h2, h3, h4, h5')].map(h => Number(h.tagName[1]))")
    check(all(b <= a + 1 for a, b in zip(levels, levels[1:])), "headings go down in order")


def contrast(page):
    """The least contrast of texts to what is behind them."""
    return page.run("""(() => {
      const rgb = text => (text.match(/[\\d.]+/g) || []).map(Number);
      const light = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
        .reduce((sum, v, k) => sum + v * [.2126, .7152, .0722][k], 0);
      const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
        if (c.length === 3) return c; } return [255, 255, 255]; };
      let least = [99, ''];
      for (const e of document.querySelectorAll('p, th, td:not(.shade), li, a, h1, h2, h3, h4, h5, label, button, .chart text')) {
        if (!e.checkVisibility() || !e.textContent.trim()) continue;
        const style = getComputedStyle(e), ink = rgb(e.closest('svg') ? style.fill : style.color);
        const [a, b] = [light(ink), light(behind(e.closest('svg') || e))].sort((x, y) => y - x);
        const ratio = (a + .05) / (b + .05);
        if (ratio < least[0]) least = [ratio, e.tagName + ' ' + e.textContent.trim().slice(0, 30)];
      }
      return least;
    })()""")


def check_looks(page, url, folder):
    for name, screen in SCREENS.items():
        page.screen(*screen)
        page.open(url)
        page.picture(os.path.join(folder, name + ".png"), whole=True)
        width = page.run("document.documentElement.scrollWidth")
        check(width <= screen[0], f"{name}: nothing is wider than the screen ({width})")
        least, where = contrast(page)
        check(least >= 4.5, f"{name}: the least contrast of texts is {least:.2f} ({where})")
        small = page.run("[...document.querySelectorAll('select, input, .slide button')].filter(e => e.checkVisibility() && "
                         "e.getBoundingClientRect().height < 36).length")
        check(small == 0, f"{name}: controls are large enough for a finger")


def check_without_script(page, url, results, folder):
    page.scripts(False)
    page.screen(*SCREENS["desktop"])
    page.open(url)
    page.scripts(True)  # for what follows here; the page's own has not run
    count = len(results["methods"]) * (len(results["sets"]) - 1)
    check(page.run("[...document.querySelectorAll('.histograms svg')].filter(e => e.checkVisibility()).length") == count,
          "without scripts every histogram is shown")
    check(page.run("[...document.querySelectorAll('select, input, button')].filter(e => e.checkVisibility()).length") == 0,
          "and no control that does nothing")
    page.picture(os.path.join(folder, "no-script.png"), whole=True)


def main(gradscore, folder):
    browser = find_browser()
    if browser is None:
        print("skipped: no Chromium here (package chromium, or GRADSCORE_BROWSER=PATH)")
        return 77
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    run, html = os.path.join(folder, "run"), os.path.join(folder, "report.html")
    write_run(run, gradscore, images=600, methods=[*METHODS[:5], "gradnorm" + EVIL], sets=["near", "far" + EVIL.replace("\\", "")],
              path=EVIL + "/{index}.jpg", excluded=[(EVIL, EVIL)], source="folder:/nowhere/" + EVIL,
              run={"command": EVIL, "notices": [EVIL], "net": EVIL, "libraries": {EVIL: EVIL}})
    subprocess.run([gradscore, "report", run, "--out", html], check=True, capture_output=True)
    with open(os.path.join(run, "results.json"), encoding="utf-8") as file:
        results = json.load(file)
    url = pathlib.Path(html).resolve().as_uri()
    with Browser(browser) as page:
        page.screen(*SCREENS["desktop"])
        page.open(url)
        check_conventions(page, results)
        check_coming_back(page, results)
        page.open(url)
        check_keyboard(page, results)
        check_names(page)
        check_looks(page, url, folder)
        check_without_script(page, url, results, folder)
        others = (check_two_runs, check_close_scores, check_without_ood)
        pages = {url, *(other(page, gradscore, folder) for other in others)}
        asked = {request for request in page.requests if not request.startswith("data:")}
        check(asked == pages, f"nothing else was asked for {asked - pages}")
        check(page.errors == [], f"the console has no error {page.errors[:3]}")
    print(f"{len(failures)} checks failed" if failures else "all checks hold")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
