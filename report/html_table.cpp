// The table of results, and the one of every figure.
#include <algorithm>
#include <array>

#include "core/numbers.h"
#include "core/printable.h"
#include "report/conventions.h"
#include "report/html_parts.h"
#include "report/svg.h"
#include "report/table_parts.h"
#include "report/text.h"

namespace gs::html {
namespace {

// An OOD set of the page's list, or past its end the average.
const MethodMetrics* find(const Page& page, const RunReport& run, const std::string& method, size_t set) {
    return set < page.lists.sets.size() ? run.results.find(method, page.lists.sets[set])
                                        : page.average(run, method);
}

bool has_average(const Page& page) {
    return page.lists.sets.size() > 1;
}

bool lacks_averages(const Page& page) {
    return has_average(page) && !std::all_of(page.runs.begin(), page.runs.end(),
                                             [&](const RunReport& run) { return page.has_all_sets(run); });
}

std::string set_key(const Page& page, size_t set) {
    return set < page.lists.sets.size() ? std::to_string(set) : "average";
}

// A group's first column has a line before it.
std::string number_class(const Figure& figure) {
    return &figure == &kFigures.front() ? "number first" : "number";
}

std::string head(const Page& page) {
    std::string sets, figures;
    const size_t groups = page.lists.sets.size() + (has_average(page) ? 1 : 0);
    for (size_t s = 0; s < groups; ++s) {
        const std::string name = s < page.lists.sets.size() ? page.lists.sets[s] : std::string(kAverage);
        sets += "<th colspan=\"3\" scope=\"colgroup\"" + svg::attributes({{"data-set", set_key(page, s)}}) +
                ">" + xml_escaped(name) + "</th>";
        for (const Figure& f : kFigures)
            figures += "<th" +
                       svg::attributes({{"scope", "col"},
                                        {"class", number_class(f)},
                                        {"data-kind", std::string(f.key)},
                                        {"data-set", set_key(page, s)},
                                        {"data-sort", f.lower_is_better ? "ascending" : "descending"}}) +
                       "><span class=\"name\">" + std::string(f.name) + "</span> " +
                       (f.lower_is_better ? "↓" : "↑") + "</th>";
    }
    const auto corner = [](const char* name) {
        return "<th rowspan=\"2\" scope=\"col\" data-kind=\"text\" data-sort=\"ascending\"><span "
               "class=\"name\">" +
               std::string(name) + "</span></th>";
    };
    return "<thead>\n<tr>" + corner("Method") + (page.several() ? corner("Run") : "") + sets + "</tr>\n<tr>" +
           figures + "</tr>\n</thead>\n";
}

// The best figure as printed of each run's column, as far as rows may be compared: all runs have the same, or
// each its own.
std::vector<std::string> best_in_column(const Page& page, bool comparable, size_t set, const Figure& figure) {
    std::vector<std::vector<std::string>> columns(comparable ? 1 : page.runs.size());
    for (size_t r = 0; r < page.runs.size(); ++r)
        for (const MethodInfo& m : page.runs[r].results.methods)
            if (const MethodMetrics* metrics = find(page, page.runs[r], m.name, set))
                columns[comparable ? 0 : r].push_back(percent(metrics->metrics.*figure.value));
    std::vector<std::string> best;
    for (size_t r = 0; r < page.runs.size(); ++r)
        best.push_back(best_as_printed(columns[comparable ? 0 : r], figure.lower_is_better));
    return best;
}

std::string body(const Page& page) {
    const size_t groups = page.lists.sets.size() + (has_average(page) ? 1 : 0);
    const bool comparable = why_not_comparable(page.runs).empty();
    std::vector<std::array<std::vector<std::string>, kFigures.size()>> best(groups);
    for (size_t s = 0; s < groups; ++s)
        for (size_t f = 0; f < kFigures.size(); ++f)
            best[s][f] = best_in_column(page, comparable, s, kFigures[f]);
    std::string rows;
    for (size_t r = 0; r < page.runs.size(); ++r) {
        const RunReport& run = page.runs[r];
        for (size_t m = 0; m < run.results.methods.size(); ++m) {
            const std::string& name = run.results.methods[m].name;
            rows += "<tr" +
                    svg::attributes({{"data-run", std::to_string(r)}, {"data-method", std::to_string(m)}}) +
                    "><th scope=\"row\">" + xml_escaped(name) + "</th>";
            if (page.several()) rows += "<td class=\"run\">" + std::to_string(r + 1) + "</td>";
            for (size_t s = 0; s < groups; ++s) {
                const MethodMetrics* metrics = find(page, run, name, s);
                for (size_t f = 0; f < kFigures.size(); ++f) {
                    const Figure& figure = kFigures[f];
                    std::string css = number_class(figure), shown = "–", value;
                    if (metrics != nullptr) {
                        shown = percent(metrics->metrics.*figure.value);
                        if (shown == best[s][f][r]) css += " best";
                        value = svg::attributes({{"data-v", shortest(metrics->metrics.*figure.value)}});
                    }
                    rows += "<td" +
                            svg::attributes({{"class", css},
                                             {"data-kind", std::string(figure.key)},
                                             {"data-set", set_key(page, s)}}) +
                            value + ">" + shown + "</td>";
                }
            }
            rows += "</tr>\n";
        }
    }
    return "<tbody>\n" + rows + "</tbody>\n";
}

template <size_t N>
std::string choice(const std::string& id, const std::string& label, const std::array<Convention, N>& list) {
    std::string options;
    for (const Convention& c : list)
        options +=
            "<option" +
            svg::attributes({{"value", std::string(c.field)}, {"data-column", std::string(c.column)}}) + ">" +
            xml_escaped(c.text) + "</option>\n";
    return "<label for=\"" + id + "\">" + label + "</label>\n<select id=\"" + id + "\">\n" + options +
           "</select>\n";
}

std::string figure_rows(const Page& page, const RunReport& run, size_t r) {
    std::string rows;
    for (const auto* list : {&run.results.metrics, &run.results.averages})
        for (const MethodMetrics& m : *list) {
            if (list == &run.results.averages && !(has_average(page) && page.has_all_sets(run))) continue;
            rows += "<tr><th scope=\"row\">" + xml_escaped(m.method) + "</th><td>" +
                    (m.ood.empty() ? "<em>average</em>" : xml_escaped(m.ood)) + "</td>";
            if (page.several()) rows += "<td class=\"run\">" + std::to_string(r + 1) + "</td>";
            for (const MetricField& f : metric_fields())
                rows += "<td" +
                        svg::attributes({{"class", "number"},
                                         {"data-field", std::string(f.name)},
                                         {"data-v", shortest(m.metrics.*f.value)}}) +
                        ">" + percent(m.metrics.*f.value) + "</td>";
            for (const int64_t count :
                 {m.metrics.id_count, m.metrics.ood_count, m.metrics.id_excluded + m.metrics.ood_excluded})
                // An average's are sums, in which each ID image counts once a set.
                rows += "<td class=\"number\">" + (m.ood.empty() ? "–" : grouped(count)) + "</td>";
            rows += "</tr>\n";
        }
    return rows;
}

}  // namespace

std::string results_table(const Page& page) {
    if (!page.has_ood()) return element("p", "No out-of-distribution set was given: scores, but no metrics.");
    return "<div class=\"controls\" hidden>\n" + choice("fpr-convention", "FPR95", kFprConventions) +
           choice("aupr-convention", "AUPR", kAuprConventions) + "</div>\n" +
           "<p class=\"small\" id=\"results-note\">Figures in percent. <span id=\"convention\">FPR95: " +
           std::string(kFprConventions[0].text) + "; AUPR: " + std::string(kAuprConventions[0].text) +
           "</span>. The best of a column is bold." +
           (lacks_averages(page)
                ? " Averages are over all OOD sets of this page: a run that lacks one has none."
                : "") +
           "</p>\n" +
           scrolling("Results", "<table id=\"results-table\" aria-describedby=\"results-note\">\n" +
                                    head(page) + body(page) + "</table>\n") +
           "<p id=\"sorted\" class=\"unseen\" aria-live=\"polite\"></p>\n";
}

std::string all_figures(const Page& page) {
    if (!page.has_ood()) return "";
    std::string heads = "<th scope=\"col\">method</th><th scope=\"col\">set</th>";
    if (page.several()) heads += "<th scope=\"col\">run</th>";
    for (const MetricField& f : metric_fields())
        heads += "<th scope=\"col\" class=\"number\">" + std::string(f.name) + "</th>";
    heads +=
        "<th scope=\"col\" class=\"number\">ID scores</th><th scope=\"col\" class=\"number\">OOD scores</th>"
        "<th scope=\"col\" class=\"number\">NaN</th>";
    std::string rows, conventions;
    for (size_t r = 0; r < page.runs.size(); ++r) rows += figure_rows(page, page.runs[r], r);
    const auto describe = [&](const Convention& c) {
        conventions += "<li><code>" + std::string(c.field) + "</code>: " + xml_escaped(c.text) + "</li>\n";
    };
    for (const Convention& c : kOtherFigures) describe(c);
    for (const Convention& c : kFprConventions) describe(c);
    for (const Convention& c : kAuprConventions) describe(c);
    conventions += element("li", "ID scores, OOD scores: images behind the figures; NaN: those left out");
    return "<details id=\"all-figures\">\n<summary>Every figure in every convention</summary>\n" +
           scrolling("Every figure", "<table>\n<thead><tr>" + heads + "</tr></thead>\n<tbody>\n" + rows +
                                         "</tbody>\n</table>\n") +
           "<ul class=\"small\">\n" + conventions + "</ul>\n</details>\n";
}

}  // namespace gs::html
