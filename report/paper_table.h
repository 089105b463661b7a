// A published table as data: its figures with their sources, and what it takes to compute them again
// (weights, sets of images, methods). A JSON file, schema "gradscore/table/1": docs/file-formats.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "metrics/metrics.h"

namespace gs {

// How a figure came into the file.
enum class Trust {
    Read,        // read in the authors' own repository, log or paper
    Aggregator,  // read on a page of somebody else
    Memory,      // written down from memory, no source at hand
    Measured,    // computed by gradscore
};
std::string_view to_string(Trust trust);  // as in the file: "read", "aggregator", "memory", "measured"
std::string_view describe(Trust trust);   // for people: "read at the source"

struct FigureSource {
    std::string name, text;
    Trust trust = Trust::Read;
};

// What one printed column is in our terms.
struct TableColumn {
    std::string name;    // "fpr95"
    std::string label;   // "FPR95"
    std::string metric;  // its field in results.json: "fpr95_closest"
    double DetectionMetrics::*value = nullptr;
    bool lower_is_better = false;
    double tolerance = 0;  // points
};

struct TableSet {
    std::string name, title, size, get, licence;  // all but name and title may be empty
    std::string hint;                             // how it is given: "svhn:test_32x32.mat"
    std::optional<int64_t> images;                // expected; nothing: not known for certain
    std::vector<std::string> notes;
};

// Sets whose mean a column prints.
struct TableGroup {
    std::string name;  // "Average"
    std::vector<std::string> sets;
};

// Weights, and the sets that rows of these weights are about.
struct TableCheckpoint {
    std::string name, title, net, file, size, get, licence;
    std::vector<std::string> sha256;  // any of them, or the first digits (8 or more) of it; empty: not known
    std::string id;
    std::vector<std::string> ood;
    std::vector<TableGroup> groups;
    std::map<std::string, std::string> preprocess;  // "resize", "crop", "mean", "std" as the flags take them
    std::vector<std::string> notes;

    std::vector<std::string> places() const;               // of figures: the OOD sets, then the groups
    const TableGroup* group(std::string_view name) const;  // null where there is none
};

// A statistics file that methods read (`gradscore fit`).
struct TableStatistics {
    std::string name, title, fit;  // fit: the command
};

struct PrintedFigure {
    double value = 0;  // percent
    double tolerance = 0;
    std::string source;
};

struct TableRow {
    std::string label, checkpoint;
    std::string method;                             // "odin:temperature=1000"; empty in reference rows
    std::map<std::string, std::string> method_for;  // sets on which another method makes the figure
    std::string statistics;                         // name; empty: the method learns nothing
    std::string fit_on_test;  // how it learns from the images that it scores; empty: it does not
    std::string reference;    // why it is printed for comparison only; empty: it can be run
    std::map<std::string, std::vector<std::optional<PrintedFigure>>> figures;  // by place, one a column
    std::vector<std::string> notes;

    const std::string& method_on(const std::string& set) const;
    const PrintedFigure* printed(const std::string& place, size_t column) const;  // null where there is none
};

// The published protocol draws OOD images at random: figures are means over draws.
struct TableDraws {
    int64_t count = 0, images = 0;
};

struct PaperTable {
    std::string name, title;
    std::vector<std::string> papers, notes;
    std::vector<FigureSource> sources;
    std::vector<TableColumn> columns;
    std::optional<TableDraws> draws;
    std::vector<TableSet> sets;
    std::vector<TableCheckpoint> checkpoints;
    std::vector<TableStatistics> statistics;
    std::vector<TableRow> rows;

    // Null where there is none of the name.
    const FigureSource* source(std::string_view wanted) const;
    const TableSet* set(std::string_view wanted) const;
    const TableCheckpoint* checkpoint(std::string_view wanted) const;
    const TableStatistics* statistic(std::string_view wanted) const;
};

// Throws Error(Data), one line with the file's `name` and the place in it. Unknown members are refused: a
// mistyped tolerance must not pass unseen.
PaperTable paper_table_from_json(std::string_view text, const std::string& name);
PaperTable read_paper_table(const std::filesystem::path& path);

}  // namespace gs
