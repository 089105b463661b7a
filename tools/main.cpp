// The command line of gradscore: flags to structs, errors to exit codes.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <new>
#include <string_view>
#include <system_error>

#include "core/error.h"
#include "tools/cli_config.h"
#include "tools/cli_flags.h"
#include "tools/cli_generated.h"
#include "tools/commands.h"
#include "tools/setup.h"

namespace gs {
namespace {

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
    TrainFlags train;
    MergeFlags merge;
    ThresholdFlags threshold;
    BenchFlags bench;
    PlanFlags plan;
    ConvertFlags convert;
    InspectFlags inspect;
    MetricsFlags metrics;
    ReproduceFlags reproduce;
    ReportFlags report;
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
    CLI::App* train_app =
        app.add_subcommand("train", "train or fine-tune a net by a recipe; writes a run folder");
    add_train(*train_app, train);
    CLI::App* metrics_app = app.add_subcommand("metrics", "metrics and table of a run's score files");
    metrics_app->add_option("run", metrics.run, "run folder")->required();
    metrics_app->add_flag("--json", metrics.json, "results as JSON on stdout");
    CLI::App* report_app =
        app.add_subcommand("report", "runs as one page to look at, compare and pass on; charts as SVG");
    add_report(*report_app, report);
    CLI::App* reproduce_app =
        app.add_subcommand("reproduce", "compute a paper's table again and show the differences");
    add_reproduce(*reproduce_app, reproduce);
    CLI::App* threshold_app =
        app.add_subcommand("threshold", "score at which a share of a run's ID images is accepted");
    add_threshold(*threshold_app, threshold);
    CLI::App* inspect_app = app.add_subcommand("inspect", "tensors, guessed net and hash of a weights file");
    inspect_app->add_option("file", inspect.file, "weights")->required();
    inspect_app->add_flag("--json", inspect.json, "one JSON object on stdout");
    CLI::App* convert_app = app.add_subcommand("convert", "any weights file to safetensors or PyTorch");
    convert_app->add_option("in", convert.in, "weights")->required();
    convert_app->add_option("out", convert.out, "OUT.safetensors, or OUT.pth: a PyTorch state dict")
        ->required();
    convert_app->add_flag("--force", convert.force, "replace OUT");
    convert_app->add_flag("--quiet", convert.quiet, "say nothing");
    CLI::App* plan_app = app.add_subcommand("plan", "passes, depth, memory and FLOPs of a set of methods");
    add_plan(*plan_app, plan);
    CLI::App* bench_app = app.add_subcommand("bench", "measure images/s and peak memory");
    add_bench(*bench_app, bench);
    CLI::App* devices_app = app.add_subcommand("devices", "list devices");
    devices_app->add_flag("--json", json, "one JSON object on stdout");
    for (CLI::App* sub :
         {track_app, train_app, fit_app, search_app, merge_app, metrics_app, threshold_app, report_app,
          reproduce_app, inspect_app, convert_app, plan_app, bench_app, devices_app})
        sub->configurable(false);
    std::string shell;
    add_generated(app, shell);
    app.require_subcommand(0, 1);

    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& help_or_version) {
        return app.exit(help_or_version);
    } catch (const CLI::ParseError& error) {
        throw Error(ErrorKind::Usage, usage_line(app, error));
    }
    if (app.get_option("--config")->count() > 0 && !score_app->parsed())
        throw Error(ErrorKind::Usage, "--config: only gradscore score takes a file of flags");
    if (score_app->parsed() && !score.threshold.empty()) return run_judge(score);
    if (score_app->parsed()) {
        require_given(score.id, "--id");
        require_given(score.out, "--out");
        score.command_line = joined(argc, argv);
        score.config = "[score]\n" + TomlConfig(*score_app).to_config(score_app, true, false, "");
        return run_score(score);
    }
    if (track_app->parsed()) return run_score(tracking(track, *score_app, *track_app, joined(argc, argv)));
    if (fit_app->parsed()) {
        fit.command_line = joined(argc, argv);
        fit.config = "[fit]\n" + TomlConfig(*score_app).to_config(fit_app, true, false, "");
        return run_fit(fit);
    }
    if (search_app->parsed()) {
        search.command_line = joined(argc, argv);
        search.config = "[search]\n" + TomlConfig(*score_app).to_config(search_app, true, false, "");
        return run_search(search);
    }
    if (train_app->parsed()) return run_train(train);
    if (merge_app->parsed()) {
        merge.command_line = joined(argc, argv);
        return run_merge(merge);
    }
    if (threshold_app->parsed()) return run_threshold(threshold);
    if (metrics_app->parsed()) return run_metrics(metrics);
    if (report_app->parsed()) {
        report.command_line = joined(argc, argv);
        return run_report(report);
    }
    if (reproduce_app->parsed()) {
        reproduce.command_line = joined(argc, argv);
        return run_reproduce(reproduce);
    }
    if (inspect_app->parsed()) return run_inspect(inspect);
    if (convert_app->parsed()) return run_convert(convert);
    if (plan_app->parsed()) return run_plan(plan);
    if (bench_app->parsed()) return run_bench(bench);
    if (devices_app->parsed()) return run_devices(json);
    if (generated_parsed(app)) return run_generated(app, shell);
    if (list_methods) return run_list_methods(list_json);
    std::cout << app.help();
    return static_cast<int>(ErrorKind::Usage);
}

constexpr std::string_view kOutOfMemory = "out of memory; try a smaller --batch";

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
        return fail(std::string(kOutOfMemory), ErrorKind::Device);
    } catch (const std::system_error& error) {  // of the file system, or no more threads
        return fail(error.what(), ErrorKind::Internal);
    } catch (const std::exception& error) {
        return fail("internal error: " + std::string(error.what()), ErrorKind::Internal);
    }
}

// Where an allocation fails in a function that may not throw (CLI11 and the standard library have some),
// nobody can catch it: the same line and exit code.
[[noreturn]] void end_without_memory() noexcept {
    try {
        if (std::current_exception()) throw;
    } catch (const std::bad_alloc&) {
        for (const std::string_view part :
             {std::string_view("gradscore: "), kOutOfMemory, std::string_view("\n")})
            [[maybe_unused]] const auto written = ::write(STDERR_FILENO, part.data(), part.size());
        ::_exit(static_cast<int>(ErrorKind::Device));
    } catch (...) {
    }
    std::abort();
}

}  // namespace
}  // namespace gs

int main(int argc, char** argv) {
    std::set_terminate(gs::end_without_memory);
    std::signal(SIGXFSZ, SIG_IGN);  // a file size limit is then an error of write(), with its own line
    const int code = gs::run_reporting_errors(argc, argv);
    if (std::cout.flush()) return code;
    gs::say("gradscore: cannot write to standard output");
    return code == 0 ? static_cast<int>(gs::ErrorKind::Internal) : code;
}
