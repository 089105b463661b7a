#include <algorithm>
#include <array>
#include <map>

#include "passes/planner.h"

namespace gs {
namespace {

// Views made while a step runs: steps allocate nothing.
template <class T>
class Few {
  public:
    static constexpr size_t kMost = 8;  // consumers of one value, reductions at one tap: three at most today
    void add(const T& item) {
        GS_REQUIRE(count_ < kMost);
        items_[count_++] = item;
    }
    operator std::span<const T>() const { return std::span(items_).first(count_); }

  private:
    std::array<T, kMost> items_{};
    size_t count_ = 0;
};

class BackwardEmitter {
  public:
    BackwardEmitter(PlanWriter& plan, const BackwardGroup& group, const ForwardBuffers& forward)
        : plan_(plan), net_(plan.net()), group_(group), forward_(forward), terms_(net_.nodes.size() + 1) {}

    BufferId run() {
        const double before = plan_.flops(Step::Phase::Backward);
        const BufferId gradient = emit();
        summarise(plan_.flops(Step::Phase::Backward) - before);
        return gradient;
    }

  private:
    BufferId emit() {
        if (group_.starts.front() == net_.logits()) {
            const Seeds seeds = emit_seeds(plan_, group_, forward_);
            terms(net_.features()).push_back(seeds.gradient);
            coefficients_ = seeds.coefficients;
        }
        for (int i = net_.features() - 1; i >= 0; --i) emit_node(i);
        if (active(0) == 0) return -1;
        const BufferId gradient = join(0, Activation::None, -1, {});
        for (size_t k = 0; k < group_.passes.size(); ++k)
            if (group_.passes[k].input_gradient)
                plan_.add_output(gradient, static_cast<int>(k),
                                 [c = group_.passes[k].cotangent](Evidence& e) -> Matrix& {
                                     return e.input_gradients[c];
                                 });
        return gradient;
    }

    struct Sink {
        Reduction reduction;
        BufferId out;
    };

    PlanWriter& plan_;
    const Net& net_;
    const BackwardGroup& group_;
    const ForwardBuffers& forward_;
    std::vector<std::vector<BufferId>>
        terms_;  // contributions to each value's gradient that are there so far
    std::map<ValueId, BufferId> recomputed_;
    BufferId coefficients_ = -1;  // of combined losses

    int active(ValueId value) const { return group_.active[static_cast<size_t>(value)]; }
    // Of the rows at a node's output, those that go on to one of its inputs (where others may start).
    int onward(ValueId output, ValueId input) const { return std::min(active(output), active(input)); }
    std::vector<BufferId>& terms(ValueId value) { return terms_[static_cast<size_t>(value)]; }

    // Whether another value's gradient still holds this buffer (residual adds hand one buffer to both
    // branches).
    bool shared(BufferId id) const {
        return std::any_of(terms_.begin(), terms_.end(), [&](const std::vector<BufferId>& t) {
            return std::find(t.begin(), t.end(), id) != t.end();
        });
    }

    // A term (already taken off its value) that may be written over, or a new buffer.
    BufferId reuse_or_new(std::span<const BufferId> candidates, ValueId value, int rows) {
        for (const BufferId id : candidates)
            if (!shared(id)) return id;
        return plan_.new_value(value, rows);
    }

    // Fresh sinks for the reductions asked for at `value`, and their way to the evidence.
    std::vector<Sink> sinks(ValueId value, bool before_activation) {
        std::vector<Sink> made;
        for (size_t k = 0; k < group_.passes.size(); ++k) {
            for (const TapReduction& wanted : group_.passes[k].gradients) {
                const Tap& tap = net_.tap(wanted.tap);
                if (tap.value != value || tap.before_activation != before_activation) continue;
                auto same = std::find_if(made.begin(), made.end(),
                                         [&](const Sink& s) { return s.reduction == wanted.reduction; });
                if (same == made.end()) {
                    made.push_back({wanted.reduction, plan_.new_buffer({1, 1, 1, plan_.shape(value).c},
                                                                       DType::F32, active(value))});
                    same = made.end() - 1;
                }
                plan_.add_output(same->out, static_cast<int>(k),
                                 [key = std::pair(group_.passes[k].cotangent, wanted)](
                                     Evidence& e) -> Matrix& { return e.gradients[key]; });
            }
        }
        return made;
    }

