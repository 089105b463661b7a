// Runs plans: splits a batch into micro-batches whose activations stay in cache, runs the steps, gathers the
// evidence.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "passes/fuse.h"
#include "passes/plan.h"

namespace gs {

struct ExecutorOptions {
    bool fuse = true;
    int64_t micro_batch =
        0;  // images a run of the plan; 0: as many as the backend's working set holds, at least one. Fewer
            // where a map would have more elements than the backend can index
    std::optional<WorkingSet> working_set{};           // instead of the backend's
    std::function<void(const std::string&)> notice{};  // told of smaller batches where memory runs out
};

class Executor {
  public:
    // net and backend must outlive the executor.
    Executor(Backend& backend, const Net& net, const Request& request, const ExecutorOptions& options = {});

    // pixels: [n][height][width][3] float32, normalised. Any n; images of another size get a plan of their
    // own. next: the pixels of the run after this one, where they are known, which a device copies meanwhile;
    // they must not change before that run, or before forget_next() where it never comes. Where the device
    // has too little memory for a batch, it is halved, which is noticed, and the run goes on; throws
    // Error(Device) where one image is too many.
    Evidence run(std::span<const float> pixels, int64_t n, int64_t height, int64_t width,
                 std::span<const float> next = {});
    void forget_next() { backend_.announce_upload({}); }

    // The plan for images of this size, made where there is none yet.
    const Plan& plan(int64_t height, int64_t width);
    std::vector<const Plan*> plans() const;  // all made so far, by size
    const Request& request() const { return request_; }

  private:
    Backend& backend_;
    Request request_;
    ExecutorOptions options_;
    Net net_;  // fused
    // A plan with what a device has recorded of its steps, by number of images.
    struct Recorded {
        bool has_run = false;
        std::unique_ptr<Recording> steps{};
    };
    struct Planned {
        Plan plan;
        std::map<int64_t, Recorded> recorded;
    };
    std::map<std::pair<int64_t, int64_t>, Planned> plans_;
    Buffer arena_;

    Planned& planned(int64_t height, int64_t width);
    void fit_arena(const Plan& plan);
    // false: the batch is one image already.
    bool halve_batch(int64_t from, const std::string& reason);
    Evidence run_once(Planned& planned, std::span<const float> pixels, int64_t n,
                      std::span<const float> next);
    void run_steps(Planned& planned, const StepContext& at);
    int64_t choose_micro_batch(int64_t height, int64_t width) const;
    // n of the run's `samples` images, appended to the evidence. next: the pixels of the micro-batch after
    // it.
    void run_micro_batch(Planned& planned, std::span<const float> pixels, int64_t n, int64_t samples,
                         std::span<const float> next, Evidence& evidence);
};

}  // namespace gs
