// Fits methods on a set of images: loader -> executor -> fits. Methods that learn from the same images share
// one pass.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/shard.h"
#include "data/image_set.h"
#include "report/results.h"
#include "scores/statistics.h"
#include "tools/image_run.h"
#include "tools/run_journal.h"

namespace gs {

struct FitterOptions : ImageRunOptions {
    Shard shard{};
    RunJournal* journal = nullptr;  // gets every batch, and gives those that an earlier process has done
};

// complete_state() of each, notices together.
std::vector<std::string> complete_states(std::span<FitState> states);

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
