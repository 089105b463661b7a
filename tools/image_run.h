// How a run takes its images through the net: what scoring, fitting and searching share.
#pragma once

#include <cstdint>
#include <optional>

#include "passes/executor.h"
#include "report/progress.h"
#include "tools/batches.h"
#include "tools/commands.h"

namespace gs {

struct ImageRunOptions {
    int64_t batch = 0;  // images a run of the plan; 0: chosen
    int loader_threads = 1;
    bool fuse = true, strict = false;
    std::optional<int64_t> limit;
    DecodeLimits limits;
    ProgressStyle progress;

    ExecutorOptions executor() const { return {.fuse = fuse, .micro_batch = batch}; }
    BatchOptions batches() const {
        return {.batch = batch, .loader_threads = loader_threads, .limits = limits};
    }
};

ImageRunOptions image_run_options(const ImageRunFlags& flags);

}  // namespace gs