    static Few<TapSink> views(const std::vector<Sink>& sinks, const StepContext& at) {
        Few<TapSink> result;
        for (const Sink& sink : sinks) result.add({sink.reduction, at.view(sink.out)});
        return result;
    }

    // The leading `rows` copies of each.
    static Few<View> views(const std::vector<BufferId>& ids, int rows, const StepContext& at) {
        Few<View> result;
        for (const BufferId id : ids) result.add(at.rows(id, 0, rows));
        return result;
    }

    Step backward_step(std::string what, std::vector<BufferId> reads, const std::vector<Sink>& sinks) {
        Step step{.phase = Step::Phase::Backward, .what = std::move(what), .reads = std::move(reads)};
        for (const Sink& sink : sinks) step.writes.push_back(sink.out);
        return step;
    }

    // The gradient at `value` (before `activation`, whose output is in y) in one buffer, reduced on the way.
    // Where it does not go on any further only the reductions are made, and -1 comes back.
    BufferId join(ValueId value, Activation activation, BufferId y, const std::vector<Sink>& taps,
                  bool goes_on = true) {
        const std::vector<BufferId> from = std::move(terms(value));
        terms(value).clear();
        GS_REQUIRE(!from.empty());
        const bool as_it_is = from.size() == 1 && activation == Activation::None;
        const bool writes = goes_on && !as_it_is;
        const BufferId dx = writes ? reuse_or_new(from, value, active(value)) : goes_on ? from[0] : -1;
        if (!writes && taps.empty()) return dx;
        Step step = backward_step("join gradients", from, taps);
        if (activation != Activation::None) step.reads.push_back(y);
        if (writes) step.writes.push_back(dx);
        step.run = [=, rows = active(value)](const StepContext& at) {
            at.backend.pointwise_backward({.terms = views(from, rows, at),
                                           .activation = activation,
                                           .y = activation != Activation::None ? at.view(y) : View{},
                                           .dx = writes ? at.rows(dx, 0, rows) : View{},
                                           .sinks = views(taps, at)});
        };
        plan_.add_step(std::move(step));
        return dx;
    }

    // Cotangents that start at this value join the stack behind those that come from above.
    void emit_tap_seeds(ValueId value) {
        const auto first = static_cast<int>(std::find(group_.starts.begin(), group_.starts.end(), value) -
                                            group_.starts.begin());
        const auto count = static_cast<int>(std::count(group_.starts.begin(), group_.starts.end(), value));
        if (count == 0) return;
        const BufferId stacked = plan_.new_value(value, first + count);
        if (first > 0) {
            const std::vector<BufferId> from = std::move(terms(value));
            Step step = backward_step("join gradients", from, {});
            step.writes.push_back(stacked);
            step.run = [=](const StepContext& at) {
                at.backend.pointwise_backward(
                    {.terms = views(from, first, at), .dx = at.rows(stacked, 0, first)});
            };
            plan_.add_step(std::move(step));
        }
        for (int k = first; k < first + count; ++k) emit_tap_seed(k, value, stacked);
        terms(value) = {stacked};
    }

    void emit_tap_seed(int k, ValueId value, BufferId stacked) {
        const Cotangent& cotangent = group_.passes[static_cast<size_t>(k)].cotangent;
        const Shape shape = plan_.shape(value);
        const BufferId gradient = plan_.new_buffer({1, 1, 1, shape.c});
        plan_.add_step(host_seed_step(
            cotangent, forward_.activations.at({cotangent.start(), Reduction::Mean}), gradient, 0));
        Step step = backward_step("spread over positions", {gradient}, {});
        step.writes.push_back(stacked);
        step.run = [=](const StepContext& at) {
            at.backend.average_pool_backward(at.view(gradient), shape.h, shape.w, at.rows(stacked, k));
        };
        plan_.add_step(std::move(step));
    }

