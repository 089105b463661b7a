// What to know before reading a figure: sets, comparability, protocol, warnings.
#include <algorithm>
#include <functional>

#include "core/printable.h"
#include "report/html_parts.h"
#include "report/svg.h"
#include "report/table_parts.h"
#include "report/text.h"

namespace gs::html {
namespace {

std::string box(std::string_view heading, const std::vector<std::string>& lines) {
    if (lines.empty()) return "";
    std::string items;
    for (const std::string& line : lines) items += element("li", line);
    return "<div class=\"warning\" role=\"note\">\n" + element("h2", heading) + "<ul>\n" + items +
           "</ul>\n</div>\n";
}

// A box a run, or one where all runs say the same.
std::string boxes_of(const Page& page, const std::string& heading,
                     const std::function<std::vector<std::string>(const RunReport&)>& lines) {
    std::vector<std::vector<std::string>> of_runs;
    for (const RunReport& run : page.runs) of_runs.push_back(lines(run));
    const bool same =
        std::all_of(of_runs.begin(), of_runs.end(), [&](const auto& own) { return own == of_runs[0]; });
    if (same) return box(heading, of_runs[0]);
    std::string boxes;
    for (size_t r = 0; r < of_runs.size(); ++r)
        boxes += box(heading + " (run " + std::to_string(r + 1) + ")", of_runs[r]);
    return boxes;
}

std::string fact(std::string_view name, const std::string& value) {
    return "<div>" + element("dt", name) + element("dd", value) + "</div>\n";
}

std::string card(const Page& page, size_t r) {
    const Results& results = page.runs[r].results;
    std::string sets;
    for (const SetInfo& s : results.sets)
        sets += "<tr><td>" + std::string(s.role == SetRole::Id ? "ID" : "OOD") + "</td><th scope=\"row\">" +
                xml_escaped(s.name) + "</th><td class=\"number\">" + image_counts(s) + "</td></tr>\n";
    const SetInfo& id = results.id_set();
    std::string facts = fact("net", results.run.net);
    if (id.accuracy) facts += fact("accuracy on " + id.name, percent(*id.accuracy) + " %");
    facts += fact("took", clock_time(results.run.wall_seconds) + ", " +
                              significant(results.run.images_per_second, 4) + " images/s");
    return "<article class=\"run card\">\n" +
           (page.several() ? run_heading(page, r, "h3") : element("p", page.runs[r].name, "run-name")) +
           "<dl>\n" + facts +
           "</dl>\n<table>\n<caption class=\"unseen\">Sets of images</caption>\n<tbody>\n" + sets +
           "</tbody></table>\n</article>\n";
}

}  // namespace

std::string summary(const Page& page) {
    std::string cards, boxes;
    for (size_t r = 0; r < page.runs.size(); ++r) cards += card(page, r);
    if (page.several()) {
        auto reasons = why_not_comparable(page.runs);
        boxes += box("Not comparable: figures of these runs must not be set against each other", reasons);
    }
    boxes +=
        boxes_of(page, "Invalid protocol", [](const RunReport& r) { return r.results.run.invalid_protocol; });
    boxes += boxes_of(page, "Not comparable", [](const RunReport& r) {
        return r.results.comparable() ? std::vector<std::string>{} : std::vector{not_comparable(r.results)};
    });
    boxes += boxes_of(page, "Score files differ from results.json",
                      [](const RunReport& r) { return r.differences; });
    boxes += boxes_of(page, "Warnings", [](const RunReport& r) {
        std::vector<std::string> lines;
        for (const Warning& w : r.results.warnings) lines.push_back(w.message);
        return lines;
    });
    return "<section id=\"summary\" aria-label=\"Summary\">\n<div class=\"runs\">\n" + cards + "</div>\n" +
           boxes + "</section>\n";
}

}  // namespace gs::html
