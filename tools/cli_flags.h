// Flags of the commands: how the command line's library fills the structs of tools/commands.h.
#pragma once

#include <CLI/CLI.hpp>

#include "tools/commands.h"
#include "tools/train_flags.h"

namespace gs {

// A flag that takes a value each time it is given: words behind it are not its own, as a command's table
// would be.
CLI::Option* add_repeated(CLI::App& app, const char* name, std::vector<std::string>& values,
                          const std::string& what);

void add_score(CLI::App& app, ScoreFlags& flags);
void add_track(CLI::App& app, TrackFlags& flags);
void add_fit(CLI::App& app, FitFlags& flags);
void add_search(CLI::App& app, SearchFlags& flags);
void add_merge(CLI::App& app, MergeFlags& flags);
void add_bench(CLI::App& app, BenchFlags& flags);
void add_plan(CLI::App& app, PlanFlags& flags);
void add_train(CLI::App& app, TrainFlags& flags);
void add_report(CLI::App& app, ReportFlags& flags);
void add_reproduce(CLI::App& app, ReproduceFlags& flags);
void add_metrics(CLI::App& app, MetricsFlags& flags);
void add_threshold(CLI::App& app, ThresholdFlags& flags);
void add_inspect(CLI::App& app, InspectFlags& flags);
void add_convert(CLI::App& app, ConvertFlags& flags);
void add_devices(CLI::App& app, bool& json);

}  // namespace gs
