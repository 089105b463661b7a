// The images of a set through the net, batch by batch: what scoring and fitting share.
#pragma once

#include <cstdint>
#include <functional>

#include "data/image_set.h"
#include "data/loader.h"
#include "passes/executor.h"

namespace gs {

struct BatchOptions {
    int64_t batch = 0;  // images a run of the plan; 0: chosen
    int loader_threads = 1;
    int64_t first = 0, last = -1;  // index range of the set, as in LoaderOptions
    DecodeLimits limits;
};

// `each` gets the batches in order of index with their evidence (empty where no image of a batch could be
// used) and digests. Between batches it looks at interrupted(): false where that ended it.
bool run_batches(Executor& executor, const ImageSet& set, const Preprocess& preprocess,
                 const BatchOptions& options, const std::function<void(const Batch&, Evidence)>& each);

}  // namespace gs
