// gradscore merge: shards of a fit as one statistics file, or those of a run as one run folder.
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "core/printable.h"
#include "report/text.h"
#include "scores/statistics.h"
#include "tools/fitter.h"
#include "tools/merge_runs.h"
#include "tools/owned_folder.h"
#include "tools/setup.h"

namespace gs {
namespace {

namespace fs = std::filesystem;

void print_json(const MergeFlags& flags, const Statistics& merged) {
    using Json = nlohmann::ordered_json;
    Json methods = Json::array();
    for (const FitState& state : merged.states)
        methods.push_back({{"method", state.method}, {"options", state.options}});
    const Json json{{"statistics", flags.out},
                    {"shards", flags.in.size()},
                    {"net", merged.net},
                    {"weights_sha256", merged.weights_sha256},
                    {"preprocess", merged.preprocess},
                    {"precision", merged.precision},
                    {"set", merged.set},
                    {"total", merged.total},
                    {"limit", merged.limit ? Json(*merged.limit) : Json(nullptr)},
                    {"images", merged.seen.size()},
                    {"excluded", merged.excluded},
                    {"methods", std::move(methods)}};
    std::cout << json.dump(1, ' ', false, Json::error_handler_t::replace) << '\n';
}

int merge_fits(const MergeFlags& flags) {
    check_output_file(flags.out, flags.force);
    for (const std::string& in : flags.in) require_other_file(flags.out, in, "the shard " + in);
    std::vector<Statistics> shards;
    for (const std::string& in : flags.in) shards.push_back(read_statistics(in));
    Statistics merged = merge_statistics(std::move(shards));
    for (const std::string& notice : complete_states(merged.states)) say("notice: " + notice);
    std::error_code error;
    if (fs::exists(flags.out, error)) move_aside(flags.out);  // under --force
    write_statistics(flags.out, merged);
    if (flags.json)
        print_json(flags, merged);
    else if (!flags.quiet)
        std::cout << flags.out << ": " << flags.in.size() << " shards, fitted on "
                  << counted(std::ssize(merged.seen), "image") << " of " << printable(merged.set, 1000)
                  << '\n';
    return say_excluded(merged.excluded, "named by the fits of the shards");
}

}  // namespace

int run_merge(const MergeFlags& flags) {
    for (const std::string& in : flags.in) {
        std::error_code error;
        if (!fs::exists(in, error) && !error) throw Error(ErrorKind::Data, in + ": is not there");
    }
    const auto is_folder = [](const std::string& in) {
        std::error_code ignored;  // told by who reads it as a file
        return fs::is_directory(in, ignored);
    };
    if (std::all_of(flags.in.begin(), flags.in.end(), is_folder)) return merge_runs(flags);
    const auto folder = std::find_if(flags.in.begin(), flags.in.end(), is_folder);
    if (folder != flags.in.end())
        throw Error(ErrorKind::Usage, *folder +
                                          ": a folder beside files; merge takes "
                                          "statistics files of gradscore fit, or run folders");
    return merge_fits(flags);
}

}  // namespace gs
