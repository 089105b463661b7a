#include <algorithm>

#include "report/markdown_parts.h"
#include "report/table.h"
#include "report/table_parts.h"
#include "report/text.h"

namespace gs {

using namespace markdown;

namespace {

constexpr size_t kGroupsInBlock = 3;

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

std::string resumed(const RunInfo& r) {
    if (r.resumed.empty()) return "";
    const std::string times =
        r.resumed.size() == 1 ? "once" : grouped(static_cast<int64_t>(r.resumed.size())) + " times";
    return ", stopped and resumed " + times + ", last " + escaped(r.resumed.back());
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
                                   " threads, batch " + batch_text(r)},
                    {"seed", std::to_string(r.seed)},
                    {"started", escaped(r.started) + resumed(r)},
                    {"took", clock_time(r.wall_seconds) + ", " + fixed(r.images_per_second, 1) + " images/s"},
                    {"made by", "gradscore " + escaped(r.gradscore_version) +
                                    (libraries.empty() ? "" : "; " + escaped(libraries))}};
    return table(rows, 2);
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
    if (!results.comparable()) text += "**Not comparable:** " + escaped(not_comparable(results)) + ".\n\n";
    for (const std::string& reason : results.run.invalid_protocol)
        text += "**Invalid protocol:** " + escaped(reason) + ".\n\n";
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
