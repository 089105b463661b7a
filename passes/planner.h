// The planner's parts, private to passes/: forward steps, backward steps, and what they share.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "passes/plan.h"

namespace gs {

// Appends steps and buffers to a plan and keeps their lifetimes.
class PlanWriter {
  public:
    PlanWriter(Backend& backend, const Net& net, int64_t height, int64_t width, int64_t max_batch);

    Backend& backend() { return backend_; }
    const Net& net() const { return net_; }
    const Shape& shape(ValueId value) const { return shapes_[static_cast<size_t>(value)]; }  // n = 1
    int64_t max_batch() const { return plan_.max_batch; }
    double flops(int node) const;
    double flops(Step::Phase phase) const { return plan_.flops(phase); }  // of the steps so far

    // What a value and its gradients are stored as: maps, all between the image and the pooled features, as
    // the backend stores them; the rest as float32.
    DType type(ValueId value) const {
        return value > 0 && value < net_.features() ? backend_.map_type() : DType::F32;
    }

    BufferId new_buffer(const Shape& shape, DType dtype = DType::F32, int copies = 1);
    // For a value, or `copies` gradients of one.
    BufferId new_value(ValueId value, int copies = 1) {
        return new_buffer(shape(value), type(value), copies);
    }
    DType type_of(BufferId id) const { return plan_.buffers[static_cast<size_t>(id)].dtype; }
    int copies(BufferId id) const { return plan_.buffers[static_cast<size_t>(id)].copies; }
    void add_step(Step step);
    void add_output(BufferId buffer, int copy, std::function<Matrix&(Evidence&)> target);
    size_t add_constant(std::span<const float> values);  // index into Plan::constants
    void add_summary(BackwardSummary summary) { plan_.backwards.push_back(std::move(summary)); }
    Plan finish(BufferId input);

  private:
    Backend& backend_;
    const Net& net_;
    std::vector<Shape> shapes_;
    Plan plan_;
    void touch(BufferId id, int step);
};

// The buffers of one forward pass. -1 where a value or a state is not kept anywhere.
struct ForwardBuffers {
    std::vector<BufferId> values;  // by ValueId
    std::vector<BufferId> states;  // by node
    std::map<TapReduction, BufferId> activations;
};

// What later steps will read of a forward pass, and what it reduces on its way.
struct ForwardNeeds {
    std::set<ValueId> values;  // must survive (not be overwritten in place)
    std::set<int> states;      // nodes
    std::vector<TapReduction> activations;
};

// Emits the forward pass from `image` to value `last`.
ForwardBuffers emit_forward(PlanWriter& plan, BufferId image, const ForwardNeeds& needs, ValueId last,
                            Step::Phase phase);

// Cotangents that are back-propagated together, stacked in this order, and how far each value's gradient is
// needed. Those that start at the logits or the pooled features: deepest first, so that the stack narrows on
// its way down. Those that start at taps: from the last tap to the first, so that it grows.
struct BackwardGroup {
    std::vector<Backward> passes;
    std::vector<ValueId> starts;  // of each: the tap's value, or the logits
    std::vector<int> active;      // by ValueId: how many leading cotangents need its gradient; 0: none
    std::set<int> outputs_read;   // nodes whose norms are taken with their output
    // Losses whose squared norms follow from those of `passes`, which are then the classes' logits one by
    // one.
    std::vector<Backward> combined{};
    // Whose norms come out, a row each.
    const std::vector<Backward>& losses() const { return combined.empty() ? passes : combined; }
};
std::vector<BackwardGroup> analyse_backwards(const Backend& backend, const Net& net,
                                             std::vector<Backward> passes);

// Norms of a node's parameter gradients that some cotangent of a group asks for, and what they read.
struct WantedNorms {
    bool weight = false, gamma = false;
    bool sums = false;  // over positions of the gradient: for all but the weight
    bool reads_input() const { return weight || gamma; }
};
WantedNorms wanted_norms(const BackwardGroup& group, const Node& node);
// Finds the nodes whose norms are cheaper with their output: where it is kept in any case, or costs little
// memory beside what is. After add_backward_needs of all groups.
void add_norm_outputs(PlanWriter& plan, BackwardGroup& group, ForwardNeeds& needs);

// What the norms of a node's parameter gradients are taken from; -1 where nobody asks for it.
struct GradientSources {
    BufferId delta = -1;  // the joined gradient; its rows are those of the cotangents [first, first + count)
    BufferId sums = -1, gamma = -1;
    BufferId x = -1;  // the node's input; there where delta is
    BufferId y = -1;  // its output, of outputs_read
    // The losses' gradients at the logits: norms are those of combinations of delta's rows. first and count
    // are of the losses then.
    BufferId coefficients = -1;
    int first = 0, count = 0;
};
// Appends the step that takes the norms of `losses`, if any are asked for.
void emit_gradient_norms(PlanWriter& plan, const std::vector<Backward>& losses, int index,
                         const GradientSources& from);

// The node whose output is computed again for the weight gradient that is taken with it; null where the value
// itself is kept: the image, and what costs more than a sweep.
const Node* recomputed_from(const Net& net, ValueId value);

// What the backward steps of a group read of the forward pass.
void add_backward_needs(const Net& net, const BackwardGroup& group, ForwardNeeds& needs);

// A step that seeds with the gradient of a host's loss: from `value`, rows of numbers of one sample each, to
// copy `copy` of `gradient`.
Step host_seed_step(const Cotangent& cotangent, BufferId value, BufferId gradient, int copy);

// The stacked gradients at the pooled features of cotangents that start at the logits, and of combined losses
// those at the logits.
struct Seeds {
    BufferId gradient = -1, coefficients = -1;
};
Seeds emit_seeds(PlanWriter& plan, const BackwardGroup& group, const ForwardBuffers& forward);

// Emits the backward pass of a group; returns the buffer of the gradient at the image, or -1.
BufferId emit_backward(PlanWriter& plan, const BackwardGroup& group, const ForwardBuffers& forward);

}  // namespace gs
