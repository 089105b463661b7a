// A plan: the steps that answer a request for one batch of images of one size, and where every intermediate
// lies in one arena. Made once by plan_passes(), run many times by the executor, printed by `gradscore plan`.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "nets/net.h"
#include "passes/evidence.h"
#include "passes/request.h"

namespace gs {

using BufferId = int;

// A block of the arena: `copies` tensors of `shape` (n = 1) for each sample, cotangent-major (core/backend.h,
// "rows").
struct PlannedBuffer {
    Shape shape;
    DType dtype = DType::F32;
    int copies = 1;
    int first = -1, last = -1;  // steps between which it is alive
    size_t offset = 0;

    size_t bytes(int64_t batch) const {
        return static_cast<size_t>(batch) * static_cast<size_t>(copies) *
               static_cast<size_t>(shape.per_sample()) * size_of(dtype);
    }
};

struct Plan;

// What a running step sees: the arena, with a batch of `samples` images in it.
struct StepContext {
    Backend& backend;
    const Plan& plan;
    const Buffer& arena;
    int64_t samples;
    int64_t first_sample = 0;  // counted from the first image of Executor::run

    View view(BufferId id) const;                            // all copies
    View rows(BufferId id, int first, int count = 1) const;  // copies [first, first + count)
};

struct Step {
    enum class Phase : uint8_t { Forward, Backward, Second };
    Phase phase = Phase::Forward;
    std::string what;      // "conv 3x3 layer1.0.bn1"
    double flops = 0;      // a sample
    bool on_host = false;  // waits for the device: the host computes a part of it
    std::vector<BufferId> reads{}, writes{};
    std::function<void(const StepContext&)> run{};
};

// An array that goes back to the host: copy `copy` of a buffer into a matrix of the evidence.
struct Output {
    BufferId buffer = -1;
    int copy = 0;
    std::function<Matrix&(Evidence&)> target;
};

// What a backward pass was cut to, for people (gradscore plan).
struct BackwardSummary {
    std::vector<Cotangent> cotangents;  // stacked, deepest first
    int class_rows = 0;                 // > 0: that many classes' logits are stacked instead of them
    std::string deepest;                // where the pass ends: "layer3.0.bn1", "layer4", "image"
    int nodes = 0, nodes_of_net = 0;
    double flops = 0;  // a sample
};

struct Plan {
    Shape image;  // n = 1
    int64_t max_batch = 1;
    BufferId input = -1;
    std::vector<PlannedBuffer> buffers;
    std::vector<Step> steps;
    std::vector<Output> outputs;
    std::vector<Buffer> constants;  // on the device, read by steps
    std::vector<BackwardSummary> backwards;
    size_t arena_bytes = 0;  // for max_batch

    double flops(Step::Phase phase) const;  // a sample
};

// Plans `request` on a (fused) net for images of height x width, at most max_batch a run. Throws Error(Usage)
// for taps the net does not have, Error(Data) for images too small for the net.
Plan plan_passes(Backend& backend, const Net& net, const Request& request, int64_t height, int64_t width,
                 int64_t max_batch);

// Shapes of the net's values for images of that shape: the image's, then every node's. Throws Error(Data) for
// images too small for the net, or too large.
std::vector<Shape> infer_shapes(const Net& net, const Shape& image);

// Gives every buffer its offset so that no two buffers alive at the same time overlap; returns the arena's
// size. Greedy by size: on these nets within a few percent of the largest sum of live bytes.
size_t place_buffers(std::vector<PlannedBuffer>& buffers, int64_t batch);

}  // namespace gs
