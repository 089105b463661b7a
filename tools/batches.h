// The images of a set through the net, batch by batch: what scoring and fitting share.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/error.h"
#include "data/image_set.h"
#include "data/loader.h"
#include "passes/executor.h"

namespace gs {

struct BatchOptions {
    int64_t batch = 0;  // images a run of the plan; 0: chosen
    int64_t group = 0;  // images that the loader takes together, as loader_group() gives them; 0: chosen
    int loader_threads = 1;
    int64_t first = 0, last = -1;  // index range of the set, as in LoaderOptions
    DecodeLimits limits;
};

// How many images of the set the loader takes together: a few runs of the plan, so that it is ahead without
// holding much. Batches end where such groups end; images of several sizes make several batches of one.
int64_t loader_group(Executor& executor, const Preprocess& preprocess, int64_t batch);

// `each` gets the batches in order of index with their evidence (empty where no image of a batch could be
// used) and digests. Between batches it looks at interrupted(): false where that ended it.
bool run_batches(Executor& executor, const ImageSet& set, const Preprocess& preprocess,
                 const BatchOptions& options, const std::function<void(const Batch&, Evidence)>& each);

// What --strict ends a run with, for an image ("SET: PATH") that cannot be used.
Error strict_error(const std::string& image, const std::string& reason);

}  // namespace gs