    void emit_node(int index) {
        const Node& node = net_.nodes[static_cast<size_t>(index)];
        const ValueId value = index + 1;
        if (active(value) == 0) return;
        emit_tap_seeds(value);
        const bool fused = node.activation != Activation::None;
        if (fused)
            if (const auto after = sinks(value, false); !after.empty())
                terms(value).push_back(join(value, Activation::None, -1, after));
        std::vector<Sink> before = sinks(value, fused);
        const WantedNorms wanted = wanted_norms(group_, node);
        GradientSources norms{.count = active(value)};
        if (wanted.sums) norms.sums = sum_sink(before, value);
        if (wanted.gamma) norms.gamma = channel_sums(value, active(value));
        if (node.layer->joins_terms()) {
            emit_joining_layer(index, before, norms.gamma);
            emit_gradient_norms(plan_, group_.losses(), index, norms);
            return;
        }
        const bool goes_on = std::any_of(node.inputs.begin(), node.inputs.end(),
                                         [&](ValueId input) { return active(input) > 0; }) ||
                             wanted.reads_input();
        const BufferId delta =
            join(value, node.activation, forward_.values[static_cast<size_t>(value)], before, goes_on);
        if (wanted.reads_input()) {
            norms.delta = delta;
            norms.x = norm_input(node.inputs[0]);
            if (group_.outputs_read.contains(index)) norms.y = forward_.values[static_cast<size_t>(value)];
        }
        norms.coefficients = coefficients_;
        if (coefficients_ >= 0) norms.count = static_cast<int>(group_.combined.size());
        emit_gradient_norms(plan_, group_.losses(), index, norms);
        if (node.layer->passes_gradient()) {
            for (const ValueId input : node.inputs)
                if (active(input) > 0) terms(input).push_back(delta);
        } else if (active(node.inputs[0]) > 0) {
            emit_layer(index, {delta}, -1, plan_.new_value(node.inputs[0], onward(value, node.inputs[0])),
                       {});
        }
    }

    // The sum over positions among a value's sinks, asked for or not.
    BufferId sum_sink(std::vector<Sink>& made, ValueId value) {
        for (const Sink& sink : made)
            if (sink.reduction == Reduction::Sum) return sink.out;
        made.push_back({Reduction::Sum, channel_sums(value, active(value))});
        return made.back().out;
    }
    BufferId channel_sums(ValueId value, int rows) {
        return plan_.new_buffer({1, 1, 1, plan_.shape(value).c}, DType::F32, rows);
    }

    // The value that a weight gradient is taken with, computed again where that is cheaper than keeping it.
    BufferId norm_input(ValueId value) {
        const Node* from = recomputed_from(net_, value);
        if (from == nullptr) return forward_.values[static_cast<size_t>(value)];
        const auto [it, is_new] = recomputed_.try_emplace(value, -1);
        if (!is_new) return it->second;
        const BufferId x = forward_.values[static_cast<size_t>(from->inputs[0])],
                       state = forward_.states[static_cast<size_t>(value) - 1], y = plan_.new_value(value);
        Step step = backward_step(from->layer->kind() + " " + from->name + " again", {x, state}, {});
        step.writes.push_back(y);
        step.run = [=, layer = from->layer.get(), activation = from->activation](const StepContext& at) {
            const View input[] = {at.view(x)};
            layer->forward(at.backend, {.x = input,
                                        .y = at.view(y),
                                        .state = at.view(state),
                                        .activation = activation,
                                        .state_is_ready = true});
        };
        plan_.add_step(std::move(step));
        return it->second = y;
    }

