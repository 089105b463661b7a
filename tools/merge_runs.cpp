#include "tools/merge_runs.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "core/files.h"
#include "tools/merge_arrays.h"
#include "tools/merge_check.h"
#include "tools/owned_folder.h"
#include "tools/run_folder.h"
#include "tools/seen_images.h"
#include "tools/set_facts.h"

namespace gs {
namespace {

namespace fs = std::filesystem;

struct MergedSet {
    ScoredSet scored;
    std::vector<ScoreRow> rows;
    std::vector<ArrayPart> arrays;  // empty: none to be joined
};

[[noreturn]] void fail(const fs::path& path, const std::string& what) {
    throw Error(ErrorKind::Data, path.string() + ": " + what + "; the shard's folder is damaged");
}

// A shard's rows of a set: one for each image of its range, in order.
ScoreTable read_part(const RunShard& shard, const SetInfo& info) {
    const fs::path path = scores_path(shard.folder, info.name);
    ScoreTable table = read_score_table(path, shard.results.methods);
    const IndexRange range = shard_range(info.total, *shard.results.run.shard);
    bool whole = static_cast<int64_t>(table.rows.size()) == range.size();
    for (size_t i = 0; whole && i < table.rows.size(); ++i)
        whole = table.rows[i].index == range.first + static_cast<int64_t>(i);
    if (!whole)
        fail(path, "its rows are not images " + std::to_string(range.first) + " to " +
                       std::to_string(range.last - 1));
    return table;
}

std::vector<std::string> read_part_digests(const RunShard& shard, const SetInfo& info) {
    const fs::path path = digests_path(shard.folder, info.name);
    std::vector<std::string> digests = read_digests(path);
    if (static_cast<int64_t>(digests.size()) != info.scored || combine_digests(digests) != info.digest)
        fail(path, "not the hashes of the images of results.json");
    return digests;
}

MergedSet merge_set(const std::vector<RunShard>& shards, size_t set, SetFacts& facts) {
    const Results& first = shards.front().results;
    MergedSet merged;
    SetInfo& info = merged.scored.info;
    info.name = first.sets[set].name;
    info.description = first.sets[set].description;
    info.role = first.sets[set].role;
    info.total = first.sets[set].total;
    std::vector<std::string> digests;
    int64_t labelled = 0, correct = 0;
    for (const RunShard& shard : shards) {
        const SetInfo& part = shard.results.sets[set];
        ScoreTable table = read_part(shard, part);
        const auto part_digests = read_part_digests(shard, part);
        digests.insert(digests.end(), part_digests.begin(), part_digests.end());
        labelled += part.labelled_images;
        correct += part.correct;
        std::move(table.rows.begin(), table.rows.end(), std::back_inserter(merged.rows));
        if (part.scored > 0)
            merged.arrays.push_back({arrays_path(shard.folder, info.name), part.digest, part.scored});
    }
    for (const ScoreRow& row : merged.rows)
        if (!row.reason.empty()) info.failures.push_back({row.path, row.reason});
    info.excluded = static_cast<int64_t>(info.failures.size());
    info.scored = static_cast<int64_t>(digests.size());
    info.count_labels(labelled, correct);
    require_usable_images(info);
    info.digest = combine_digests(digests);
    info.image_sizes = first.sets[set].image_sizes;  // every shard looked at the same images
    facts.add(info, digests);
    merged.scored.scores = ScoreTable{std::vector<std::string>(first.methods.size()), merged.rows}.columns();
    if (!saves_arrays(shards.front()) || info.excluded > 0) merged.arrays.clear();
    return merged;
}

// The notices all begin with are of loading and of opening the sets. What follows is of scoring, set by set.
std::vector<std::string> merge_notices(const std::vector<RunShard>& shards) {
    const auto list = [&](size_t k) -> const auto& {
        return shards[k].results.run.notices;
    };
    size_t common = list(0).size();
    for (size_t k = 1; k < shards.size(); ++k) {
        const auto end = list(0).begin() + static_cast<std::ptrdiff_t>(common);
        common = static_cast<size_t>(
            std::mismatch(list(0).begin(), end, list(k).begin(), list(k).end()).first - list(0).begin());
    }
    std::vector<std::string> merged(list(0).begin(), list(0).begin() + static_cast<std::ptrdiff_t>(common));
    std::set<std::string> seen;
    const auto add = [&](const std::string& beginning) {
        for (size_t k = 0; k < shards.size(); ++k)
            for (size_t i = common; i < list(k).size(); ++i)
                if (list(k)[i].starts_with(beginning) && seen.insert(list(k)[i]).second)
                    merged.push_back(list(k)[i]);
    };
    for (const SetInfo& set : shards.front().results.sets) add(set.name + ": ");
    add("");
    return merged;
}

// Times are sums over the shards, as if one after the other; the machine is the first shard's.
RunInfo merge_run_info(const std::vector<RunShard>& shards, const std::string& command) {
    RunInfo info = shards.front().results.run;
    info.shard.reset();
    info.started_with.erase("--shard");
    info.command = command;
    info.wall_seconds = 0;
    double images = 0, seconds = 0;  // of running the net
    for (const RunShard& shard : shards) {
        const RunInfo& run = shard.results.run;
        if (info.plan.empty()) info.plan = run.plan;  // of a shard that had images
        info.wall_seconds += run.wall_seconds;
        info.started = std::min(info.started, run.started);
        if (&shard != &shards.front())
            info.resumed.insert(info.resumed.end(), run.resumed.begin(), run.resumed.end());
        if (!(run.images_per_second > 0)) continue;
        double scored = 0;
        for (const SetInfo& set : shard.results.sets) scored += static_cast<double>(set.scored);
        images += scored;
        seconds += scored / run.images_per_second;
    }
    info.images_per_second = seconds > 0 ? images / seconds : 0;
    std::sort(info.resumed.begin(), info.resumed.end());
    info.notices = merge_notices(shards);
    return info;
}

Computation computation_of(const RunInfo& run) {
    return {run.weights_sha256, run.net, run.preprocess, run.precision};
}

// As the whole run would say it: of images that a fit has seen, all shards' together.
std::vector<std::string> merge_invalid_protocol(const std::vector<RunShard>& shards,
                                                const std::vector<MergedSet>& sets) {
    std::map<std::pair<std::string, std::string>, int64_t> seen;  // by set and file
    std::vector<std::string> reasons;
    for (const RunShard& shard : shards)
        for (const std::string& reason : shard.results.run.invalid_protocol) {
            if (const auto fitted = FittedOnTest::from_text(reason)) {
                seen[{fitted->set, fitted->file}] += fitted->seen;
            } else if (std::find(reasons.begin(), reasons.end(), reason) == reasons.end()) {
                reasons.push_back(reason);
            }
        }
    for (const MergedSet& set : sets) {
        const SetInfo& info = set.scored.info;
        for (const auto& [of, count] : seen)
            if (of.first == info.name)
                reasons.push_back(FittedOnTest{of.second, info.name, count, info.scored}.text());
    }
    return reasons;
}

void write_set(const fs::path& out, const MergedSet& set, const std::vector<std::string>& methods,
               const RunInfo& run) {
    const SetInfo& info = set.scored.info;
    ScoreCsvWriter csv(scores_path(out, info.name), methods);
    for (const ScoreRow& row : set.rows) csv.write(row);
    csv.commit();
    if (!set.arrays.empty())
        merge_arrays(arrays_path(out, info.name), set.arrays, {computation_of(run), info.digest});
}

// --force moves OUT aside, and what is in it.
void require_inputs_outside(const std::string& out, const std::vector<std::string>& inputs) {
    for (const std::string& input : inputs)
        if (is_within(input, out))
            throw Error(ErrorKind::Usage,
                        "OUT " + out + ": the shard " + input + " lies there; choose another folder");
}

}  // namespace

int merge_runs(const MergeFlags& flags) {
    require_inputs_outside(flags.out, flags.in);
    const fs::path out(flags.out);
    const Earlier earlier = earlier_run(flags.force, flags.resume);
    check_folder(out, earlier, "OUT", kForceToMove);
    const std::vector<RunShard> shards = read_shards(flags.in);
    RunInfo info = merge_run_info(shards, flags.command_line);
    std::vector<MergedSet> sets;
    std::vector<ScoredSet> scored;
    SetFacts facts;
    for (size_t s = 0; s < shards.front().results.sets.size(); ++s) {
        sets.push_back(merge_set(shards, s, facts));
        check_array_parts(sets.back().arrays, {computation_of(info), ""});
        scored.push_back(sets.back().scored);
    }
    info.invalid_protocol = merge_invalid_protocol(shards, sets);
    const Results results = summarise(info, shards.front().results.methods, scored);

    const OwnedFolder folder(out, earlier, "OUT", "merge", kForceToMove);
    folder.prepare(scoring_folders(saves_arrays(shards.front())));
    write_file_atomically(out / "config.toml", config_of_whole(shards.front().config, flags.out));
    std::vector<std::string> methods;
    for (const MethodInfo& method : results.methods) methods.push_back(method.name);
    for (const MergedSet& set : sets) write_set(out, set, methods, info);
    write_results(out, results);
    if (flags.json || !flags.quiet) print_results(results, flags.json, flags.out);
    int64_t excluded = 0;
    for (const SetInfo& set : results.sets) excluded += set.excluded;
    return report_excluded(excluded, flags.out);
}

}  // namespace gs
