// Runs plans: splits a batch into micro-batches whose activations stay in cache, runs the steps, gathers the
// evidence.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <utility>

#include "passes/fuse.h"
#include "passes/plan.h"

namespace gs {

struct ExecutorOptions {
    bool fuse = true;
    int64_t micro_batch = 0;  // images a run of the plan; 0: chosen by the limits below, at least one
    size_t cache_bytes = size_t{24} << 20;  // the forward pass should stay below
    size_t memory_bytes = size_t{1} << 30;  // the whole arena should stay below
    int64_t max_micro_batch = 64;
};

class Executor {
  public:
    // net and backend must outlive the executor.
    Executor(Backend& backend, const Net& net, const Request& request, const ExecutorOptions& options = {});

    // pixels: [n][height][width][3] float32, normalised. Any n; images of another size get a plan of their
    // own.
    Evidence run(std::span<const float> pixels, int64_t n, int64_t height, int64_t width);

    // The plan for images of this size, made where there is none yet.
    const Plan& plan(int64_t height, int64_t width);
    const Request& request() const { return request_; }

  private:
    Backend& backend_;
    Request request_;
    ExecutorOptions options_;
    Net net_;  // fused
    std::map<std::pair<int64_t, int64_t>, Plan> plans_;
    Buffer arena_;

    void fit_arena(const Plan& plan);
    // n of the run's `samples` images, appended to the evidence.
    int64_t choose_micro_batch(int64_t height, int64_t width) const;
    void run_micro_batch(const Plan& plan, std::span<const float> pixels, int64_t n, int64_t samples,
                         Evidence& evidence);
};

}  // namespace gs
