// A paper's table beside what a run gave: differences, verdicts, and what could not be compared and why.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "metrics/metrics.h"
#include "report/paper_table.h"

namespace gs {

// One row on one set, as computed.
struct SetFigures {
    DetectionMetrics all;                 // on all images
    std::vector<DetectionMetrics> draws;  // on random parts of the OOD set, where the table asks for them
    std::string not_comparable;           // why not with the printed figure; empty: comparable
};

// What became of a row: figures by OOD set, or why there are none.
struct RowRun {
    bool asked = true;  // false: left out of the comparison
    std::string not_run;
    std::map<std::string, SetFigures> sets;
};

enum class Verdict {
    Within,         // |ours - printed| <= tolerance
    Out,            // not so, NaN included
    NotComparable,  // other images, other weights, or a limit
    NotCompared,    // ours or the printed figure is not there
};
std::string_view to_string(Verdict verdict);  // "within", "out", "not-comparable", "not-compared"

struct ComparedFigure {
    std::optional<double> ours;    // percent; the mean over draws where there are draws
    std::optional<double> spread;  // standard deviation over the draws (of a set)
    std::optional<double> all;     // percent, all images, where `ours` is of draws
    const PrintedFigure* printed = nullptr;
    Verdict verdict = Verdict::NotCompared;

    std::optional<double> difference() const;  // ours - printed, points
};

struct ComparedRow {
    const TableRow* row = nullptr;
    const TableCheckpoint* checkpoint = nullptr;
    std::string not_run;
    std::vector<std::string> places;                   // columns groups: sets, then groups of sets
    std::vector<std::vector<ComparedFigure>> figures;  // [place][column]
    std::vector<std::string> why_not_comparable;       // once each
};

// A Reproduction points into its table, which must outlive it.
struct Reproduction {
    const PaperTable* table = nullptr;
    std::string gradscore_version, command;
    std::optional<int64_t> limit;
    std::vector<ComparedRow> rows;
    std::vector<std::string> missing, notices;  // what was not given; what the reader should know

    int64_t count(Verdict verdict) const;
    // Every row that can be run was run on all its sets, and all printed figures were compared.
    bool complete() const;
};

// `runs` are those of table.rows, in order; rows that were not asked for are left out. A mean over sets
// stands only where every set of it does; it is comparable only where all are. With a limit nothing is
// comparable.
Reproduction compare(const PaperTable& table, const std::vector<RowRun>& runs, std::optional<int64_t> limit);

// For the terminal, as a page of Markdown, and as JSON of the schema "gradscore/reproduction/1".
std::string reproduction_text(const Reproduction& reproduction, bool utf8);
std::string reproduction_markdown(const Reproduction& reproduction);
std::string reproduction_json(const Reproduction& reproduction);

}  // namespace gs
