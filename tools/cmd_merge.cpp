// gradscore merge: shards of a fit as one statistics file.
#include <filesystem>
#include <iostream>

#include "report/text.h"
#include "scores/statistics.h"
#include "tools/fitter.h"
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
                  << grouped(static_cast<int64_t>(merged.seen.size())) << " images of " << merged.set << '\n';
    return 0;
}

}  // namespace

int run_merge(const MergeFlags& flags) {
    for (const std::string& in : flags.in)
        if (fs::is_directory(in))
            throw Error(ErrorKind::Usage, in + ": a folder; merge takes statistics files of gradscore fit");
    return merge_fits(flags);
}

}  // namespace gs
