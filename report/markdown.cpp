#include <algorithm>

#include "core/printable.h"
#include "report/table.h"
#include "report/table_parts.h"
#include "report/text.h"

namespace gs {
namespace {

constexpr size_t kGroupsInBlock = 3;

// Text that Markdown and HTML leave alone.
std::string escaped(std::string_view text) {
    std::string safe;
    for (char c : printable(text, 1000)) {
        if (std::string_view("\\`*<|[").find(c) != std::string_view::npos) safe += '\\';
        safe += c;
    }
    return safe;
}

// As code, where backslashes show and only backticks and table bars matter.
std::string code(std::string_view text) {
    std::string safe = printable(text, 4000);
    std::replace(safe.begin(), safe.end(), '`', '\'');
    for (size_t at = 0; (at = safe.find('|', at)) != safe.npos; at += 2) safe.insert(at, 1, '\\');
    return safe.empty() ? "" : "`" + safe + "`";
}

// Rows of cells as an aligned table; all columns but the first `left` are aligned to the right.
using Rows = std::vector<std::vector<std::string>>;
std::string table(const Rows& rows, size_t left) {
    std::vector<size_t> widths(rows[0].size(), 3);
    for (const auto& row : rows)
        for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], display_width(row[c]));
    std::string text;
    for (size_t r = 0; r < rows.size(); ++r) {
        for (size_t c = 0; c < widths.size(); ++c)
            text += "| " + (c < left ? pad_right : pad_left)(rows[r][c], widths[c]) + " ";
        text += "|\n";
        if (r > 0) continue;
        for (size_t c = 0; c < widths.size(); ++c)
            text += c < left ? "|" + std::string(widths[c] + 2, '-')
                             : "|" + std::string(widths[c] + 1, '-') + ":";
        text += "|\n";
    }
    return text + "\n";
}

std::string set_table(const Results& results) {
    Rows rows{{"set", "", "source", "images", "excluded", "accuracy"}};
    for (const SetInfo& s : results.sets)
        rows.push_back({escaped(s.name), s.role == SetRole::Id ? "ID" : "OOD", code(s.description),
                        grouped(s.scored), grouped(s.excluded),
                        s.accuracy ? percent(*s.accuracy) + " %" : ""});
    return table(rows, 3);
}

// One header row is all that Markdown knows: the sets take it, the figures' names are the first row below.
std::string figure_table(const Results& results, const std::vector<ColumnGroup>& groups) {
    Rows rows(2 + results.methods.size());
    rows[0] = {""};
    rows[1] = {"**method**"};
    for (size_t m = 0; m < results.methods.size(); ++m) rows[2 + m] = {escaped(results.methods[m].name)};
    for (const ColumnGroup& g : groups)
        for (size_t f = 0; f < kFigures.size(); ++f) {
            rows[0].push_back(f == 0 ? escaped(g.name) : "");
            rows[1].push_back(std::string(kFigures[f].name) + (kFigures[f].lower_is_better ? " ↓" : " ↑"));
            for (size_t m = 0; m < g.rows.size(); ++m) {
                const Cell& cell = g.rows[m][f];
                rows[2 + m].push_back(cell.best ? "**" + cell.text + "**" : cell.text);
            }
        }
    return table(rows, 1);
}

std::string run_table(const RunInfo& r) {
    std::string libraries;
    for (const auto& [name, version] : r.libraries)
        libraries += (libraries.empty() ? "" : ", ") + name + " " + version;
    const Rows rows{{"run", ""},
                    {"command", code(r.command)},
                    {"net", escaped(r.net) + (r.classes ? ", " + grouped(*r.classes) + " classes" : "")},
                    {"weights", code(r.weights_path)},
                    {"SHA-256", code(r.weights_sha256)},
                    {"preprocessing", escaped(r.preprocess)},
                    {"device", escaped(r.device) + ", " + escaped(r.precision) + ", " + grouped(r.threads) +
                                   " threads, batch " + grouped(r.batch)},
                    {"seed", std::to_string(r.seed)},
                    {"started", escaped(r.started)},
                    {"took", clock_time(r.wall_seconds) + ", " + fixed(r.images_per_second, 1) + " images/s"},
                    {"made by", "gradscore " + escaped(r.gradscore_version) +
                                    (libraries.empty() ? "" : "; " + escaped(libraries))}};
    return table(rows, 2);
}

std::string list(const char* heading, const std::vector<std::string>& items) {
    if (items.empty()) return "";
    std::string text = std::string("## ") + heading + "\n\n";
    for (const std::string& item : items) text += "- " + item + "\n";
    return text + "\n";
}

std::vector<std::string> excluded_images(const Results& results) {
    constexpr size_t kShown = 20;
    std::vector<std::string> items;
    for (const SetInfo& s : results.sets) {
        for (size_t k = 0; k < std::min(kShown, s.failures.size()); ++k)
            items.push_back(escaped(s.name) + ": " + code(s.failures[k].path) + ": " +
                            escaped(s.failures[k].reason));
        if (s.failures.size() > kShown)
            items.push_back(escaped(s.name) + ": " + grouped(int64_t(s.failures.size() - kShown)) +
                            " more, listed in results.json");
    }
    return items;
}

}  // namespace

std::string results_markdown(const Results& results) {
    std::string text = "# " + escaped(title(results)) + "\n\n" + std::string(kConventions) + "\n\n";
    if (!results.comparable()) text += "**Not comparable:** " + not_comparable(results) + ".\n\n";
    text += set_table(results);
    const auto groups = column_groups(results);
    if (groups.empty()) text += "No out-of-distribution set was given: scores, but no metrics.\n\n";
    for (const auto& block : in_blocks(groups, kGroupsInBlock)) text += figure_table(results, block);
    std::vector<std::string> warnings, notices;
    for (const Warning& w : results.warnings) warnings.push_back(escaped(w.message));
    for (const std::string& n : results.run.notices) notices.push_back(escaped(n));
    text += list("Warnings", warnings) + list("Notices", notices) +
            list("Excluded images", excluded_images(results)) + "## Run\n\n" + run_table(results.run);
    text.pop_back();
    return text;
}

}  // namespace gs
