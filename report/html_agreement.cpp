// Which methods order the images alike.
#include <cmath>

#include "report/html_parts.h"
#include "report/svg.h"
#include "report/text.h"

namespace gs::html {
namespace {

std::string matrix_table(const RunReport& run, size_t set) {
    const auto& matrix = run.agreement[set];
    std::string heads, rows;
    for (size_t i = 0; i < matrix.size(); ++i) {
        const std::string number = std::to_string(i + 1);
        heads += "<th scope=\"col\"" + svg::attributes({{"title", run.results.methods[i].name}}) + ">" +
                 number + "</th>";
        rows += "<tr><th scope=\"row\"><span class=\"key\">" + number + "</span> " +
                xml_escaped(run.results.methods[i].name) + "</th>";
        for (const double value : matrix[i])
            rows +=
                std::isnan(value)
                    ? "<td>n/a</td>"
                    : "<td" +
                          svg::attributes({{"class", value < 0 ? "shade minus" : "shade"},
                                           {"style", "--r:" + svg::number(50 * std::abs(value), 0) + "%"}}) +
                          ">" + fixed(value, 2) + "</td>";
        rows += "</tr>\n";
    }
    const SetInfo& info = run.results.sets[set];
    const std::string caption = std::string(set == 0 ? "ID set " : "OOD set ") + info.name;
    return "<div" + (set > 0 ? " data-set=\"" + std::to_string(run.set_keys[set]) + "\"" : "") + ">\n" +
           scrolling("Agreement on " + info.name,
                     "<table class=\"matrix\">\n" + element("caption", caption) + "<thead><tr><td></td>" +
                         heads + "</tr></thead>\n<tbody>\n" + rows + "</tbody></table>\n") +
           "</div>\n";
}

}  // namespace

bool has_agreement(const Page& page) {
    return page.lists.methods.size() > 1;
}

std::string agreement(const Page& page) {
    if (!has_agreement(page)) return "";
    std::string runs;
    for (size_t r = 0; r < page.runs.size(); ++r) {
        const RunReport& run = page.runs[r];
        std::string tables;
        for (size_t s = 0; s < run.results.sets.size(); ++s) tables += matrix_table(run, s);
        runs += "<article class=\"run\" data-run=\"" + std::to_string(r) + "\">\n" +
                run_heading(page, r, "h3") + "<div class=\"matrices\">\n" + tables + "</div>\n</article>\n";
    }
    return section(
        "agreement", "Agreement of the methods",
        element("p",
                "Spearman's rank correlation of two methods' scores within one set: 1 where they order "
                "its images alike, 0 where their orders have nothing in common.") +
            "<div class=\"runs\">\n" + runs + "</div>\n");
}

}  // namespace gs::html
