// What to know before reading a figure: sets, comparability, protocol, warnings.
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
    return "<div class=\"warning\" role=\"note\">\n" + element("h3", heading) + "<ul>\n" + items +
           "</ul>\n</div>\n";
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
    for (size_t r = 0; r < page.runs.size(); ++r) {
        const RunReport& run = page.runs[r];
        const Results& results = run.results;
        const std::string of = page.several() ? " (run " + std::to_string(r + 1) + ")" : "";
        boxes += box("Invalid protocol" + of, results.run.invalid_protocol);
        if (!results.comparable()) boxes += box("Not comparable" + of, {not_comparable(results)});
        boxes += box("Score files differ from results.json" + of, run.differences);
        std::vector<std::string> warnings;
        for (const Warning& w : results.warnings) warnings.push_back(w.message);
        boxes += box("Warnings" + of, warnings);
    }
    return "<section id=\"summary\" aria-label=\"Summary\">\n<div class=\"runs\">\n" + cards + "</div>\n" +
           boxes + "</section>\n";
}

}  // namespace gs::html
