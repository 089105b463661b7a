// gradscore search: options of fitted methods by trial on validation sets, kept as JSON for
// METHOD:search=FILE, or in statistics for --stats.
#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "core/files.h"
#include "core/join.h"
#include "report/json_node.h"
#include "scores/score.h"
#include "tools/commands.h"
#include "tools/image_sets.h"
#include "tools/journaled_file.h"
#include "tools/score_run.h"
#include "tools/score_start.h"
#include "tools/search.h"
#include "tools/search_file.h"
#include "tools/setup.h"

namespace gs {
namespace {

using Json = nlohmann::ordered_json;

struct Searchable {
    const char* method;
    SearchMethod search;
    bool tunes_statistics;  // leaves a tuned fit, not options
};
constexpr Searchable kSearchable[] = {{"nac", search_nac, false}, {"mahalanobis", search_mahalanobis, true}};

const Searchable& find_search(const std::string& method) {
    for (const Searchable& known : kSearchable)
        if (method == known.method) return known;
    throw Error(ErrorKind::Usage, "--methods: '" + method +
                                      "' has nothing to search for; methods that have: " +
                                      join(kSearchable, ", ", &Searchable::method));
}

// Of --out: tuned statistics, or options as JSON.
bool holds_statistics(const std::string& out) {
    return out.ends_with(".safetensors");
}

void check_out(const SearchFlags& flags, const std::vector<MethodSpec>& methods) {
    for (const MethodSpec& method : methods) {
        const bool tunes = find_search(method.name).tunes_statistics;
        if (flags.out.empty() || tunes == holds_statistics(flags.out)) continue;
        throw Error(ErrorKind::Usage,
                    "--out " + flags.out + ": the search of '" + method.name + "' leaves " +
                        (tunes ? "tuned statistics, NAME.safetensors" : "options, as JSON"));
    }
    if (flags.out.empty()) return;
    check_new_file(flags.out, flags.force || flags.resume);
    require_other_file(flags.out, flags.net.weights, "--weights");
}

// Of paths and names that may be no UTF-8.
std::string text_of(const Json& json) {
    return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string text_of_file(const std::string& path) {
    const MappedFile file(path, ErrorKind::Data);
    return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

// As it is shown: the hashes of thousands of images say nothing to a reader.
Json without_seen(Json file) {
    file.erase("seen");
    return file;
}

Json file_of(const LoadedNet& loaded, const SearchRun& run, const std::string& precision,
             const std::vector<Found>& found, const std::optional<int64_t>& limit,
             const RunIdentity& started_with) {
    Json results = Json::array(), sets = results, seen = results;
    for (const Found& f : found) {
        results.push_back({{"method", f.method}});
        for (const auto& [key, value] : f.figures.items()) results.back()[key] = value;
    }
    for (const SearchedSet& set : run.searched()) {
        sets.push_back({{"name", set.name},
                        {"set", set.description},
                        {"role", set.name == run.id().name() ? "id" : "ood"},
                        {"images", set.images},
                        {"excluded", set.excluded},
                        {"digest", set.digest}});
        for (const ImageDigest& digest : set.seen) seen.push_back(hex(digest));
    }
    Json file{{"schema", "gradscore/search/1"},
              {"gradscore", version()},
              {"net", loaded.net.name},
              {"weights_sha256", loaded.net.weights_sha256},
              {"preprocess", run.preprocess().describe()},
              {"precision", precision},
              {"limit", nullptr}};
    if (limit) file["limit"] = *limit;
    if (!started_with.empty()) file["started_with"] = started_with;
    file.update({{"results", results}, {"sets", sets}, {"seen", seen}});
    return file;
}

// The statistics with tuned fits in place of their own; the images searched on count as seen.
Statistics tuned_statistics(const SearchFlags& flags, const SearchRun& run, const std::vector<Found>& found,
                            const std::optional<int64_t>& limit, const RunIdentity& started_with,
                            const Json& file) {
    Statistics statistics = read_statistics(flags.stats);
    statistics.limit = limit;
    statistics.started_with = started_with;
    statistics.search = text_of(without_seen(file));
    for (const Found& f : found)
        for (FitState& state : statistics.states)
            if (f.tuned && state.method == f.tuned->method && state.options == f.tuned->options)
                state = *f.tuned;
    for (const SearchedSet& set : run.searched()) {
        statistics.set += "; tuned on " + set.name + "=" + set.description;
        statistics.seen.insert(statistics.seen.end(), set.seen.begin(), set.seen.end());
    }
    std::sort(statistics.seen.begin(), statistics.seen.end());
    statistics.seen.erase(std::unique(statistics.seen.begin(), statistics.seen.end()), statistics.seen.end());
    return statistics;
}

// The least of --limit here and in the fits of the statistics.
std::optional<int64_t> least_limit(const SearchFlags& flags, const std::vector<MethodSpec>& methods) {
    std::optional<int64_t> least = flags.limit;
    for (const MethodSpec& method : methods) {
        const auto named = method.options.find("stats");
        const auto of_fit = limit_of_statistics(named == method.options.end() ? flags.stats : named->second);
        if (of_fit && (!least || *of_fit < *least)) least = of_fit;
    }
    return least;
}

RunIdentity started_with(const std::string& out) {
    return holds_statistics(out) ? read_statistics(out).started_with : read_search_file(out).started_with;
}

// A search that is finished: what it found as JSON, and the exit code it ended with.
int print_finished(const SearchFlags& flags) {
    const std::string text =
        holds_statistics(flags.out) ? read_statistics(flags.out).search : text_of_file(flags.out);
    const JsonDocument document(text, flags.out, "--force searches anew");
    int64_t excluded = 0;
    for (const JsonNode& set : document.root()["sets"].items()) excluded += set["excluded"].count();
    if (flags.json) std::cout << text_of(without_seen(Json::parse(text)));
    return say_excluded(excluded, "named when they were met");
}

void print(const SearchFlags& flags, const Json& file, const std::vector<Found>& found) {
    if (flags.json) {
        std::cout << text_of(without_seen(file));
        return;
    }
    for (const Found& f : found) std::cout << "--methods " << f.method << '\n' << "    " << f.summary << '\n';
    if (flags.out.empty()) return;
    const bool tuned = holds_statistics(flags.out);
    std::cout << "Kept with the images searched on: " << flags.out
              << (tuned ? " (--stats " : " (METHOD:search=") << flags.out << ")\n";
}

std::vector<Found> search_all(const std::vector<MethodSpec>& methods, SearchRun& run) {
    std::vector<Found> found;
    try {
        for (const MethodSpec& method : methods)
            found.push_back(find_search(method.name).search(method, run));
    } catch (const Error& error) {
        if (RunJournal* journal = run.options().run.journal) journal->give_up(error);
        throw;
    }
    return found;
}

}  // namespace

int run_search(const SearchFlags& flags) {
    check_limit(flags.limit);
    const std::vector<MethodSpec> methods = parse_methods(flags.methods);
    const Earlier earlier = earlier_run(flags.force, flags.resume);
    check_out(flags, methods);
    std::optional<JournaledFile> out;
    if (!flags.out.empty()) out.emplace(flags.out, earlier, "search");
    const auto backend = make_backend(flags.net);
    LoadedNet loaded = load_net(*backend, flags.net);
    const Preprocess preprocess = resolve_preprocess(loaded.net.preprocess, flags.preprocess);
    const auto sets = open_sets(flags.id, flags.ood, flags.seed);
    for (const auto& set : sets)
        for (std::string& notice : notices_of(*set, flags.preprocess))
            loaded.notices.push_back(std::move(notice));
    introduce(loaded, preprocess, *backend, flags.quiet);
    StatisticsStore statistics(flags.stats, computation_of(loaded.net, preprocess, flags.net.precision));
    std::vector<const ImageSet*> views;
    for (const auto& set : sets) views.push_back(set.get());
    if (!flags.out.empty()) require_apart(flags.out, views);
    SearchOptions options{.run = {image_run_options(flags)}, .allow_fit_on_test = flags.allow_fit_on_test};
    catch_interrupts();
    std::optional<RunJournal> journal;
    RunStart start;
    if (out) {
        out->lock();
        start = run_start(flags, loaded, preprocess, *backend, views, flags.stats);
        if (out->is_finished()) {
            require_same_run(start.identity, started_with(flags.out), flags.out);
            say(flags.out + " is finished: nothing to do");
            return print_finished(flags);
        }
        options.run.journal = &journal.emplace(out->open(start, flags.quiet));
    }
    SearchRun run(*backend, loaded.net, preprocess, statistics, views, options);
    const std::vector<Found> found = search_all(methods, run);
    const std::optional<int64_t> limit = least_limit(flags, methods);
    const Json file = file_of(loaded, run, flags.net.precision, found, limit, start.identity);
    if (holds_statistics(flags.out)) {
        // May be --stats itself, which is read before it makes room.
        const Statistics tuned = tuned_statistics(flags, run, found, limit, start.identity, file);
        out->make_room();
        write_statistics(flags.out, tuned);
    } else if (out) {
        out->make_room();
        write_file_atomically(flags.out, text_of(file));
    }
    if (journal) journal->finish();
    print(flags, file, found);
    int64_t excluded = 0;
    for (const SearchedSet& set : run.searched()) excluded += set.excluded;
    return say_excluded(excluded, "named above");
}

}  // namespace gs
