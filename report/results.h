// A run as plain data: what ran, on which sets, what came out. Everything a report, a table or results.json
// shows.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/run_identity.h"
#include "core/shard.h"
#include "metrics/metrics.h"

namespace gs {

struct RunInfo {
    std::string gradscore_version;
    std::string command;      // the command line, as typed
    std::string net, family;  // "mobilenet-v2", "mobilenet_v2"
    std::optional<int64_t> classes;
    std::string weights_path, weights_sha256, weights_format;
    std::string preprocess;  // as printed: "resize 256, crop 224, mean …"
    std::string device, precision;
    int64_t threads = 0, batch = 0;
    uint64_t seed = 0;
    std::optional<int64_t> limit;      // images a set; results with a limit are not comparable
    std::optional<Shard> shard;        // of a run in parts: only this part of each set was scored
    std::string stopped;               // why the run ended early; empty: it came to its end
    RunIdentity started_with;          // empty: of an earlier version
    std::string started;               // UTC, ISO 8601: "2026-11-21T08:27:17Z"
    std::vector<std::string> resumed;  // when it went on after it was stopped, as `started`
    double wall_seconds = 0, images_per_second = 0;
    std::map<std::string, std::string> libraries;   // name -> version
    std::map<std::string, std::string> statistics;  // files of fitted methods (option stats) -> SHA-256
    // Of those, and of search files, the ones made under --limit: file -> images. Not comparable either.
    std::map<std::string, int64_t> limited_fits;
    // What of the net ran for an image, as gradscore plan tells it; empty where the net was not run.
    std::vector<std::string> plan;
    std::vector<std::string> notices;
    // Why the figures break the protocol of OOD detection (fitted on test images), one line each; else empty.
    std::vector<std::string> invalid_protocol;
};

enum class SetRole { Id, Ood };
std::string_view to_string(SetRole role);  // "id", "ood"

struct SetFailure {
    std::string path, reason;
};

// Of a few images of a set, by area: whether sets differ in more than content.
struct ImageSizes {
    struct Size {
        int64_t width = 0, height = 0;
    };
    int64_t images = 0;  // that were looked at
    Size smallest, median, largest;
};

struct SetInfo {
    std::string name;         // NAME of NAME=KIND:PATH
    std::string description;  // "folder:/data/dtd"
    SetRole role = SetRole::Ood;
    int64_t total = 0, scored = 0,
            excluded = 0;  // images; total = scored + excluded unless interrupted or a shard
    bool labelled = false;
    int64_t labelled_images = 0, correct = 0;  // scored images with a label of the net's; predicted right
    std::optional<double> accuracy;            // correct / labelled_images
    std::string digest;                        // of the set's contents
    std::optional<int64_t> shared_with_id;     // of an OOD set: images whose bytes are those of an ID image
    std::optional<ImageSizes> image_sizes;
    std::vector<SetFailure> failures;

    void count_labels(int64_t images, int64_t predicted_right);  // the four fields about labels
};

struct MethodInfo {
    std::string name;                            // as written: "odin:temperature=1000", unique in a run
    std::map<std::string, std::string> options;  // all of them, with defaults filled in
};

// Metrics of one method: on one OOD set, or the mean over all of them (counts are then sums).
struct MethodMetrics {
    std::string method, ood;  // ood is empty in averages
    DetectionMetrics metrics;
};

// Something that makes a figure doubtful, with its likely cause. `kind` is stable: docs/report.md lists them.
struct Warning {
    std::string kind, method, set;  // method and set are empty where they do not apply
    std::string message;            // one line
};

struct Results {
    RunInfo run;
    std::vector<SetInfo> sets;  // the ID set first
    std::vector<MethodInfo> methods;
    std::vector<MethodMetrics>
        metrics;  // method by method, in each the sets in order; empty without OOD sets
    std::vector<MethodMetrics> averages;  // one a method; empty without OOD sets
    std::vector<Warning> warnings;

    // Whether every image of every set was scored or excluded.
    bool complete() const;
    bool comparable() const { return complete() && !run.limit && run.limited_fits.empty(); }
    const SetInfo& id_set() const;  // the only set with role Id
    // Null where there is none.
    const MethodMetrics* find(std::string_view method, std::string_view ood) const;
    const MethodMetrics* find_average(std::string_view method) const;
};

// One figure of DetectionMetrics under its name in results.json.
struct MetricField {
    std::string_view name;
    double DetectionMetrics::*value;
};
std::span<const MetricField> metric_fields();

// A set and its scores, [method][scored image], higher means more in-distribution.
struct ScoredSet {
    SetInfo info;
    std::vector<std::vector<double>> scores;
};

// Metrics of every method on every OOD set, their averages, and warnings. A figure that is NaN on one set is
// NaN in the average. Throws Error(Usage) for a name given twice and for anything but one ID set.
Results summarise(RunInfo run, std::vector<MethodInfo> methods, std::span<const ScoredSet> sets);

}  // namespace gs
