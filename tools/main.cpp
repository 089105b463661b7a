// The command line of gradscore: flags to structs, errors to exit codes.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <iostream>
#include <new>
#include <system_error>

#include "core/error.h"
#include "tools/cli_config.h"
#include "tools/commands.h"
#include "tools/setup.h"

namespace gs {
namespace {

void add_device_flags(CLI::App& app, NetFlags& flags) {
    app.add_option("--device", flags.device, "auto, cpu or cuda[:N]")->capture_default_str();
    app.add_option("--precision", flags.precision, "f32")->capture_default_str();
    app.add_option("--threads", flags.threads, "0: every core this process may use")->capture_default_str();
    app.add_option("--batch", flags.batch, "images at a time; 0: as many as stay in cache")
        ->capture_default_str()
        ->check(CLI::Range(0, 65536));
}

void add_net_flags(CLI::App& app, NetFlags& flags, bool weights_required) {
    auto* weights =
        app.add_option("--weights", flags.weights, "weights: .safetensors, .npz, .pth, .pth.tar, .pt, .th");
    if (weights_required) weights->required();
    app.add_option("--net", flags.net,
                   "auto (read off the weights) or a name such as bit-r101x1, resnet34-cifar")
        ->capture_default_str();
    app.add_option("--arch", flags.arch,
                   "JSON file that overrides fields the weights cannot tell (strides, pool_window)");
    add_device_flags(app, flags);
    app.add_flag("--allow-nonfinite", flags.allow_nonfinite, "use weights with NaN or infinite values");
    app.add_flag("--no-fuse", flags.no_fuse, "run every layer by itself (to compare)");
}

void add_image_run(CLI::App& app, ImageRunFlags& f) {
    add_net_flags(app, f.net, true);
    app.add_option("--id", f.id,
                   "in-distribution set, NAME=KIND:PATH; kinds: folder, list, cifar10, cifar100, svhn, "
                   "tiny-images, npy, synthetic");
    app.add_option("--resize", f.preprocess.resize, "256 (short side), 480x480 (width x height) or none");
    app.add_option("--crop", f.preprocess.crop, "centre crop: 224, 224x192 or none");
    app.add_option("--mean", f.preprocess.mean, "a,b,c in [0, 1]");
    app.add_option("--std", f.preprocess.std, "a,b,c in [0, 1]");
    app.add_flag("--pillow13", f.preprocess.pillow13,
                 "resize as Pillow 13 (vertical pass first on some portraits)");
    app.add_option("--limit", f.limit, "only the first N images of each set; results are not comparable");
    app.add_option("--seed", f.seed, "of synthetic images")->capture_default_str();
    app.add_option("--max-pixels", f.max_pixels, "larger images are refused")->capture_default_str();
    app.add_flag("--deterministic", f.deterministic, "same bits on every run (on the CPU always so)");
    app.add_flag("--strict", f.strict, "stop at the first image that cannot be used");
    app.add_flag("--quiet", f.quiet, "no progress")->configurable(false);
}

void add_shard(CLI::App& app, ImageRunFlags& f) {
    app.add_option("--shard", f.shard,
                   "I/N, I from 0: only this part of each set, for several processes (gradscore merge)");
}

// What score and track share.
void add_scoring(CLI::App& app, ScoreFlags& f) {
    add_image_run(app, f);
    add_shard(app, f);
    app.add_option("--ood", f.ood, "out-of-distribution set, NAME=KIND:PATH; may be given many times");
    app.add_option("--out", f.out, "the run's folder");
    app.add_option("--stats", f.stats, "statistics file of gradscore fit, for methods that need a fit");
    app.add_flag("--allow-fit-on-test", f.allow_fit_on_test,
                 "score images that the statistics were fitted on; results are marked");
    app.add_option("--reuse", f.reuse,
                   "run folder whose saved arrays may be read instead of running the net");
    app.add_flag("--force", f.force, "move an old run in --out aside")->configurable(false);
    app.add_flag("--json", f.json, "results as JSON on stdout")->configurable(false);
}

void add_score(CLI::App& app, ScoreFlags& f) {
    add_scoring(app, f);
    app.add_option("--methods", f.methods, "METHOD[:OPTION=VALUE…],… (gradscore --list-methods)")
        ->capture_default_str();
    app.add_option("--save", f.save, "keep arrays: logits,features,taps,norms")->delimiter(',');
    auto* threshold = app.add_option("--threshold", f.threshold,
                                     "file of gradscore threshold: say of each --image whether it is "
                                     "in-distribution; no sets, no run folder")
                          ->configurable(false);
    app.add_option("--image", f.images, "image to judge; may be given many times")
        ->needs(threshold)
        ->configurable(false);
    for (const char* of_runs :
         {"--id", "--ood", "--methods", "--out", "--save", "--reuse", "--limit", "--shard"})
        threshold->excludes(app.get_option(of_runs));
    app.fallthrough();  // --config stands with the main program
}

void add_track(CLI::App& app, TrackFlags& f) {
    add_scoring(app, f.run);
    for (const char* needed : {"--id", "--out"}) app.get_option(needed)->required();
    const auto option = [&](const char* name, std::string& value, const char* what) {
        app.add_option(name, value, what)->capture_default_str()->configurable(false);
    };
    option("--loss", f.loss, "of a candidate label: ce, bce or energy (cross entropy and energy margin)");
    option("--margin", f.margin, "of --loss energy [-23]");
    option("--score", f.score, "over candidates: min, max, mean; or one candidate: pred, uniform");
    option("--form", f.form, "norm_single, or original_single (the last layer's gradient itself)");
    option("--layers", f.layers, "each (a column a layer, and their sum), or as gradnorm's [each]");
    option("--p", f.p, "exponent of the norm, or inf");
    option("--detector", f.detector, "of original_single: l2, l1 or cosine (needs --stats)");
}

void add_fit(CLI::App& app, FitFlags& f) {
    add_image_run(app, f);
    app.get_option("--id")->required();
    add_shard(app, f);
    app.add_option("--methods", f.methods, "METHOD[:OPTION=VALUE…],… that need a fit")->required();
    app.add_option("--out", f.out, "the statistics file, OUT.safetensors")->required();
    app.add_flag("--force", f.force, "replace OUT");
}

void add_search(CLI::App& app, SearchFlags& f) {
    add_image_run(app, f);
    app.get_option("--id")->required();
    app.add_option("--stats", f.stats, "statistics file of gradscore fit")->required();
    app.add_option("--ood", f.ood, "out-of-distribution validation set; may be given many times");
    app.add_option("--methods", f.methods, "METHOD[:OPTION=A/B…],…: values to try, or the method's own grid")
        ->capture_default_str();
    app.add_option("--out", f.out, "JSON file, for --methods METHOD:search=FILE");
    app.add_flag("--allow-fit-on-test", f.allow_fit_on_test,
                 "search on images that the statistics were fitted on");
    app.add_flag("--force", f.force, "replace --out");
    app.add_flag("--json", f.json, "what was found as JSON on stdout");
}

void add_merge(CLI::App& app, MergeFlags& f) {
    app.add_option("out", f.out, "what they become")->required();
    app.add_option("in", f.in, "statistics files, the shards of one fit, or run folders, those of one run")
        ->required();
    app.add_flag("--force", f.force, "replace OUT; move an old run aside");
    app.add_flag("--json", f.json, "of runs: results as JSON on stdout");
    app.add_flag("--quiet", f.quiet, "say nothing");
}

void add_bench(CLI::App& app, BenchFlags& f) {
    add_net_flags(app, f.net, false);
    app.add_option("--methods", f.methods, "forward, or methods")->capture_default_str();
    app.add_option("--size", f.size, "side of the square images; default: the net's")
        ->check(CLI::Range(1, 8192));
    app.add_option("--images", f.images, "images a round")->capture_default_str();
    app.add_option("--rounds", f.rounds, "the median counts")->capture_default_str();
    app.add_option("--classes", f.classes, "of random weights; 0: the usual number")->capture_default_str();
    app.add_option("--seed", f.seed, "of random weights and images")->capture_default_str();
    app.add_flag("--json", f.json, "one JSON object on stdout");
}

void add_plan(CLI::App& app, PlanFlags& f) {
    add_net_flags(app, f.net, false);
    app.add_option("--methods", f.methods, "methods to plan for")->capture_default_str();
    app.add_option("--size", f.size, "side of the square images; default: the net's")
        ->check(CLI::Range(1, 8192));
    app.add_flag("--steps", f.steps, "print every step");
    app.add_flag("--json", f.json, "one JSON object on stdout");
}

void add_reproduce(CLI::App& app, ReproduceFlags& f) {
    auto* table = app.add_option("table", f.table, "a table's name (--list) or a table file (JSON)");
    auto* list = app.add_flag("--list", f.list, "the built-in tables");
    table->excludes(list);
    app.add_option("--data", f.data, "a set of the table, NAME=KIND:PATH; may be given many times");
    app.add_option("--weights", f.weights, "[NAME=]FILE; NAME where the table has several nets");
    app.add_option("--stats", f.stats, "[NAME=]FILE of gradscore fit; NAME where the table has several");
    app.add_option("--method", f.methods, "run only the rows of these methods")->delimiter(',');
    app.add_option("--out", f.out, "folder for runs, reproduce.json, reproduce.md [reproduce-TABLE]");
    app.add_option("--limit", f.limit, "only the first N images of each set; nothing is comparable");
    app.add_flag("--dry-run", f.dry_run, "list what the table needs, check what was given, run nothing");
    app.add_flag("--allow-fit-on-test", f.allow_fit_on_test,
                 "also rows that learn from the images they score; they are labelled invalid");
    app.add_flag("--force", f.force, "move old runs in --out aside");
    app.add_flag("--json", f.json, "one JSON object on stdout");
    app.add_flag("--quiet", f.quiet, "no progress");
    add_device_flags(app, f.net);
}

// The scoring run that `gradscore track` stands for; its config.toml is one of `gradscore score`.
ScoreFlags tracking(const TrackFlags& flags, const CLI::App& score_app, const CLI::App& track_app,
                    const std::string& command_line) {
    ScoreFlags run = tracking_run(flags);
    run.command_line = command_line;
    run.config = "[score]\n" + TomlConfig(score_app).to_config(&track_app, true, false, "") + "methods = \"" +
                 run.methods + "\"\nsave = [";
    for (const std::string& item : run.save)
        run.config += (run.config.ends_with('[') ? "\"" : ", \"") + item + '"';
    run.config += "]\n";
    return run;
}

std::string joined(int argc, char** argv) {
    std::string text;
    for (int i = 0; i < argc; ++i) text += (i > 0 ? " " : "") + std::string(argv[i]);
    return text;
}

// The library's message as one line that says where help is.
std::string usage_line(const CLI::App& app, const CLI::ParseError& error) {
    std::string text = error.what();
    while (text.ends_with('\n')) text.pop_back();
    std::replace(text.begin(), text.end(), '\n', ' ');
    std::string command = "gradscore";
    for (const CLI::App* sub : app.get_subcommands()) command += ' ' + sub->get_name();
    return text + "; see " + command + " --help";
}

// For flags that only some uses of a command need.
void require_given(const std::string& value, const std::string& flag) {
    if (value.empty()) throw Error(ErrorKind::Usage, flag + " is required; see gradscore score --help");
}

void add_threshold(CLI::App& app, ThresholdFlags& f) {
    app.add_option("run", f.run, "run folder")->required();
    app.add_option("--method", f.method, "as written in the run; default: the run's only one");
    app.add_option("--tpr", f.tpr, "share of ID images to accept, above 0 and at most 1")
        ->capture_default_str();
    app.add_option("--out", f.out, "the threshold's file")->required();
    app.add_flag("--force", f.force, "replace an old file");
    app.add_flag("--json", f.json, "the file's content on stdout");
}

int run(int argc, char** argv) {
    CLI::App app{"Scores images as in- or out-of-distribution with gradients.", "gradscore"};
    app.set_version_flag("--version", version());
    app.set_config("--config", "",
                   "score: TOML file of flags, section [score]; flags on the command line win");
    app.allow_config_extras(CLI::config_extras_mode::error);
    bool list_methods = false, list_json = false, json = false;
    auto* list =
        app.add_flag("--list-methods", list_methods, "print all methods with options, sources and needs")
            ->configurable(false);
    app.add_flag("--json", list_json, "methods as JSON")->needs(list)->configurable(false);
    ScoreFlags score;
    TrackFlags track;
    FitFlags fit;
    SearchFlags search;
    MergeFlags merge;
    ThresholdFlags threshold;
    BenchFlags bench;
    PlanFlags plan;
    ConvertFlags convert;
    InspectFlags inspect;
    MetricsFlags metrics;
    ReproduceFlags reproduce;
    CLI::App* score_app = app.add_subcommand("score", "score sets of images; writes a run folder");
    add_score(*score_app, score);
    app.config_formatter(std::make_shared<TomlConfig>(*score_app));
    CLI::App* track_app = app.add_subcommand(
        "track",
        "gradient tracking: norms of candidate labels' gradients, layer by layer; writes a run folder");
    add_track(*track_app, track);
    CLI::App* fit_app =
        app.add_subcommand("fit", "what methods learn from a set of images; writes a statistics file");
    add_fit(*fit_app, fit);
    CLI::App* search_app =
        app.add_subcommand("search", "options of fitted methods, by trial on validation sets");
    add_search(*search_app, search);
    CLI::App* merge_app = app.add_subcommand("merge", "shards of a fit or a run as one");
    add_merge(*merge_app, merge);
    CLI::App* metrics_app = app.add_subcommand("metrics", "metrics and table of a run's score files");
    metrics_app->add_option("run", metrics.run, "run folder")->required();
    metrics_app->add_flag("--json", metrics.json, "results as JSON on stdout");
    CLI::App* reproduce_app =
        app.add_subcommand("reproduce", "compute a paper's table again and show the differences");
    add_reproduce(*reproduce_app, reproduce);
    CLI::App* threshold_app =
        app.add_subcommand("threshold", "score at which a share of a run's ID images is accepted");
    add_threshold(*threshold_app, threshold);
    CLI::App* inspect_app = app.add_subcommand("inspect", "tensors, guessed net and hash of a weights file");
    inspect_app->add_option("file", inspect.file, "weights")->required();
    inspect_app->add_flag("--json", inspect.json, "one JSON object on stdout");
    CLI::App* convert_app = app.add_subcommand("convert", "any weights file to safetensors");
    convert_app->add_option("in", convert.in, "weights")->required();
    convert_app->add_option("out", convert.out, "OUT.safetensors")->required();
    convert_app->add_flag("--force", convert.force, "replace OUT");
    convert_app->add_flag("--quiet", convert.quiet, "say nothing");
    CLI::App* plan_app = app.add_subcommand("plan", "passes, depth, memory and FLOPs of a set of methods");
    add_plan(*plan_app, plan);
    CLI::App* bench_app = app.add_subcommand("bench", "measure images/s and peak memory");
    add_bench(*bench_app, bench);
    CLI::App* devices_app = app.add_subcommand("devices", "list devices");
    devices_app->add_flag("--json", json, "one JSON object on stdout");
    for (CLI::App* sub : {track_app, fit_app, search_app, merge_app, metrics_app, threshold_app,
                          reproduce_app, inspect_app, convert_app, plan_app, bench_app, devices_app})
        sub->configurable(false);
    app.require_subcommand(0, 1);

    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& help_or_version) {
        return app.exit(help_or_version);
    } catch (const CLI::ParseError& error) {
        throw Error(ErrorKind::Usage, usage_line(app, error));
    }
    if (score_app->parsed() && !score.threshold.empty()) return run_judge(score);
    if (score_app->parsed()) {
        require_given(score.id, "--id");
        require_given(score.out, "--out");
        score.command_line = joined(argc, argv);
        score.config = "[score]\n" + TomlConfig(*score_app).to_config(score_app, true, false, "");
        return run_score(score);
    }
    if (track_app->parsed()) return run_score(tracking(track, *score_app, *track_app, joined(argc, argv)));
    if (fit_app->parsed()) return run_fit(fit);
    if (search_app->parsed()) return run_search(search);
    if (merge_app->parsed()) {
        merge.command_line = joined(argc, argv);
        return run_merge(merge);
    }
    if (threshold_app->parsed()) return run_threshold(threshold);
    if (metrics_app->parsed()) return run_metrics(metrics);
    if (reproduce_app->parsed()) {
        reproduce.command_line = joined(argc, argv);
        return run_reproduce(reproduce);
    }
    if (inspect_app->parsed()) return run_inspect(inspect);
    if (convert_app->parsed()) return run_convert(convert);
    if (plan_app->parsed()) return run_plan(plan);
    if (bench_app->parsed()) return run_bench(bench);
    if (devices_app->parsed()) return run_devices(json);
    if (list_methods) return run_list_methods(list_json);
    std::cout << app.help();
    return static_cast<int>(ErrorKind::Usage);
}

// Errors to one line on stderr and an exit code.
int run_reporting_errors(int argc, char** argv) {
    const auto fail = [](const std::string& what, ErrorKind kind) {
        say("gradscore: " + what);
        return static_cast<int>(kind);
    };
    try {
        return run(argc, argv);
    } catch (const Error& error) {
        return fail(error.what(), error.kind());
    } catch (const std::bad_alloc&) {
        return fail("out of memory; try a smaller --batch", ErrorKind::Device);
    } catch (const std::system_error& error) {  // of the file system, or no more threads
        return fail(error.what(), ErrorKind::Internal);
    } catch (const std::exception& error) {
        return fail("internal error: " + std::string(error.what()), ErrorKind::Internal);
    }
}

}  // namespace
}  // namespace gs

int main(int argc, char** argv) {
    std::signal(SIGXFSZ, SIG_IGN);  // a file size limit is then an error of write(), with its own line
    const int code = gs::run_reporting_errors(argc, argv);
    if (std::cout.flush()) return code;
    gs::say("gradscore: cannot write to standard output");
    return code == 0 ? static_cast<int>(gs::ErrorKind::Internal) : code;
}
