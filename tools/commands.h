// The commands of `gradscore`, free of any command-line library: flags as plain structs, one function a
// command that returns the exit code. tools/main.cpp binds them to the command line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gs {

// How a net is had and run; shared by all commands that run one.
struct NetFlags {
    std::string weights;
    std::string net = "auto";
    std::string arch;  // JSON file that overrides fields of the architecture
    std::string device = "auto", precision = "f32";
    int threads = 0;
    int64_t batch = 0;       // images a run of the plan; 0: chosen
    std::string plan_cache;  // file of the convolutions measured on GPUs; empty: the user's, "none": none
    bool allow_nonfinite = false, no_fuse = false, deterministic = false;
};

struct PreprocessFlags {
    std::string resize, crop, mean, std;
    bool pillow13 = false;
};

// What commands share that run a net over sets of images.
struct ImageRunFlags {
    NetFlags net;
    PreprocessFlags preprocess;
    std::string id, methods;
    std::optional<int64_t> limit;
    std::string shard;  // "I/N"; empty: all
    uint64_t seed = 0;
    int64_t max_pixels = 178'956'970;
    bool strict = false, quiet = false;
    std::string command_line, config;  // as typed; as TOML
};

struct ScoreFlags : ImageRunFlags {
    ScoreFlags() { methods = "msp,maxlogit,energy,gradnorm"; }
    std::vector<std::string> ood;
    std::string out;
    std::vector<std::string> save;    // logits, features, taps
    std::vector<std::string> reuse;   // run folders whose arrays may be read
    std::string stats;                // statistics file of gradscore fit
    bool allow_fit_on_test = false;   // score images that the statistics were fitted on
    std::string threshold;            // file; then `images` are judged, and no run folder is written
    std::vector<std::string> images;  // files
    bool force = false, resume = false, json = false;
};

// Gradient tracking: a scoring run of the method `track`, a column a layer, with the norms kept.
struct TrackFlags {
    ScoreFlags run;  // methods and save are track's
    std::string loss = "ce", score = "min", form = "norm_single", layers, params = "weights", p = "2",
                detector = "l2", margin;
};

struct FitFlags : ImageRunFlags {
    std::string out;
    bool force = false, resume = false;
};

struct SearchFlags : ImageRunFlags {
    SearchFlags() { methods = "nac"; }
    std::vector<std::string> ood;
    std::string stats, out;          // out: JSON, may stay empty
    bool allow_fit_on_test = false;  // search on images that the statistics were fitted on
    bool force = false, resume = false, json = false;
};

// Shards as one: statistics files, or run folders.
struct MergeFlags {
    std::string out;
    std::vector<std::string> in;
    bool force = false, json = false, quiet = false;
    bool resume = false;       // write into OUT what may be missing there: for merges of gradscore itself
    std::string command_line;  // as typed
};

struct ThresholdFlags {
    std::string run, method, out;
    double tpr = 0.95;
    bool json = false, force = false;
};

struct BenchFlags {
    NetFlags net;
    std::string methods = "forward";
    std::optional<int64_t> size;
    int64_t images = 16;
    int64_t classes = 0;  // of random weights; 0: the family's usual number
    int rounds = 1;
    uint64_t seed = 0;
    bool json = false, serve = false;
};

struct PlanFlags {
    NetFlags net;
    std::string methods = "msp,maxlogit,energy,gradnorm";
    std::optional<int64_t> size;
    bool steps = false, json = false;
};

struct ConvertFlags {
    std::string in, out;
    bool quiet = false, force = false;
};

struct InspectFlags {
    std::string file;
    bool json = false;
};

struct MetricsFlags {
    std::string run;
    bool json = false;
};

struct ReportFlags {
    std::vector<std::string> runs;
    std::string out = "report.html";
    std::string figures;  // folder of the charts as SVG; empty: OUT without its extension, and "-figures"
    bool no_figures = false;
    int64_t thumbnails = 12;  // of a set and method
    bool no_thumbnails = false;
    int64_t max_pixels = 178'956'970;
    bool force = false, json = false;
    std::string command_line;
};

struct ReproduceFlags {
    std::string table;  // a built-in table's name, or a file
    bool list = false;
    NetFlags net;                      // weights stay empty
    std::vector<std::string> data;     // NAME=KIND:PATH, names of the table
    std::vector<std::string> weights;  // [NAME=]FILE
    std::vector<std::string> stats;    // [NAME=]FILE, names of the table's statistics
    std::vector<std::string> methods;  // run only the rows of these
    std::string out;                   // empty: reproduce-TABLE
    std::optional<int64_t> limit;
    bool dry_run = false, allow_fit_on_test = false, force = false, resume = false, json = false,
         quiet = false;
    std::string command_line;
};

int run_score(const ScoreFlags& flags);
int run_judge(const ScoreFlags& flags);  // score --threshold
int run_threshold(const ThresholdFlags& flags);
int run_fit(const FitFlags& flags);
int run_search(const SearchFlags& flags);
// `flags` as the scoring run that it stands for.
ScoreFlags tracking_run(const TrackFlags& flags);
int run_merge(const MergeFlags& flags);
int run_bench(const BenchFlags& flags);
int run_plan(const PlanFlags& flags);
int run_convert(const ConvertFlags& flags);
int run_inspect(const InspectFlags& flags);
int run_metrics(const MetricsFlags& flags);
int run_report(const ReportFlags& flags);
int run_reproduce(const ReproduceFlags& flags);
int run_list_methods(bool json);
int run_devices(bool json);

}  // namespace gs
