// gradscore merge: shards of a fit as one statistics file, or those of a run as one run folder.
#include <algorithm>
#include <filesystem>
#include <iostream>

#include "report/text.h"
#include "scores/statistics.h"
#include "tools/fitter.h"
#include "tools/merge_runs.h"
#include "tools/setup.h"

namespace gs {
namespace {

namespace fs = std::filesystem;

int merge_fits(const MergeFlags& flags) {
    check_output_file(flags.out, flags.force);
    std::vector<Statistics> shards;
    for (const std::string& in : flags.in) shards.push_back(read_statistics(in));
    Statistics merged = merge_statistics(std::move(shards));
    for (const std::string& notice : complete_states(merged.states)) say("notice: " + notice);
    write_statistics(flags.out, merged);
    if (!flags.quiet)
        std::cout << flags.out << ": " << flags.in.size() << " shards, fitted on "
                  << counted(std::ssize(merged.seen), "image") << " of " << merged.set << '\n';
    return 0;
}

}  // namespace

int run_merge(const MergeFlags& flags) {
    const auto is_folder = [](const std::string& in) { return fs::is_directory(in); };
    if (std::all_of(flags.in.begin(), flags.in.end(), is_folder)) return merge_runs(flags);
    const auto folder = std::find_if(flags.in.begin(), flags.in.end(), is_folder);
    if (folder != flags.in.end())
        throw Error(ErrorKind::Usage, *folder +
                                          ": a folder beside files or names that are not there; merge takes "
                                          "statistics files of gradscore fit, or run folders");
    return merge_fits(flags);
}

}  // namespace gs
