// Every chart of the page as a file of its own.
#include <set>

#include "report/chart.h"
#include "report/html.h"

namespace gs {
namespace {

// What any file system takes: names of sets and methods are anybody's.
std::string plain(const std::string& name) {
    std::string text;
    for (const char c : name.substr(0, 60)) {
        const bool keep = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                          c == '.' || c == '-';
        text += keep ? c : '_';
    }
    return text.empty() ? "_" : text;
}

class Names {
  public:
    // Names that became the same get a number.
    std::string unique(const std::string& name) {
        std::string candidate = name;
        for (int k = 2; !taken_.insert(candidate).second; ++k) candidate = name + "-" + std::to_string(k);
        return candidate + ".svg";
    }

  private:
    std::set<std::string> taken_;
};

}  // namespace

std::vector<FigureFile> report_figures(const std::vector<RunReport>& runs) {
    std::vector<FigureFile> files;
    Names names;
    for (size_t r = 0; r < runs.size(); ++r) {
        const RunReport& run = runs[r];
        const std::string prefix = runs.size() > 1 ? std::to_string(r + 1) + "-" : "";
        const auto add = [&](const std::string& name, const Chart& chart) {
            files.push_back({names.unique(prefix + name), standalone_svg(chart)});
        };
        for (size_t s = 0; s < run.results.sets.size(); ++s) {
            const std::string set = plain(run.results.sets[s].name);
            if (run.methods.size() > 1) add("agreement-" + set, agreement_chart(run, s));
            if (s > 0) {
                add("roc-" + set, roc_chart(run, s));
                add("precision-recall-" + set, precision_recall_chart(run, s));
            } else if (run.results.sets.size() > 1) {
                continue;  // the histograms of OOD sets show the ID set's scores, too
            }
            for (size_t m = 0; m < run.methods.size(); ++m)
                add("scores-" + plain(run.results.methods[m].name) + "-" + set, score_chart(run, m, s));
        }
    }
    return files;
}

}  // namespace gs
