// Fits methods on a set of images: loader -> executor -> fits. Methods that learn from the same images share
// one pass.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/shard.h"
#include "data/image_set.h"
#include "passes/executor.h"
#include "report/progress.h"
#include "report/results.h"
#include "scores/statistics.h"
#include "tools/batches.h"
#include "tools/commands.h"
#include "tools/run_journal.h"

namespace gs {

struct FitterOptions {
    int64_t batch = 0;  // images a run of the plan; 0: chosen
    int loader_threads = 1;
    bool fuse = true, strict = false;
    std::optional<int64_t> limit;
    Shard shard;
    DecodeLimits limits;
    RunJournal* journal = nullptr;  // gets every batch, and gives those that an earlier process has done
    ProgressStyle progress;

    ExecutorOptions executor() const { return {.fuse = fuse, .micro_batch = batch}; }
    BatchOptions batches() const {
        return {.batch = batch, .loader_threads = loader_threads, .limits = limits};
    }
};

// complete_state() of each, notices together.
std::vector<std::string> complete_states(std::span<FitState> states);

FitterOptions fitter_options(const ImageRunFlags& flags);

struct FitOutcome {
    bool complete = true;              // false: interrupted(), the rest means nothing
    std::vector<ImageDigest> seen;     // of the images used, ascending
    std::vector<SetFailure> failures;  // images that could not be used, in order of index
    std::vector<FitState> states;      // one a fit; complete, unless of a shard
    std::vector<std::string> notices;  // of completing them
};

// Throws Error(Data) where no image could be used, and under strict for the first that could not.
FitOutcome fit_methods(Backend& backend, const Net& net, const Preprocess& preprocess, const ImageSet& set,
                       std::span<const std::unique_ptr<Fit>> fits, const FitterOptions& options);

}  // namespace gs
