// gradscore threshold: the score at which a wanted share of a run's ID images is accepted.
#include <iostream>

#include "core/files.h"
#include "core/join.h"
#include "core/numbers.h"
#include "core/printable.h"
#include "report/table_parts.h"
#include "report/text.h"
#include "report/threshold_json.h"
#include "tools/commands.h"
#include "tools/run_folder.h"
#include "tools/setup.h"

namespace gs {
namespace {

size_t find_method(const std::vector<MethodInfo>& methods, const std::string& wanted,
                   const std::string& run) {
    if (wanted.empty() && methods.size() == 1) return 0;
    for (size_t m = 0; m < methods.size(); ++m)
        if (methods[m].name == wanted) return m;
    const std::string known = join(methods, ", ", &MethodInfo::name);
    throw Error(ErrorKind::Usage,
                wanted.empty() ? run + ": has several methods; choose one with --method: " + known
                               : "--method " + wanted + ": not a method of " + run + "; it has " + known);
}

// What is fitted on the images of the run is gone with it: nothing else could be scored by the threshold.
void require_fit_of_its_own(const MethodInfo& method) {
    const auto templates = method.options.find("templates");
    if (templates != method.options.end() && templates->second == "id-test")
        throw Error(ErrorKind::Usage, "--method " + method.name +
                                          ": is fitted on the run's own images, and no other image can be "
                                          "scored by that; fit klm on a set of its own");
}

std::string counts(const Acceptance& set) {
    std::string text = grouped(set.accepted) + " of " + grouped(set.scores);
    if (set.nan > 0) text += "; " + grouped(set.nan) + " NaN left out";
    return text;
}

void print(const Threshold& t, const std::string& out) {
    std::cout << printable(t.method.name) << ": in-distribution is a score of " << shortest(t.threshold)
              << " or more\n";
    size_t width = display_width(printable(t.id.name));
    for (const SetAcceptance& set : t.ood) width = std::max(width, display_width(printable(set.name)));
    const auto line = [&](const char* role, const SetAcceptance& set, const char* rate) {
        std::cout << "  " << role << "  " << pad_right(printable(set.name), width) << "  " << rate << " "
                  << pad_left(percent(set.counts.rate()), 6) << " %  (" << counts(set.counts) << ")\n";
    };
    line("ID ", t.id, "TPR");
    for (const SetAcceptance& set : t.ood) line("OOD", set, "FPR");
    std::cout << "Written to " << out << '\n';
}

}  // namespace

int run_threshold(const ThresholdFlags& flags) {
    if (!(flags.tpr > 0 && flags.tpr <= 1))
        throw Error(ErrorKind::Usage, "--tpr: must be above 0 and at most 1");
    check_new_file(flags.out, flags.force);
    require_no_file_of_run(flags.out, flags.run);
    const StoredRun run = read_run(flags.run);
    const auto warn = [&](const std::string& why) {
        say("notice: " + flags.run + ": " + why + ": the threshold is for trials only");
    };
    const size_t method = find_method(run.results.methods, flags.method, flags.run);
    require_fit_of_its_own(run.results.methods[method]);
    const Threshold found = find_threshold(run.results, run.sets, method, flags.tpr);
    if (!run.results.comparable()) warn(not_comparable(run.results));
    for (const std::string& reason : run.results.run.invalid_protocol) warn(printable(reason, 1000));
    write_file_atomically(flags.out, threshold_to_json(found));
    if (flags.json) {
        std::cout << threshold_to_json(found);
    } else {
        print(found, flags.out);
    }
    return 0;
}

}  // namespace gs