    // Norms and activations sum the terms, mask, feed the sinks and add to an earlier term of dx in their own
    // sweep.
    void emit_joining_layer(int index, const std::vector<Sink>& taps, BufferId dgamma) {
        const Node& node = net_.nodes[static_cast<size_t>(index)];
        const ValueId input = node.inputs[0];
        std::vector<BufferId> from = std::move(terms(index + 1));
        terms(index + 1).clear();
        // The sinks want every cotangent that got here, dx only those that go on.
        const int rows = onward(index + 1, input);
        const bool narrows = rows < active(index + 1);
        if (narrows && !taps.empty()) emit_layer(index, from, -1, -1, taps, dgamma);
        if (active(input) == 0) return;
        BufferId addend = -1;
        if (node.layer->adds_to_dx() && !terms(input).empty()) {
            addend = terms(input).back();
            terms(input).pop_back();
        }
        std::vector<BufferId> reusable = from;
        if (addend >= 0) reusable.insert(reusable.begin(), addend);
        const BufferId dx = reuse_or_new(reusable, input, rows);
        emit_layer(index, std::move(from), addend, dx, narrows ? std::vector<Sink>{} : taps,
                   narrows ? -1 : dgamma);
    }

    // The layer's own backward step; pushes dx to its input's terms. dx -1: only the sinks and dgamma are
    // fed.
    void emit_layer(int index, std::vector<BufferId> from, BufferId addend, BufferId dx,
                    const std::vector<Sink>& taps, BufferId dgamma = -1) {
        const Node& node = net_.nodes[static_cast<size_t>(index)];
        const BackwardReads reads = node.layer->backward_reads(node.activation);
        const auto saved = [](bool wanted, BufferId id) { return wanted ? id : -1; };
        const BufferId x =
            saved(reads.input || dgamma >= 0, forward_.values[static_cast<size_t>(node.inputs[0])]);
        const BufferId y = saved(reads.output, forward_.values[static_cast<size_t>(index) + 1]);
        const BufferId state = saved(reads.state, forward_.states[static_cast<size_t>(index)]);
        const int rows = dx >= 0 ? onward(index + 1, node.inputs[0]) : active(index + 1);
        Step step = backward_step("backward of " + node.layer->kind() + " " + node.name, from, taps);
        for (const BufferId id : {x, y, state, addend})
            if (id >= 0) step.reads.push_back(id);
        for (const BufferId id : {dx, dgamma})
            if (id >= 0) step.writes.push_back(id);
        step.flops = plan_.flops(index) * rows;
        step.run = [=, layer = node.layer.get(), activation = node.activation](const StepContext& at) {
            const auto view = [&](BufferId id) { return id >= 0 ? at.view(id) : View{}; };
            const auto leading = [&](BufferId id) { return id >= 0 ? at.rows(id, 0, rows) : View{}; };
            layer->backward(at.backend, {.terms = views(from, rows, at),
                                         .x = view(x),
                                         .y = view(y),
                                         .state = view(state),
                                         .activation = activation,
                                         .addend = leading(addend),
                                         .dx = leading(dx),
                                         .sinks = views(taps, at),
                                         .dgamma = leading(dgamma)});
        };
        plan_.add_step(std::move(step));
        if (dx >= 0) terms(node.inputs[0]).push_back(dx);
    }

    // What people call the place of a value: its node's name, a tap on it, or the kind of layer.
    std::string place(ValueId value) const {
        const Node& node = net_.nodes[static_cast<size_t>(value) - 1];
        if (!node.name.empty()) return node.name;
        for (const auto& [name, tap] : net_.taps)
            if (tap.value == value) return name;
        return node.layer->kind();
    }

    void summarise(double flops) {
        BackwardSummary summary{
            .cotangents = {}, .deepest = "image", .nodes_of_net = net_.logits(), .flops = flops};
        for (const Backward& pass : group_.losses()) summary.cotangents.push_back(pass.cotangent);
        if (!group_.combined.empty()) summary.class_rows = static_cast<int>(group_.passes.size());
        for (ValueId value = net_.logits(); value > 0; --value) {
            if (active(value) == 0) continue;
            ++summary.nodes;
            if (active(0) == 0) summary.deepest = place(value);
        }
        plan_.add_summary(std::move(summary));
    }
};

}  // namespace

BufferId emit_backward(PlanWriter& plan, const BackwardGroup& group, const ForwardBuffers& forward) {
    return BackwardEmitter(plan, group, forward).run();
}

}  // namespace gs
