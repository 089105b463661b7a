// The report page: sorting, conventions, the choice of method and OOD set, the movable threshold.
// Without it the page shows everything, one below the other.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);
  for (const part of all(".toolbar, .controls, .threshold")) part.hidden = false;

  // The table of results.
  const table = document.getElementById("results-table");
  const kindColumns = { fpr: "fpr95_closest", auroc: "auroc", aupr: "aupr_in" };

  function setCell(cell, figure) {
    cell.textContent = figure[0];
    cell.dataset.v = figure[1] === null ? "nan" : String(figure[1]);
  }

  function fillCells(kind) {
    const field = data.fields.indexOf(kindColumns[kind]);
    for (const cell of all(`td[data-kind="${kind}"]`, table)) {
      const row = cell.parentElement.dataset;
      const figures = data.runs[row.run].methods[row.method].figures[cell.dataset.set];
      if (figures) setCell(cell, figures[field]);
    }
  }

  // The best as printed; in all rows, or run by run where runs must not be compared.
  function markBest(kind) {
    const columns = new Map();
    for (const cell of all(`td[data-kind="${kind}"]`, table)) {
      cell.classList.remove("best");
      const key = cell.dataset.set + (data.oneRun ? " " + cell.parentElement.dataset.run : "");
      if (cell.dataset.v !== undefined) columns.set(key, [...(columns.get(key) || []), cell]);
    }
    for (const cells of columns.values()) {
      const shown = cells.filter((cell) => cell.dataset.v !== "nan");
      if (cells.length < 2 || shown.length === 0) continue;
      const values = shown.map((cell) => Number(cell.textContent));
      const best = kind === "fpr" ? Math.min(...values) : Math.max(...values);
      for (const cell of shown) cell.classList.toggle("best", Number(cell.textContent) === best);
    }
  }

  function chooseConvention() {
    const fpr = document.getElementById("fpr-convention").selectedOptions[0];
    const aupr = document.getElementById("aupr-convention").selectedOptions[0];
    kindColumns.fpr = fpr.value;
    kindColumns.aupr = aupr.value;
    for (const head of all('th[data-kind="aupr"]', table)) {
      one(".name", head).textContent = aupr.dataset.column;
      one("button", head).setAttribute("aria-label", columnName(head));
    }
    document.getElementById("convention").textContent = `FPR95: ${fpr.text}; AUPR: ${aupr.text}`;
    for (const kind of ["fpr", "aupr"]) {
      fillCells(kind);
      markBest(kind);
    }
    const sorted = one("th[aria-sort]", table);
    if (sorted) sortBy(sorted, sorted.getAttribute("aria-sort"));
  }

  // "FPR95, textures"
  function columnName(head) {
    const set = one(`th[scope="colgroup"][data-set="${head.dataset.set}"]`, table);
    return one(".name", head).textContent + (set ? ", " + set.textContent : "");
  }

  function sortBy(head, direction) {
    const column = (row) => head.dataset.kind === "text"
      ? row.cells[head.cellIndex]
      : one(`td[data-kind="${head.dataset.kind}"][data-set="${head.dataset.set}"]`, row);
    const body = table.tBodies[0];
    const sign = direction === "ascending" ? 1 : -1;
    const rows = [...body.rows].map((row, at) => ({ row, at, cell: column(row) }));
    rows.sort((a, b) => {
      if (head.dataset.kind === "text")
        return sign * a.cell.textContent.localeCompare(b.cell.textContent, "en", { numeric: true }) || a.at - b.at;
      const x = Number(a.cell.dataset.v), y = Number(b.cell.dataset.v);  // NaN, and absent figures, come last
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y) || a.at - b.at;
      return sign * (x - y) || a.at - b.at;
    });
    body.append(...rows.map((item) => item.row));
    for (const other of all("th[aria-sort]", table)) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", direction);
  }

  if (table) {
    for (const head of all("th[data-kind]", table)) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.setAttribute("aria-label", columnName(head));
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort"), first = head.dataset.sort;
        const turned = first === "ascending" ? "descending" : "ascending";
        sortBy(head, now === first ? turned : first);
        document.getElementById("sorted").textContent =
          `Sorted by ${columnName(head)}, ${head.getAttribute("aria-sort")}`;
      });
    }
    for (const id of ["fpr-convention", "aupr-convention"])
      document.getElementById(id).addEventListener("change", chooseConvention);
  }

  // Method and OOD set.
  const explore = document.getElementById("explore");
  const methodSelect = document.getElementById("method"), setSelect = document.getElementById("set");
  explore.classList.add("explored");

  // The digits of the tables: halves go to the even digit, where toFixed takes the larger one. A percentage that is
  // halfway between two hundredths is an odd number of eighths, and toFixed is wrong for every other one.
  function percent(part, whole) {
    if (!(whole > 0)) return "n/a";
    const value = 100 * (part / whole);
    return (8 * value % 4 === 1 ? value - 0.001 : value).toFixed(2) + " %";
  }
  const count = (n) => n.toLocaleString("en");

  function chosenMethod(run) {
    return data.runs[run].methods.find((m) => String(m.key) === methodSelect.value);
  }

  const hasThreshold = (method) => method !== undefined && method.thresholds.length > 0;

  // What belongs to the chosen method and set. Thresholds stay where they are.
  function show() {
    for (const part of all("[data-method]", explore)) part.hidden = part.dataset.method !== methodSelect.value;
    if (setSelect) for (const part of all("[data-set]", explore)) part.hidden = part.dataset.set !== setSelect.value;
    for (const part of all("[data-m]", explore))
      part.classList.toggle("chosen", part.dataset.m === methodSelect.value);
    for (const run of all("#curves .run")) {
      const there = hasThreshold(chosenMethod(run.dataset.run));
      one(".threshold", run).hidden = !there;
      if (there) moveThreshold(run);
    }
  }

  function chooseMethod() {
    for (const run of all("#curves .run")) {
      const method = chosenMethod(run.dataset.run);
      if (!hasThreshold(method)) continue;
      const slider = one("input", run);
      slider.max = method.thresholds.length - 1;
      slider.value = method.at95;
      one(".slide button", run).textContent = method.reaches95 ? "95 % TPR" : "Highest TPR";
    }
    show();
  }

  function row(cells, head) {
    const tr = document.createElement("tr");
    cells.forEach((text, at) => {
      const cell = document.createElement(head || at === 0 ? "th" : "td");
      if (head || at === 0) cell.scope = head ? "col" : "row";
      if (at > 0) cell.className = "number";
      cell.textContent = text;
      tr.append(cell);
    });
    return tr;
  }

  function plotOf(chart) {
    const [left, top, width, height] = chart.dataset.plot.split(" ").map(Number);
    return { left, top, width, height };
  }

  function moveThreshold(run) {
    const method = chosenMethod(run.dataset.run), sets = data.runs[run.dataset.run].sets;
    const slider = one("input", run), at = Number(slider.value);
    const threshold = method.thresholds[at], tp = method.accepted[0][at];
    const tpr = percent(tp, method.scores[0]);
    let told = `score ${threshold}, TPR ${tpr}`;
    const rates = one(".rates", run), precision = (text) => sets.length > 1 ? [text] : [];
    rates.replaceChildren(row([`score ≥ ${threshold}`, "rate", ...precision("precision"), "accepted"], true),
      row([`ID ${sets[0].name}`, `TPR ${tpr}`, ...precision(""), `${count(tp)} of ${count(method.scores[0])}`]));
    sets.forEach((set, s) => {
      if (s === 0) return;
      const fp = method.accepted[s][at];
      if (String(set.key) === setSelect.value)
        told += `; ${set.name}: FPR ${percent(fp, method.scores[s])}, precision ${percent(tp, tp + fp)}`;
      rates.append(row([`OOD ${set.name}`, `FPR ${percent(fp, method.scores[s])}`, percent(tp, tp + fp),
        `${count(fp)} of ${count(method.scores[s])}`]));
      placeMark(run, set.key, "roc", method, fp / method.scores[s], tp / method.scores[0]);
      placeMark(run, set.key, "pr", method, tp / method.scores[0], tp / (tp + fp));
    });
    slider.setAttribute("aria-valuetext", told);
    for (const chart of all(`.histograms[data-method="${methodSelect.value}"] svg`, run)) {
      const low = Number(chart.dataset.low), high = Number(chart.dataset.high), cut = one(".cut", chart);
      const share = Math.min(Math.max((threshold / 2 - low / 2) / (high / 2 - low / 2), 0), 1);
      const plot = plotOf(chart), x = plot.left + plot.width * share;
      for (const end of ["x1", "x2"]) cut.setAttribute(end, x.toFixed(1));
    }
  }

  function placeMark(run, set, kind, method, x, y) {
    const mark = one(`.pair[data-set="${set}"] .${kind} .mark[data-m="${method.key}"]`, run);
    if (!mark) return;
    const exists = Number.isFinite(x) && Number.isFinite(y);  // no precision where no image is accepted
    mark.toggleAttribute("hidden", !exists);
    if (!exists) return;
    const plot = plotOf(mark.ownerSVGElement);
    mark.setAttribute("cx", (plot.left + plot.width * x).toFixed(2));
    mark.setAttribute("cy", (plot.top + plot.height * (1 - y)).toFixed(2));
  }

  methodSelect.addEventListener("change", chooseMethod);
  if (setSelect) setSelect.addEventListener("change", show);
  for (const run of all("#curves .run")) {
    one("input", run).addEventListener("input", () => moveThreshold(run));
    one(".slide button", run).addEventListener("click", () => {
      one("input", run).value = chosenMethod(run.dataset.run).at95;
      moveThreshold(run);
    });
  }
  one(".toolbar").addEventListener("submit", (event) => event.preventDefault());
  chooseMethod();
  // Browsers restore choices when somebody comes back or loads the page again, some of them after this script.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) return;  // the whole page was kept
    if (table) chooseConvention();
    chooseMethod();
  });
})();
