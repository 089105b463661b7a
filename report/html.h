// The report page: several runs side by side in one HTML file that needs nothing else, and its charts as
// files.
#pragma once

#include <string>
#include <vector>

#include "report/run_report.h"

namespace gs {

// Gives the runs' methods and sets their places in the page's lists, by name and in order of appearance.
struct PageLists {
    std::vector<std::string> methods, sets;  // sets: OOD sets; ID sets are each run's own
};
PageLists join_lists(std::vector<RunReport>& runs);

struct PageFacts {
    std::string gradscore_version, command;
};

// Every text of the runs is escaped. The page holds its script and forbids any other, and any request.
std::string report_page(const std::vector<RunReport>& runs, const PageLists& lists, const PageFacts& facts);

// Why runs must not be compared figure by figure, one line each: other ID sets, other images under one name.
std::vector<std::string> why_not_comparable(const std::vector<RunReport>& runs);

struct FigureFile {
    std::string name;  // "roc-dtd.svg"; of several runs "2-roc-dtd.svg"; letters, digits, . - _ only
    std::string svg;
};
std::vector<FigureFile> report_figures(const std::vector<RunReport>& runs);

}  // namespace gs
