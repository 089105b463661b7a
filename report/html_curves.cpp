// Thresholds, curves and histograms, a column a run.
#include "report/chart.h"
#include "report/html_parts.h"
#include "report/svg.h"
#include "report/text.h"

namespace gs::html {
namespace {

std::string figure(const Chart& chart, const std::string& id, std::string_view css_class,
                   std::initializer_list<svg::Attribute> more) {
    return "<figure" + svg::attributes({{"class", std::string(css_class)}}) + svg::attributes(more) + ">\n" +
           inline_svg(chart, id) + "</figure>\n";
}

// Hidden without the script. The script fills the table below.
std::string threshold_controls(size_t run) {
    const std::string id = "threshold-" + std::to_string(run);
    return "<div class=\"threshold\" hidden>\n<label for=\"" + id +
           "\">Threshold: images of this score or more are accepted as in-distribution</label>\n"
           "<div class=\"slide\"><input type=\"range\" id=\"" +
           id +
           "\" min=\"0\" max=\"0\" value=\"0\" step=\"1\"><button type=\"button\">95 % TPR</button></div>\n" +
           scrolling("Rates at the threshold", "<table class=\"rates\"></table>\n") + "</div>\n";
}

// Of a method that misses the threshold it should begin at.
std::string about_threshold(const ThresholdTable& table) {
    if (table.thresholds.empty() || table.reaches_95) return "";
    return element("p",
                   "No threshold accepts 95 % of the ID images: more than 5 % of their scores are minus "
                   "infinity. The line is at the lowest of the other scores.",
                   "small");
}

std::string run_curves(const Page& page, size_t r) {
    const RunReport& run = page.runs[r];
    const std::string number = std::to_string(r);
    std::string sets, methods;
    for (size_t s = 1; s < run.results.sets.size(); ++s) {
        const std::string key = std::to_string(run.set_keys[s]);
        sets += "<div class=\"pair\" data-set=\"" + key + "\">\n" +
                figure(roc_chart(run, s), "roc-" + number + "-" + key, "roc", {}) +
                figure(precision_recall_chart(run, s), "pr-" + number + "-" + key, "pr", {}) + "</div>\n";
    }
    for (size_t m = 0; m < run.methods.size(); ++m) {
        const std::string key = std::to_string(run.method_keys[m]);
        methods += "<div class=\"histograms\" data-method=\"" + key + "\">\n" +
                   element(page.heading(1), "Scores of " + run.results.methods[m].name) +
                   about_threshold(run.methods[m].thresholds);
        for (size_t s = run.results.sets.size() > 1 ? 1 : 0; s < run.results.sets.size(); ++s)
            methods += figure(score_chart(run, m, s),
                              "scores-" + number + "-" + key + "-" + std::to_string(s), "scores", {});
        methods += "</div>\n";
    }
    return "<article class=\"run\" data-run=\"" + number + "\">\n" + run_heading(page, r, "h3") +
           threshold_controls(r) + sets + methods + "</article>\n";
}

std::string about_curves(const Page& page) {
    double roc = 0, precision = 0;
    size_t points = 0;
    for (const RunReport& run : page.runs)
        for (const MethodReport& m : run.methods)
            for (const auto& curve : m.curves) {
                if (!curve) continue;
                roc = std::max(roc, curve->roc_error);
                precision = std::max(precision, curve->precision_error);
                points = std::max(points, curve->points.size());
            }
    std::string text;
    if (points > 0)
        text = "Dots mark a TPR of 95 % (or the threshold that was set). Curves are drawn through at most " +
               grouped(static_cast<int64_t>(points)) +
               " of their points, chosen so that no point left out is farther from the drawn line than " +
               fixed(100 * roc, 3) +
               " percentage points of FPR and TPR (precision and recall: " + fixed(100 * precision, 3) +
               "). ";
    return text +
           "Rates at a threshold are counts over all images. Histograms span the middle 99 % of the scores; "
           "what lies beyond is in the outermost bins. The height of a bin is the square root of its share. "
           "The dashed line is the threshold.";
}

}  // namespace

std::string toolbar(const Page& page) {
    const auto select = [](const std::string& id, const char* label, const std::vector<std::string>& names) {
        std::string options;
        for (size_t k = 0; k < names.size(); ++k)
            options += "<option value=\"" + std::to_string(k) + "\">" + xml_escaped(names[k]) + "</option>\n";
        return "<div><label for=\"" + id + "\">" + label + "</label>\n<select id=\"" + id + "\">\n" +
               options + "</select></div>\n";
    };
    std::string out = "<form class=\"toolbar\" hidden aria-label=\"What the sections below show\">\n" +
                      select("method", "Method", page.lists.methods);
    if (page.has_ood()) out += select("set", "OOD set", page.lists.sets);
    return out + "</form>\n";
}

std::string curves_heading(const Page& page) {
    return page.has_ood() ? "Curves and threshold" : "Scores and threshold";
}

std::string curves(const Page& page) {
    std::string runs;
    for (size_t r = 0; r < page.runs.size(); ++r) runs += run_curves(page, r);
    return section("curves", curves_heading(page),
                   "<div class=\"runs\">\n" + runs + "</div>\n" + element("p", about_curves(page), "small"));
}

}  // namespace gs::html
