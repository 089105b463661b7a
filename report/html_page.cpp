// The page around its sections.
#include <map>

#include "core/printable.h"
#include "report/assets.h"
#include "report/base64.h"
#include "report/html_parts.h"
#include "report/svg.h"
#include "report/table_parts.h"
#include "report/theme.h"

namespace gs {

namespace html {

std::string element(std::string_view tag, std::string_view text, std::string_view css_class) {
    std::string out = "<" + std::string(tag);
    if (!css_class.empty()) out += svg::attributes({{"class", std::string(css_class)}});
    return out + ">" + xml_escaped(text) + "</" + std::string(tag) + ">\n";
}

std::string run_heading(const Page& page, size_t run, std::string_view tag) {
    if (!page.several()) return "";
    return element(tag, "Run " + std::to_string(run + 1) + ": " + page.runs[run].name, "run-name");
}

std::string section(std::string_view id, std::string_view heading, const std::string& inside) {
    const std::string name(id);
    return "<section id=\"" + name + "\" aria-labelledby=\"" + name + "-h\">\n<h2 id=\"" + name + "-h\">" +
           xml_escaped(heading) + "</h2>\n" + inside + "</section>\n";
}

std::string scrolling(std::string_view label, const std::string& table) {
    return "<div" +
           svg::attributes({{"class", "scroll"},
                            {"tabindex", "0"},
                            {"role", "region"},
                            {"aria-label", std::string(label)}}) +
           ">\n" + table + "</div>\n";
}

}  // namespace html

namespace {

std::string page_title(const std::vector<RunReport>& runs) {
    return runs.size() == 1 ? title(runs[0].results) : std::to_string(runs.size()) + " runs side by side";
}

// Nothing but what this page brings may run or be loaded, even if a text got through as markup.
std::string head(const std::vector<RunReport>& runs) {
    const std::string script(page_js_asset());
    const std::string policy =
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-" +
        base64(sha256_of(script)) + "'; base-uri 'none'; form-action 'none'";
    return "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
           "<meta http-equiv=\"Content-Security-Policy\"" +
           svg::attributes({{"content", policy}}) +
           ">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
           "<meta name=\"color-scheme\" content=\"light dark\">\n<title>" +
           xml_escaped(page_title(runs)) + " – gradscore</title>\n<style>\n" + theme_css() +
           chart_css_of_page() + std::string(page_css_asset()) + "</style>\n</head>\n";
}

std::string page_header(const html::Page& page) {
    std::vector<std::pair<std::string, std::string>> sections{
        {"results", "Results"}, {"curves", html::curves_heading(page)}, {"images", "Hardest images"}};
    if (html::has_agreement(page)) sections.emplace_back("agreement", "Agreement");
    sections.emplace_back("provenance", "Provenance");
    std::string links;
    for (const auto& [id, name] : sections) links += "<a href=\"#" + id + "\">" + name + "</a>\n";
    return "<a class=\"skip\" href=\"#results\">Skip to the results</a>\n<header>\n<h1>" +
           xml_escaped(page_title(page.runs)) + "</h1>\n<nav aria-label=\"Sections\">\n" + links +
           "</nav>\n</header>\n";
}

}  // namespace

PageLists join_lists(std::vector<RunReport>& runs) {
    PageLists lists;
    const auto key = [](std::vector<std::string>& list, const std::string& name) {
        for (size_t k = 0; k < list.size(); ++k)
            if (list[k] == name) return k;
        list.push_back(name);
        return list.size() - 1;
    };
    for (RunReport& run : runs) {
        for (size_t m = 0; m < run.results.methods.size(); ++m)
            run.method_keys[m] = key(lists.methods, run.results.methods[m].name);
        for (size_t s = 1; s < run.results.sets.size(); ++s)
            run.set_keys[s] = key(lists.sets, run.results.sets[s].name);
    }
    return lists;
}

std::vector<std::string> why_not_comparable(const std::vector<RunReport>& runs) {
    std::vector<std::string> reasons;
    const SetInfo& first_id = runs.front().results.id_set();
    std::map<std::string, std::pair<std::string, size_t>> digests;  // of an OOD set: digest, run
    for (size_t r = 0; r < runs.size(); ++r) {
        const Results& results = runs[r].results;
        const std::string run = "run " + std::to_string(r + 1);
        if (results.id_set().digest != first_id.digest)
            reasons.push_back("the ID set of " + run + ", " + results.id_set().name +
                              ", is not that of run 1, " + first_id.name + " (other images)");
        for (size_t s = 1; s < results.sets.size(); ++s) {
            const SetInfo& set = results.sets[s];
            const auto [at, is_new] = digests.try_emplace(set.name, set.digest, r);
            if (!is_new && at->second.first != set.digest)
                reasons.push_back(set.name + " of " + run + " has other images than that of run " +
                                  std::to_string(at->second.second + 1));
        }
    }
    return reasons;
}

std::string report_page(const std::vector<RunReport>& runs, const PageLists& lists, const PageFacts& facts) {
    GS_REQUIRE(!runs.empty());
    const html::Page page{runs, lists};
    const std::string by_choice =
        html::toolbar(page) + html::curves(page) + html::hardest_images(page) + html::agreement(page);
    return head(runs) + "<body>\n" + page_header(page) + "<main>\n" + html::summary(page) +
           html::section("results", "Results", html::results_table(page) + html::all_figures(page)) +
           "<div id=\"explore\">\n" + by_choice + "</div>\n" + html::provenance(page) +
           "</main>\n<footer>\n<p>" + xml_escaped("Made by gradscore " + facts.gradscore_version + ": ") +
           html::element("code", facts.command) + "</p>\n</footer>\n" + html::thumbnail_symbols(page) +
           "<script type=\"application/json\" id=\"data\">" + html::page_data(page) + "</script>\n<script>" +
           std::string(page_js_asset()) + "</script>\n</body>\n</html>\n";
}

}  // namespace gs
