#include "tools/cli_commands.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <utility>

#include "core/error.h"
#include "core/join.h"
#include "core/printable.h"
#include "tools/cli_config.h"
#include "tools/cli_flags.h"
#include "tools/cli_generated.h"
#include "tools/commands.h"
#include "tools/setup.h"
#include "tools/spinning.h"

namespace gs {
namespace {

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

// Where a flag or position takes several words the library takes one in brackets apart, "[a,b]" as a and b,
// and drops the brackets of "[a]": files may be called so.
void refuse_brackets(const CLI::App& command, int argc, char** argv) {
    const std::vector<std::string> typed(argv + 1, argv + argc);
    for (const CLI::Option* option : command.get_options()) {
        if (!option->get_allow_extra_args()) continue;
        for (const std::string& value : option->results()) {
            const auto same = [&](const std::string& word) {
                return word == value || (word.starts_with("--") && word.ends_with("=" + value));
            };
            if (std::count_if(typed.begin(), typed.end(), same) >=
                std::count(option->results().begin(), option->results().end(), value))
                continue;
            throw Error(ErrorKind::Usage, option->get_name() +
                                              ": a word in brackets would be taken apart ('" + value +
                                              "' of it); write ./[NAME] for a file called so");
        }
    }
}

// For flags that only some uses of a command need.
void require_given(const std::string& value, const std::string& flag) {
    if (value.empty()) throw Error(ErrorKind::Usage, flag + " is required; see gradscore score --help");
}

class CommandLine {
  public:
    CommandLine();
    int run(int argc, char** argv);

  private:
    CLI::App app_{"Scores images as in- or out-of-distribution with gradients.", "gradscore"};
    CLI::App* score_ = nullptr;
    std::vector<std::pair<CLI::App*, std::function<int()>>> commands_;
    bool list_methods_ = false, json_ = false;
    std::string shell_, typed_;

    // add_flags(command, flags) defines the flags, start(command, flags) is called with their values.
    template <class Flags, class Start>
    CLI::App* add(const char* name, const char* what, void (*add_flags)(CLI::App&, Flags&),
                  const Start& start) {
        CLI::App* command = app_.add_subcommand(name, what);
        const auto flags = std::make_shared<Flags>();
        add_flags(*command, *flags);
        commands_.emplace_back(command, [=] { return start(*command, *flags); });
        return command;
    }
    template <class Flags>
    CLI::App* add(const char* name, const char* what, void (*add_flags)(CLI::App&, Flags&),
                  int (*start)(const Flags&)) {
        return add(name, what, add_flags, [=](const CLI::App&, const Flags& flags) { return start(flags); });
    }
    // For flags that keep what was typed.
    template <class Flags>
    auto with_words(int (*start)(const Flags&)) const {
        return [=, this](const CLI::App&, Flags& flags) {
            flags.command_line = typed_;
            return start(flags);
        };
    }
    // And the values of all flags beside it, as TOML.
    template <class Flags>
    auto with_config(int (*start)(const Flags&)) const {
        return [=, this](const CLI::App& command, Flags& flags) {
            flags.command_line = typed_;
            flags.config = "[" + command.get_name() + "]\n" + values_of(command);
            return start(flags);
        };
    }
    std::string values_of(const CLI::App& command) const {
        return TomlConfig(*score_).to_config(&command, true, false, "");
    }

