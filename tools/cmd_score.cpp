// gradscore score: a run folder with config.toml, scores/<set>.csv, results.json, results.md (and arrays/).
#include <chrono>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <set>

#include "core/files.h"
#include "report/results_json.h"
#include "report/table.h"
#include "tools/scorer.h"
#include "tools/setup.h"

namespace gs {
namespace {

namespace fs = std::filesystem;

constexpr int kSomeExcluded = 6;

std::string utc_now() {
    const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    std::tm utc{};
    gmtime_r(&now, &utc);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return text;
}

// Set names become file names and column heads.
void check_names(const std::vector<std::unique_ptr<ImageSet>>& sets) {
    std::set<std::string> seen;
    for (const auto& set : sets) {
        const std::string& name = set->name();
        const bool plain = !name.empty() && name != "." && name != ".." && name.size() <= 100 &&
                           name.find_first_of("/\\\n\r\t") == std::string::npos;
        if (!plain)
            throw Error(ErrorKind::Usage,
                        "set name '" + name + "': cannot be a file name; use NAME=KIND:PATH");
        if (!seen.insert(name).second)
            throw Error(ErrorKind::Usage,
                        "two sets are called '" + name + "'; use NAME=KIND:PATH to tell them apart");
    }
}

std::vector<std::unique_ptr<ImageSet>> open_sets(const ScoreFlags& flags) {
    std::vector<std::unique_ptr<ImageSet>> sets;
    sets.push_back(open_image_set(flags.id, flags.seed));
    for (const std::string& spec : flags.ood) sets.push_back(open_image_set(spec, flags.seed));
    check_names(sets);
    return sets;
}

// A finished or half-finished run is never written over: --force moves it aside.
void prepare_folder(const fs::path& out, bool force) {
    std::error_code error;
    if (fs::exists(out, error) && !fs::is_directory(out, error))
        throw Error(ErrorKind::Usage, "--out " + out.string() + ": exists and is no folder");
    if (fs::exists(out, error) && !fs::is_empty(out, error)) {
        if (!force)
            throw Error(
                ErrorKind::Usage,
                "--out " + out.string() + ": not empty; choose another folder, or --force to move it aside");
        fs::path aside;
        for (int i = 1; aside.empty() || fs::exists(aside); ++i)
            aside = (out.has_filename() ? out : out.parent_path()).string() + ".old" + std::to_string(i);
        fs::rename(out, aside, error);
        if (error) throw Error(ErrorKind::Internal, out.string() + ": cannot move aside: " + error.message());
        say("moved the old " + out.string() + " to " + aside.string());
    }
    fs::create_directories(out / "scores", error);
    if (error) throw Error(ErrorKind::Internal, out.string() + ": cannot create: " + error.message());
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
    info.device = "cpu";
    info.precision = flags.net.precision;
    info.threads = resolve_threads(flags.net.threads);
    info.batch = flags.net.batch;
    info.seed = flags.seed;
    info.limit = flags.limit;
    info.started = utc_now();
    info.libraries = library_versions();
    info.libraries["backend"] = backend.description();
    info.notices = loaded.notices;
    return info;
}

void print(const Results& results, const ScoreFlags& flags) {
    if (flags.json) {
        std::cout << results_to_json(results);
        return;
    }
    std::cout << results_table(results, {.width = 100, .utf8 = locale_is_utf8()});
    std::cout << "\nScores, settings and metrics: " << flags.out
              << "/ (scores/*.csv, config.toml, results.json, "
              << "results.md)\n";
}

}  // namespace

int run_score(const ScoreFlags& flags) {
    const auto begin = std::chrono::steady_clock::now();
    if (flags.limit && *flags.limit < 1) throw Error(ErrorKind::Usage, "--limit: must be 1 or more");
    const std::vector<MethodSpec> methods = parse_methods(flags.methods);
    const SaveOptions save = parse_save(flags.save);
    const ArrayStore reuse(flags.reuse);
    const auto backend = make_backend(flags.net);
    LoadedNet loaded = load_net(*backend, flags.net);
    const Preprocess preprocess = resolve_preprocess(loaded.net.preprocess, flags.preprocess);
    const auto sets = open_sets(flags);
    for (const auto& set : sets)
        for (const std::string& notice : set->notices())
            loaded.notices.push_back(set->name() + ": " + notice);
    RunInfo info = describe_run(flags, *backend, loaded, preprocess);
    if (!flags.quiet) {
        say(info.net + " (" + std::to_string(loaded.net.head.classes) + " classes) on " +
            backend->description());
        say("preprocessing: " + info.preprocess);
    }
    for (const std::string& notice : loaded.notices) say("notice: " + notice);

    Scorer scorer(*backend, loaded.net, preprocess, methods,
                  {.batch = flags.net.batch,
                   .loader_threads = resolve_threads(flags.net.threads),
                   .fuse = !flags.net.no_fuse,
                   .strict = flags.strict,
                   .limit = flags.limit,
                   .limits = {.max_pixels = flags.max_pixels},
                   .save = save,
                   .progress = stderr_style(flags.quiet)});
    const fs::path out(flags.out);
    prepare_folder(out, flags.force);
    write_file_atomically(out / "config.toml", flags.config);
    if (save.any()) fs::create_directories(out / "arrays");

    catch_interrupts();
    std::vector<ScoredSet> scored;
    for (size_t i = 0; i < sets.size() && scorer.complete(); ++i) {
        const std::string& name = sets[i]->name();
        scored.push_back(scorer.score(*sets[i], i == 0 ? SetRole::Id : SetRole::Ood,
                                      out / "scores" / (name + ".csv"),
                                      out / "arrays" / (name + ".safetensors"), reuse));
    }
    info.wall_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (scorer.seconds() > 0)
        info.images_per_second = static_cast<double>(scorer.images_run()) / scorer.seconds();
    if (!scorer.complete())
        info.notices.push_back("interrupted: the last set is not complete, further ones are missing");
    const Results results = summarise(std::move(info), scorer.method_infos(), scored);
    write_results_json(out / "results.json", results);
    write_file_atomically(out / "results.md", results_markdown(results));
    print(results, flags);
    if (!scorer.complete()) {
        say("interrupted: what was done is in " + flags.out);
        return static_cast<int>(ErrorKind::Interrupted);
    }
    int64_t excluded = 0;
    for (const ScoredSet& set : scored) excluded += set.info.excluded;
    if (excluded == 0) return 0;
    say(std::to_string(excluded) + " images could not be used; they are listed in " + flags.out +
        "/results.json");
    return kSomeExcluded;
}

}  // namespace gs
