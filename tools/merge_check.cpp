#include "tools/merge_check.h"

#include <algorithm>
#include <map>
#include <utility>

#include "core/files.h"
#include "core/join.h"
#include "core/printable.h"
#include "core/toml.h"
#include "report/results_json.h"

namespace gs {
namespace {

namespace fs = std::filesystem;

RunShard read_shard(const std::string& folder) {
    const fs::path path(folder);
    const auto config = read_file(path / "config.toml", ErrorKind::Data);
    RunShard shard{path,
                   read_results_json(path / "results.json"),
                   {reinterpret_cast<const char*>(config.data()), config.size()}};
    if (!shard.results.run.shard)
        throw Error(ErrorKind::Usage, folder + ": a whole run, not a shard of one (score --shard I/N)");
    return shard;
}

// What must be the same in all shards, in the order in which differences are worth telling.
using Facts = std::vector<std::pair<std::string, std::string>>;

void add_facts_of_run(const RunInfo& run, Facts& facts) {
    facts.insert(facts.end(), {{"number of shards", std::to_string(run.shard->count)},
                               {"weights' SHA-256", run.weights_sha256},
                               {"net", run.net},
                               {"number of classes", run.classes ? std::to_string(*run.classes) : "unknown"},
                               {"preprocessing", run.preprocess},
                               {"precision", run.precision},
                               {"device", run.device.substr(0, run.device.find(':'))},
                               {"seed", std::to_string(run.seed)},
                               {"limit", run.limit ? std::to_string(*run.limit) : "none"},
                               {"version of gradscore", run.gradscore_version}});
    for (const auto& [name, version] : run.libraries)
        if (name != "backend") facts.emplace_back("version of " + name, version);  // it counts threads
}

// Without the path of its statistics, which another machine may have elsewhere: the file itself is compared.
std::string options_of(const MethodInfo& method) {
    std::map<std::string, std::string> options = method.options;
    options.erase("stats");
    return join(options, ":", [](const auto& option) { return option.first + "=" + option.second; });
}

std::string statistics_of(const MethodInfo& method, const RunInfo& run) {
    const auto path = method.options.find("stats");
    if (path == method.options.end()) return "none";
    const auto hash = run.statistics.find(path->second);
    return hash == run.statistics.end() ? "none" : hash->second;
}

// Hash of the set's list as the run found it, whatever part of it the shard has.
std::string list_of_images(const RunInfo& run, const std::string& set) {
    const auto found = run.started_with.find("images of " + set);
    return found == run.started_with.end() ? "unknown" : found->second;
}

// Options of methods and sources of sets come after the lists, so that what is compared is of the same name.
void add_facts_of_lists(const Results& results, Facts& facts) {
    facts.emplace_back("list of methods", join(results.methods, ",", &MethodInfo::name));
    facts.emplace_back("list of sets", join(results.sets, ", ", &SetInfo::name));
    for (const MethodInfo& method : results.methods) {
        facts.emplace_back("options of " + method.name, options_of(method));
        facts.emplace_back("statistics file's SHA-256 of " + method.name, statistics_of(method, results.run));
    }
    for (const SetInfo& set : results.sets) {
        facts.emplace_back("source of " + set.name, set.description);
        facts.emplace_back("number of images of " + set.name, std::to_string(set.total));
        facts.emplace_back("list of images of " + set.name, list_of_images(results.run, set.name));
    }
}

std::string flag_of(const RunShard& shard, const std::string& key) {
    for (const TomlEntry& entry : read_toml(shard.config, (shard.folder / "config.toml").string()))
        if (entry.key == key) return join(entry.values, ",");
    return "";
}

Facts facts_of(const RunShard& shard) {
    Facts facts;
    add_facts_of_run(shard.results.run, facts);
    add_facts_of_lists(shard.results, facts);
    // Flags that change scores, exclusions or files and that results.json does not show.
    for (const char* flag : {"no-fuse", "max-pixels", "save"})
        facts.emplace_back(std::string("flag --") + flag, flag_of(shard, flag));
    return facts;
}

void require_same_run(const RunShard& first, const RunShard& other) {
    const Facts a = facts_of(first), b = facts_of(other);
    for (size_t k = 0; k < std::min(a.size(), b.size()); ++k) {
        if (a[k] == b[k]) continue;
        const std::string what = a[k].first == b[k].first
                                     ? "its " + b[k].first + " is '" + printable(b[k].second) + "', there '" +
                                           printable(a[k].second) + "'"
                                     : "it has a " + b[k].first + ", there is a " + a[k].first;
        throw Error(ErrorKind::Usage, other.folder.string() + ": not of the same run as " +
                                          first.folder.string() + ": " + what);
    }
    GS_REQUIRE(a.size() == b.size());
}

void require_complete(const RunShard& shard) {
    const RunInfo& run = shard.results.run;
    const std::string name =
        shard.folder.string() + ": shard " + to_string(*run.shard) + " is not complete: ";
    const std::string advice = "; score it again";
    if (!run.stopped.empty()) throw Error(ErrorKind::Usage, name + printable(run.stopped, 1000) + advice);
    for (const SetInfo& set : shard.results.sets) {
        const int64_t size = shard_range(set.total, *run.shard).size();
        if (set.scored + set.excluded != size)
            throw Error(ErrorKind::Usage, name + std::to_string(set.scored + set.excluded) + " of " +
                                              std::to_string(size) + " images of " + set.name + advice);
    }
}

// Few of them are told, there may be very many.
void require_all(const std::map<int64_t, RunShard>& shards, int64_t count) {
    constexpr size_t kTold = 10;
    std::vector<std::string> missing;
    for (int64_t i = 0; i < count && missing.size() < kTold; ++i)
        if (!shards.contains(i)) missing.push_back(std::to_string(i));
    if (missing.empty()) return;
    const int64_t more = count - static_cast<int64_t>(shards.size() + missing.size());
    throw Error(ErrorKind::Usage, std::string(missing.size() == 1 ? "shard " : "shards ") + join(missing) +
                                      (more > 0 ? " and " + std::to_string(more) + " more" : "") + " of " +
                                      std::to_string(count) + (missing.size() == 1 ? " is" : " are") +
                                      " missing; give every shard's folder");
}

}  // namespace

std::vector<RunShard> read_shards(const std::vector<std::string>& folders) {
    GS_REQUIRE(!folders.empty());
    std::map<int64_t, RunShard> shards;
    std::optional<RunShard> first;
    for (const std::string& folder : folders) {
        RunShard shard = read_shard(folder);
        if (!first) first = shard;
        require_same_run(*first, shard);
        const Shard number = *shard.results.run.shard;
        const auto [at, added] = shards.emplace(number.index, std::move(shard));
        if (!added)
            throw Error(ErrorKind::Usage, "shard " + to_string(number) + " is there twice: " +
                                              at->second.folder.string() + " and " + folder);
    }
    require_all(shards, first->results.run.shard->count);
    std::vector<RunShard> ordered;
    for (auto& [index, shard] : shards) {
        require_complete(shard);
        ordered.push_back(std::move(shard));
    }
    return ordered;
}

bool saves_arrays(const RunShard& shard) {
    return !flag_of(shard, "save").empty();
}

std::string config_of_whole(const std::string& config, const std::string& out) {
    std::string whole;
    for (size_t begin = 0; begin < config.size();) {
        const size_t end = std::min(config.find('\n', begin), config.size() - 1) + 1;
        const std::string line = config.substr(begin, end - begin);
        if (line.starts_with("out = ")) {
            whole += "out = " + toml_string(out) + "\n";
        } else if (!line.starts_with("shard = ")) {
            whole += line;
        }
        begin = end;
    }
    return whole;
}

}  // namespace gs