    [[noreturn]] void refuse_command(const std::string& typed) const;
    int score(const CLI::App& command, ScoreFlags& flags) const;
    int track(const CLI::App& command, const TrackFlags& flags) const;
};

CommandLine::CommandLine() {
    app_.set_version_flag("--version", version());
    app_.set_config("--config", "",
                    "score: TOML file of flags, section [score]; flags on the command line win")
        ->check(
            [](const std::string& path) {  // the library would wait for a pipe
                std::error_code error;     // told by the library
                const bool other =
                    std::filesystem::exists(path, error) && !std::filesystem::is_regular_file(path, error);
                return other ? path + ": not a regular file" : std::string();
            },
            "");
    app_.allow_config_extras(CLI::config_extras_mode::error);
    auto* list =
        app_.add_flag("--list-methods", list_methods_, "print all methods with options, sources and needs")
            ->configurable(false);
    app_.add_flag("--json", json_, "methods as JSON")->needs(list)->configurable(false);

    score_ = add("score", "score sets of images; writes a run folder", add_score,
                 [this](const CLI::App& command, ScoreFlags& flags) { return score(command, flags); });
    app_.config_formatter(std::make_shared<TomlConfig>(*score_));
    add("track",
        "gradient tracking: norms of candidate labels' gradients, layer by layer; writes a run folder",
        add_track,
        [this](const CLI::App& command, const TrackFlags& flags) { return track(command, flags); });
    add("fit", "what methods learn from a set of images; writes a statistics file", add_fit,
        with_config(run_fit));
    add("search", "options of fitted methods, by trial on validation sets", add_search,
        with_config(run_search));
    add("merge", "shards of a fit or a run as one", add_merge, with_words(run_merge));
    add("train", "train or fine-tune a net by a recipe; writes a run folder", add_train, run_train);
    add("metrics", "metrics and table of a run's score files", add_metrics, run_metrics);
    add("report", "runs as one page to look at, compare and pass on; charts as SVG", add_report,
        with_words(run_report));
    add("reproduce", "compute a paper's table again and show the differences", add_reproduce,
        with_words(run_reproduce));
    add("threshold", "score at which a share of a run's ID images is accepted", add_threshold, run_threshold);
    add("inspect", "tensors, guessed net and hash of a weights file", add_inspect, run_inspect);
    add("convert", "any weights file to safetensors or PyTorch", add_convert, run_convert);
    add("plan", "passes, depth, memory and FLOPs of a set of methods", add_plan, run_plan);
    add("bench", "measure images/s and peak memory", add_bench, run_bench);
    add("devices", "list devices", add_devices,
        [](const CLI::App&, const bool& json) { return run_devices(json); });
    for (const auto& [command, start] : commands_)
        if (command != score_) command->configurable(false);
    add_generated(app_, shell_);
    app_.require_subcommand(0, 1);
}

int CommandLine::run(int argc, char** argv) {
    typed_ = joined(argc, argv);
    try {
        app_.parse(argc, argv);
    } catch (const CLI::Success& help_or_version) {
        return app_.exit(help_or_version);
    } catch (const CLI::ParseError& error) {
        if (app_.get_subcommands().empty() && argc > 1 && argv[1][0] != '-') refuse_command(argv[1]);
        throw Error(ErrorKind::Usage, usage_line(app_, error));
    }
    if (app_.get_option("--config")->count() > 0 && !score_->parsed())
        throw Error(ErrorKind::Usage, "--config: only gradscore score takes a file of flags");
    for (const auto& [command, start] : commands_) {
        if (!command->parsed()) continue;
        refuse_brackets(*command, argc, argv);
        if (command->get_option_no_throw("--threads") != nullptr) limit_spinning(argv);
        return start();
    }
    if (generated_parsed(app_)) return run_generated(app_, shell_);
    if (list_methods_) return run_list_methods(json_);
    std::cout << app_.help();
    return static_cast<int>(ErrorKind::Usage);
}

void CommandLine::refuse_command(const std::string& typed) const {
    throw Error(ErrorKind::Usage,
                "no command '" + printable(typed) + "'; there are " +
                    join(commands_, ", ", [](const auto& command) { return command.first->get_name(); }) +
                    "; see gradscore --help");
}

int CommandLine::score(const CLI::App& command, ScoreFlags& flags) const {
    if (!flags.threshold.empty()) return run_judge(flags);
    require_given(flags.id, "--id");
    require_given(flags.out, "--out");
    return with_config(run_score)(command, flags);
}

// The scoring run that `gradscore track` stands for; its config.toml is one of `gradscore score`.
int CommandLine::track(const CLI::App& command, const TrackFlags& flags) const {
    ScoreFlags run = tracking_run(flags);
    run.command_line = typed_;
    run.config = "[score]\n" + values_of(command) + "methods = \"" + run.methods + "\"\nsave = [";
    for (const std::string& item : run.save)
        run.config += (run.config.ends_with('[') ? "\"" : ", \"") + item + '"';
    run.config += "]\n";
    return run_score(run);
}

}  // namespace

int run_command_line(int argc, char** argv) {
    return CommandLine().run(argc, argv);
}

}  // namespace gs
