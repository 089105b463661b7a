// The sections of the report page, as HTML.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "report/html.h"

namespace gs::html {

struct Page {
    const std::vector<RunReport>& runs;
    const PageLists& lists;
    bool several() const { return runs.size() > 1; }
    bool has_ood() const { return !lists.sets.empty(); }
    // The tag of a heading within a run's part of a section, one level deeper where runs have headings.
    std::string heading(int depth) const { return "h" + std::to_string(depth + (several() ? 3 : 2)); }
    // Only runs with all OOD sets of the page have averages in it: those over other sets do not compare.
    bool has_all_sets(const RunReport& run) const { return run.results.sets.size() == lists.sets.size() + 1; }
    const MethodMetrics* average(const RunReport& run, const std::string& method) const {
        return has_all_sets(run) ? run.results.find_average(method) : nullptr;
    }
};

// <tag class="…">escaped text</tag>
std::string element(std::string_view tag, std::string_view text, std::string_view css_class = "");
// "run 2: name", where there are several.
std::string run_heading(const Page& page, size_t run, std::string_view tag);
// A section with its heading; `inside` is HTML.
std::string section(std::string_view id, std::string_view heading, const std::string& inside);
// What scrolls sideways on narrow screens, reachable by keyboard.
std::string scrolling(std::string_view label, const std::string& table);

std::string summary(const Page& page);        // what may be wrong: warnings, protocol, comparability
std::string results_table(const Page& page);  // sortable, the convention to be chosen
std::string all_figures(const Page& page);    // every metric in every convention
std::string curves(const Page& page);         // threshold, ROC and precision-recall curves, histograms
std::string curves_heading(const Page& page);
std::string hardest_images(const Page& page);
std::string agreement(const Page& page);
bool has_agreement(const Page& page);
std::string provenance(const Page& page);         // time, plan, hashes, versions, exclusions, notices
std::string thumbnail_symbols(const Page& page);  // each thumbnail once, to be referred to

// The selects of method and OOD set that the sections below follow.
std::string toolbar(const Page& page);

// What the script reads: figures in every convention, thresholds with their counts.
std::string page_data(const Page& page);

}  // namespace gs::html
