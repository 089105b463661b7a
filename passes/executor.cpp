#include "passes/executor.h"

#include <algorithm>

namespace gs {
namespace {

FuseOptions fuse_options(const Request& request, bool enabled) {
    FuseOptions options{.enabled = enabled, .keep_apart = {}};
    for (const std::string& tap : request.activation_taps()) options.keep_apart.insert(tap);
    return options;
}

// Without repetitions, which would be collected twice.
Request united(const Request& request) {
    Request united;
    united.merge(request);
    return united;
}

}  // namespace

Executor::Executor(Backend& backend, const Net& net, const Request& request, const ExecutorOptions& options)
    : backend_(backend),
      request_(united(request)),
      options_(options),
      net_(fuse(net, fuse_options(request_, options.fuse))) {}

Executor::Planned& Executor::planned(int64_t height, int64_t width) {
    const auto key = std::pair(height, width);
    if (const auto it = plans_.find(key); it != plans_.end()) return it->second;
    Plan plan = plan_passes(backend_, net_, request_, height, width, choose_micro_batch(height, width));
    // Images without a fixed size could come in thousands of sizes; a plan is cheap to make again.
    constexpr size_t kMaxPlans = 64;
    if (plans_.size() >= kMaxPlans) plans_.clear();
    return plans_.emplace(key, Planned{std::move(plan), {}}).first->second;
}

const Plan& Executor::plan(int64_t height, int64_t width) {
    return planned(height, width).plan;
}

std::vector<const Plan*> Executor::plans() const {
    std::vector<const Plan*> all;
    for (const auto& [size, planned] : plans_) all.push_back(&planned.plan);
    return all;
}

void Executor::fit_arena(const Plan& plan) {
    if (plan.arena_bytes <= arena_.bytes()) return;
    for (auto& [size, other] : plans_) other.recorded.clear();  // of the arena that goes
    arena_ = Buffer();                                          // the old one first: never both at once
    arena_ = backend_.allocate(plan.arena_bytes);
}

// As many images as let the forward pass stay in cache, unless they are given. What is saved for a backward
// pass streams through memory in any case, and the kernels of small maps need the images.
int64_t Executor::choose_micro_batch(int64_t height, int64_t width) const {
    const WorkingSet limits = options_.working_set.value_or(backend_.working_set());
    const auto plan_of_one = [&](const Request& request) {
        return plan_passes(backend_, net_, request, height, width, 1);
    };
    const Plan plan = plan_of_one(request_);
    int64_t largest_map = 1;
    for (const PlannedBuffer& map : plan.buffers)
        largest_map = std::max(largest_map, map.copies * map.shape.per_sample());
    const int64_t most = std::max<int64_t>(1, limits.most_elements / largest_map);
    if (options_.micro_batch > 0) return std::min(options_.micro_batch, most);
    size_t fit = limits.memory_bytes / plan.arena_bytes;
    if (limits.cache_bytes > 0)
        fit = std::min(fit, limits.cache_bytes / plan_of_one({.logits = true}).arena_bytes);
    return std::clamp<int64_t>(static_cast<int64_t>(fit), 1, std::min(limits.most_images, most));
}

void Executor::run_steps(Planned& planned, const StepContext& at) {
    Recorded& recorded = planned.recorded[at.samples];
    if (recorded.steps && recorded.steps->replay()) return;
    const std::vector<Step>& steps = planned.plan.steps;
    const auto run = [&] {
        for (const Step& step : steps) step.run(at);
    };
    const bool on_host =
        std::any_of(steps.begin(), steps.end(), [](const Step& step) { return step.on_host; });
    // The first time a device measures and makes what it will need; from then on it repeats itself.
    if (recorded.has_run && !on_host) recorded.steps = backend_.record(run);
    recorded.has_run = true;
    if (!recorded.steps || !recorded.steps->replay()) run();
}

void Executor::run_micro_batch(Planned& planned, std::span<const float> pixels, int64_t n, int64_t samples,
                               std::span<const float> next, Evidence& evidence) {
    const Plan& plan = planned.plan;
    const StepContext at{backend_, plan, arena_, n, evidence.samples};
    backend_.upload(pixels, at.view(plan.input));
    run_steps(planned, at);
    backend_.announce_upload(next);
    for (const Output& output : plan.outputs) {
        const View from = at.rows(output.buffer, output.copy);
        Matrix& to = output.target(evidence);
        const int64_t columns = from.shape.per_sample();
        GS_REQUIRE(to.rows == 0 || to.cols == columns);
        to.cols = columns;
        to.rows += n;
        const size_t before = to.values.size();
        if (before == 0) to.values.reserve(static_cast<size_t>(samples * columns));
        to.values.resize(before + static_cast<size_t>(from.shape.size()));
        backend_.download(from, std::span(to.values).subspan(before));
    }
    backend_.synchronize();
    evidence.samples += n;
}

Evidence Executor::run_once(Planned& planned, std::span<const float> pixels, int64_t n,
                            std::span<const float> next) {
    const Plan& plan = planned.plan;
    const int64_t image = plan.image.per_sample();
    GS_REQUIRE(static_cast<int64_t>(pixels.size()) == n * image);
    fit_arena(plan);
    Evidence evidence;
    const auto most = static_cast<size_t>(plan.max_batch * image);
    const auto first_of = [&](std::span<const float> left) {
        return left.first(std::min(left.size(), most));
    };
    for (std::span<const float> left = pixels; !left.empty();) {
        const auto now = first_of(left);
        left = left.subspan(now.size());
        run_micro_batch(planned, now, static_cast<int64_t>(now.size()) / image, n,
                        first_of(left.empty() ? next : left), evidence);
    }
    return evidence;
}

bool Executor::halve_batch(int64_t from, const std::string& reason) {
    if (from <= 1) return false;
    options_.micro_batch = from / 2;
    plans_.clear();
    arena_ = Buffer();
    if (options_.notice)
        options_.notice(reason + "; going on with batches of " + std::to_string(options_.micro_batch));
    return true;
}

Evidence Executor::run(std::span<const float> pixels, int64_t n, int64_t height, int64_t width,
                       std::span<const float> next) {
    while (true) {
        Planned& planned = this->planned(height, width);
        const int64_t batch = planned.plan.max_batch;
        try {
            return run_once(planned, pixels, n, next);
        } catch (const Error& error) {
            forget_next();
            if (error.kind() != ErrorKind::Device || !halve_batch(batch, error.what())) throw;
        }
    }
}

}  // namespace gs
