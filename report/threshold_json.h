// A threshold on one method's score, from a run's ID scores: what `gradscore threshold` writes and
// `gradscore score --threshold` reads. A JSON file, schema "gradscore/threshold/1": docs/file-formats.md.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/threshold.h"
#include "report/results.h"

namespace gs {

// A set of the run, and how many of its scores reach the threshold.
struct SetAcceptance {
    std::string name, description, digest;
    Acceptance counts{};
};

struct Threshold {
    std::string gradscore_version;
    MethodInfo method;  // as written, with all its options
    std::string net, weights_sha256, preprocess, precision;
    std::string statistics_sha256{};  // of the file the method was fitted with; empty: none
    bool comparable = true;           // the run was complete, without --limit, of a valid protocol
    double threshold = 0;             // finite; accepted is score >= threshold
    double tpr = 0.95;                // asked for, in (0, 1]; reached: id.counts.rate()
    SetAcceptance id{};
    std::vector<SetAcceptance> ood{};  // the rate is the false-positive rate
};

std::string threshold_to_json(const Threshold& threshold);
// Throws Error(Data), one line with the file's `name` and the place in it. Unknown members are passed over.
Threshold threshold_from_json(std::string_view text, const std::string& name);
Threshold read_threshold(const std::filesystem::path& path);

// The threshold of one method, results.methods[method]; `sets` as in summarise(). Throws Error(Data) where
// the ID set has no score, or where no finite threshold accepts that share of them.
Threshold find_threshold(const Results& results, std::span<const ScoredSet> sets, size_t method, double tpr);

}  // namespace gs
