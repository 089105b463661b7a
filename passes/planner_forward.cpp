#include <array>

#include "layers/norm.h"
#include "passes/planner.h"

namespace gs {
namespace {

class ForwardEmitter {
  public:
    ForwardEmitter(PlanWriter& plan, BufferId image, const ForwardNeeds& needs, Step::Phase phase)
        : plan_(plan), net_(plan.net()), needs_(needs), phase_(phase), pending_(reader_counts(net_)) {
        out_.values.assign(net_.nodes.size() + 1, -1);
        out_.states.assign(net_.nodes.size(), -1);
        out_.values[0] = image;
    }

    ForwardBuffers run(ValueId last) {
        for (int i = 0; i < last; ++i) {
            emit_node(i);
            emit_reductions(i + 1);
        }
        return std::move(out_);
    }

  private:
    PlanWriter& plan_;
    const Net& net_;
    const ForwardNeeds& needs_;
    Step::Phase phase_;
    std::vector<int> pending_;  // readers of each value that are still to come
    ForwardBuffers out_;

    BufferId buffer_of(ValueId value) const { return out_.values[static_cast<size_t>(value)]; }

    bool dies_here(ValueId value) const {
        return pending_[static_cast<size_t>(value)] == 0 && !needs_.values.contains(value) && value != 0;
    }

    // The first input whose last reader is this node, where the layer can write over it.
    BufferId output_buffer(const Node& node, ValueId value) {
        if (node.layer->runs_in_place())
            for (const ValueId input : node.inputs)
                if (dies_here(input) && plan_.shape(input) == plan_.shape(value)) return buffer_of(input);
        return plan_.new_value(value);
    }

    BufferId state_buffer(int node) {
        BufferId& state = out_.states[static_cast<size_t>(node)];
        if (state >= 0) return state;
        const Node& n = net_.nodes[static_cast<size_t>(node)];
        const Shape shape = n.layer->state_shape(plan_.shape(n.inputs[0]));
        // A float state is part of the forward pass (statistics); a winner map is only for the backward pass.
        const bool wanted = n.layer->state_type() == DType::F32 || needs_.states.contains(node);
        if (shape.n > 0 && wanted) state = plan_.new_buffer(shape, n.layer->state_type());
        return state;
    }

    void emit_node(int index) {
        const Node& node = net_.nodes[static_cast<size_t>(index)];
        for (const ValueId input : node.inputs) --pending_[static_cast<size_t>(input)];
        const ValueId value = index + 1;
        const bool state_is_ready = out_.states[static_cast<size_t>(index)] >= 0;
        const BufferId state = state_buffer(index);
        const BufferId next_state = node.stats_of >= 0 ? state_buffer(node.stats_of) : -1;
        const BufferId y = output_buffer(node, value);
        out_.values[static_cast<size_t>(value)] = y;

        Step step{.phase = phase_, .what = node.layer->kind() + " " + node.name, .flops = plan_.flops(index)};
        for (const ValueId input : node.inputs) step.reads.push_back(buffer_of(input));
        step.writes = {y};
        if (state >= 0) (state_is_ready ? step.reads : step.writes).push_back(state);
        if (next_state >= 0) step.writes.push_back(next_state);
        const std::vector<BufferId> inputs(
            step.reads.begin(), step.reads.begin() + static_cast<std::ptrdiff_t>(node.inputs.size()));
        if (next_state >= 0) {
            const auto* norm =
                dynamic_cast<const GroupNorm*>(net_.nodes[static_cast<size_t>(node.stats_of)].layer.get());
            step.run = [=](const StepContext& at) {
                at.backend.add_with_stats(at.view(inputs[0]), at.view(inputs[1]), at.view(y), norm->params(),
                                          at.view(next_state));
            };
        } else {
            step.run = [=, layer = node.layer.get(), activation = node.activation](const StepContext& at) {
                View x[2];
                for (size_t j = 0; j < inputs.size(); ++j) x[j] = at.view(inputs[j]);
                layer->forward(at.backend, {.x = std::span(x, inputs.size()),
                                            .y = at.view(y),
                                            .state = state >= 0 ? at.view(state) : View{},
                                            .activation = activation,
                                            .state_is_ready = state_is_ready});
            };
        }
        plan_.add_step(std::move(step));
    }

    // All reductions of a value in one sweep, each kind once however many names the value has.
    void emit_reductions(ValueId value) {
        constexpr size_t kKinds = 3;
        std::array<BufferId, kKinds> outs{-1, -1, -1};  // by Reduction
        Step step{.phase = phase_, .what = "reduce", .reads = {buffer_of(value)}};
        for (const TapReduction& wanted : needs_.activations) {
            const Tap& tap = net_.tap(wanted.tap);
            if (tap.value != value) continue;
            GS_REQUIRE(!tap.before_activation);  // fuse() was told to keep these apart
            BufferId& out = outs.at(static_cast<size_t>(wanted.reduction));
            if (out < 0) {
                out = plan_.new_buffer({1, 1, 1, plan_.shape(value).c});
                step.writes.push_back(out);
            }
            step.what += " " + wanted.tap;
            out_.activations[wanted] = out;
        }
        if (step.writes.empty()) return;
        step.run = [outs, x = buffer_of(value)](const StepContext& at) {
            std::array<TapSink, kKinds> sinks;
            size_t count = 0;
            for (size_t kind = 0; kind < kKinds; ++kind)
                if (outs[kind] >= 0) sinks[count++] = {static_cast<Reduction>(kind), at.view(outs[kind])};
            at.backend.reduce(at.view(x), std::span(sinks).first(count));
        };
        plan_.add_step(std::move(step));
    }
};

}  // namespace

ForwardBuffers emit_forward(PlanWriter& plan, BufferId image, const ForwardNeeds& needs, ValueId last,
                            Step::Phase phase) {
    return ForwardEmitter(plan, image, needs, phase).run(last);
}

}  // namespace gs
