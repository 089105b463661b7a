// gradscore score: a run folder with config.toml, scores/<set>.csv, results.json, results.md (and arrays/).
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>

#include "tools/fitter.h"
#include "tools/image_sets.h"
#include "tools/run_folder.h"
#include "tools/score_folder.h"
#include "tools/score_run.h"
#include "tools/score_start.h"
#include "tools/scorer.h"
#include "tools/search_file.h"
#include "tools/set_facts.h"
#include "tools/setup.h"
#include "tools/several_devices.h"

namespace gs {
namespace {

namespace fs = std::filesystem;

std::optional<Shard> shard_of(const ScoreFlags& flags) {
    return flags.shard.empty() ? std::nullopt : std::optional(parse_shard(flags.shard));
}

RunInfo describe_run(const ScoreFlags& flags, const Backend& backend, const LoadedNet& loaded,
                     const Preprocess& preprocess) {
    RunInfo info;
    info.gradscore_version = version();
    info.command = flags.command_line;
    info.net = loaded.net.name;
    info.family = to_string(loaded.net.architecture.family);
    info.classes = loaded.net.head.classes;
    info.weights_path = flags.net.weights;
    info.weights_sha256 = loaded.net.weights_sha256;
    info.weights_format = loaded.format;
    info.preprocess = preprocess.describe();
    info.device = device_kind(backend);
    info.precision = flags.net.precision;
    info.threads = resolve_threads(flags.net.threads);
    info.batch = flags.net.batch;
    info.seed = flags.seed;
    info.limit = flags.limit;
    info.shard = shard_of(flags);
    info.started = utc_now();
    info.libraries = library_versions();
    info.libraries["backend"] = backend.description();
    info.notices = loaded.notices;
    return info;
}

// Files that are read again when the run's folder has been moved aside.
void require_inputs_outside(const ScoreFlags& flags, const std::vector<MethodSpec>& methods) {
    require_outside(flags.net.weights, flags.out, "--weights");
    require_outside(flags.net.arch, flags.out, "--arch");
    require_outside(flags.stats, flags.out, "--stats");
    for (const MethodSpec& method : methods)
        for (const char* option : {"stats", "search", "groups"})
            if (const auto file = method.options.find(option); file != method.options.end())
                require_outside(file->second, flags.out, method.written + ",");
}

// --stats that no method reads is likely a slip: of the methods, or of the file.
void note_unused(const std::string& stats, const std::vector<MethodInfo>& methods, RunInfo& info) {
    const auto reads = [&](const MethodInfo& method) {
        const auto option = method.options.find("stats");
        return option != method.options.end() && option->second == stats;
    };
    if (stats.empty() || std::any_of(methods.begin(), methods.end(), reads)) return;
    info.notices.push_back("--stats " + stats + ": no method of this run reads it");
    say("notice: " + info.notices.back());
}

// Of methods that want the ID set itself for their fit.
std::vector<std::unique_ptr<Fit>> fits_on_id_set(const std::vector<MethodSpec>& methods, const ImageSet& id,
                                                 const ScoreContext& context, RunInfo& info) {
    std::vector<std::unique_ptr<Fit>> fits;
    for (const MethodSpec& spec : methods) {
        if (!make_score(spec, {context.net, context.preprocess})->fitted_on_id_set()) continue;
        fits.push_back(make_fit(spec, context));
        info.invalid_protocol.push_back(spec.written + " is fitted on " + id.name() +
                                        ", whose images it scores");
    }
    return fits;
}

// Before anything is scored.
void fit_on_id_set(std::span<const std::unique_ptr<Fit>> fits, const ImageSet& id, Backend& backend,
                   const ScoreContext& context, const FitterOptions& options, RunInfo& info) {
    if (fits.empty()) return;
    FitOutcome outcome = fit_methods(backend, context.net, context.preprocess, id, fits, options);
    if (!outcome.complete)
        throw Error(ErrorKind::Interrupted, "interrupted before anything was scored; --resume goes on");
    info.notices.insert(info.notices.end(), outcome.notices.begin(), outcome.notices.end());
    for (FitState& state : outcome.states) context.statistics->add(std::move(state));
}

// Set by set; the journal knows what is done of them.
std::vector<ScoredSet> score_sets(
    Scorer& scorer, const std::vector<std::unique_ptr<ImageSet>>& sets, const fs::path& out, bool is_shard,
    const ArrayStore& reuse, const DecodeLimits& limits,
    const std::function<void(const std::vector<ScoredSet>&, const Error&)>& failed) {
    std::vector<ScoredSet> scored;
    SetFacts facts(limits);
    try {
        for (size_t i = 0; i < sets.size() && scorer.complete(); ++i) {
            const std::string& name = sets[i]->name();
            scored.push_back(scorer.score(*sets[i], i == 0 ? SetRole::Id : SetRole::Ood,
                                          scores_path(out, name), arrays_path(out, name), reuse));
            facts.add(scored.back().info, scorer.digests());
            facts.add_sizes(scored.back().info, *sets[i]);
            if (is_shard) write_digests(digests_path(out, name), scorer.digests());
        }
    } catch (const Error& error) {
        failed(scored, error);
        throw;
    }
    return scored;
}

int exit_code(const ScoreRun& run, const std::string& out) {
    if (run.complete) return report_excluded(run.excluded(), out);
    say("interrupted: what was done is in " + out + "; --resume goes on from there");
    return static_cast<int>(ErrorKind::Interrupted);
}

}  // namespace

int64_t ScoreRun::excluded() const {
    int64_t count = 0;
    for (const SetInfo& set : results.sets) count += set.excluded;
    return count;
}

ScoreRun score_to_folder(const ScoreFlags& flags) {
    const auto begin = std::chrono::steady_clock::now();
    check_limit(flags.limit);
    const std::optional<Shard> shard = shard_of(flags);
    const fs::path out(flags.out);
    const Earlier earlier = earlier_run(flags.force, flags.resume);
    check_folder(out, earlier, "--out");
    for (const std::string& run : flags.reuse) require_other_file(flags.out, run, "--reuse");
    std::vector<MethodSpec> methods = parse_methods(flags.methods);
    if (earlier == Earlier::MoveAside) require_inputs_outside(flags, methods);
    const SaveOptions save = parse_save(flags.save);
    const ArrayStore reuse(flags.reuse);
    const auto backend = make_backend(flags.net);
    LoadedNet loaded = load_net(*backend, flags.net);
    methods = expand_layers(std::move(methods), loaded.net);
    const Preprocess preprocess = resolve_preprocess(loaded.net.preprocess, flags.preprocess);
    const auto sets = open_sets(flags.id, flags.ood, flags.seed);
    for (const auto& set : sets)
        for (std::string& notice : notices_of(*set, flags.preprocess))
            loaded.notices.push_back(std::move(notice));
    RunInfo info = describe_run(flags, *backend, loaded, preprocess);
    const Computation own = computation_of(loaded.net, preprocess, flags.net.precision);
    StatisticsStore statistics(flags.stats, own);
    const ScoreContext context{loaded.net, preprocess, &statistics};
    info.limited_fits = use_search_files(methods, own, &statistics);
    const auto fits = fits_on_id_set(methods, *sets.front(), context, info);
    std::vector<const ImageSet*> lists;
    for (const auto& set : sets) lists.push_back(set.get());
    require_apart(out, lists);
    const RunStart start = run_start(flags, loaded, preprocess, *backend, lists, flags.stats);
    if (earlier == Earlier::GoOn)
        if (auto results = finished_run(out, start)) {
            say("the run in " + flags.out + " is finished: nothing to do");
            return {std::move(*results), true};
        }
    catch_interrupts();
    ScorerOptions options{image_run_options(flags)};
    options.shard = shard;
    options.save = save;
    options.precision = flags.net.precision;
    options.statistics = &statistics;
    options.allow_fit_on_test = flags.allow_fit_on_test;
    const auto make_scorer = [&] {
        return std::make_unique<Scorer>(*backend, loaded.net, preprocess, methods, options);
    };
    // What is wrong with methods is told before there is a folder; those that are fitted here need one first.
    auto scorer = fits.empty() ? make_scorer() : nullptr;
    if (!scorer)
        for (const MethodSpec& spec : methods)
            if (!make_score(spec, {loaded.net, preprocess})->fitted_on_id_set()) make_score(spec, context);
    introduce(loaded, preprocess, *backend, flags.quiet);
    OpenRun run = open_run(out, earlier, start, flags.config, scoring_folders(save.any()), flags.quiet);
    FitterOptions fitting{image_run_options(flags)};
    fitting.journal = &run.journal;
    fit_on_id_set(fits, *sets.front(), *backend, context, fitting, info);
    if (!scorer) scorer = make_scorer();
    note_unused(flags.stats, scorer->method_infos(), info);
    scorer->use(run.journal);
    const auto tell_times = [&](const std::string& stopped) {
        info.command = run.journal.start().command;
        info.started = run.journal.start().started;
        info.started_with = start.identity;
        info.resumed = run.journal.resumptions();
        info.wall_seconds = seconds_since(begin) + run.journal.seconds();
        info.stopped = stopped;
    };
    const auto scored = score_sets(*scorer, sets, out, shard.has_value(), reuse, options.limits,
                                   [&](const std::vector<ScoredSet>& done, const Error& error) {
                                       tell_times(error.what());
                                       keep_what_is_done(out, info, *scorer, done, error.what());
                                   });
    tell_times(scorer->complete() ? "" : "interrupted");
    if (!scorer->complete())
        info.notices.push_back("interrupted: the last set is not complete, further ones are missing");
    ScoreRun done{write_scored(out, std::move(info), *scorer, scored), scorer->complete()};
    if (done.complete) run.journal.finish();
    return done;
}

int run_score(const ScoreFlags& flags) {
    const auto score = [](const ScoreFlags& run_flags, bool prints) {
        const ScoreRun run = score_to_folder(run_flags);
        if (prints) print_results(run.results, run_flags.json, run_flags.out);
        return exit_code(run, run_flags.out);
    };
    const DeviceChoice devices = parse_device(flags.net.device);
    if (devices.ordinals.size() > 1) return score_on_devices(flags, devices.ordinals, score);
    return score(flags, true);
}

}  // namespace gs
