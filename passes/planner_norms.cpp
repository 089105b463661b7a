// Per-sample norms of parameter gradients, where a node's joined gradient is at hand.
#include <algorithm>
#include <map>

#include "passes/planner.h"

namespace gs {

WantedNorms wanted_norms(const BackwardGroup& group, const Node& node) {
    WantedNorms wanted;
    if (node.parameters.empty()) return wanted;
    const std::vector<Parameter> described = node.layer->parameters();
    for (const Backward& pass : group.passes)
        for (const WeightNorm& norm : pass.weight_norms)
            if (const auto index = node.parameter(norm.parameter)) {
                const Parameter::Kind kind = described.at(*index).kind;
                wanted.weight = wanted.weight || kind == Parameter::Kind::Weight;
                wanted.gamma = wanted.gamma || kind == Parameter::Kind::Gamma;
                wanted.sums = wanted.sums || kind != Parameter::Kind::Weight;
            }
    return wanted;
}

namespace {

// Extra outputs may take this much of the memory that is kept in any case.
constexpr double kExtraMemory = 0.05;

double bytes_of(const PlanWriter& plan, ValueId value) {
    return static_cast<double>(plan.shape(value).size()) * static_cast<double>(size_of(plan.type(value)));
}

// The squared norm of the weight, from the joined gradient as it leaves the node, and nothing besides.
bool wants_squares_alone(const BackwardGroup& group, const Node& node) {
    const WantedNorms wanted = wanted_norms(group, node);
    if (!wanted.weight || wanted.sums || node.activation != Activation::None) return false;
    return std::all_of(group.passes.begin(), group.passes.end(), [&](const Backward& pass) {
        return std::all_of(pass.weight_norms.begin(), pass.weight_norms.end(), [&](const WeightNorm& norm) {
            return !node.parameter(norm.parameter) || norm.p == 2;
        });
    });
}

}  // namespace

void add_norm_outputs(PlanWriter& plan, BackwardGroup& group, ForwardNeeds& needs) {
    double spare = 0;
    for (const ValueId value : needs.values) spare += kExtraMemory * bytes_of(plan, value);
    // The deepest maps are the smallest, and their products the ones that a Gram matrix saves most of.
    for (int i = plan.net().logits() - 1; i-- > 0;) {
        const Node& node = plan.net().nodes[static_cast<size_t>(i)];
        if (group.active[static_cast<size_t>(i) + 1] == 0 || !wants_squares_alone(group, node) ||
            !node.layer->norms_read_output(plan.backend(), plan.shape(node.inputs[0])))
            continue;
        if (!needs.values.contains(i + 1)) {
            const double bytes = bytes_of(plan, i + 1);
            if (bytes > spare) continue;
            spare -= bytes;
            needs.values.insert(i + 1);
        }
        group.outputs_read.insert(i);
    }
}

namespace {

using NormBuffers = std::map<double, BufferId>;  // by exponent

// Cotangents [begin, end) from the first to the last that wants a norm of the node.
struct Wanting {
    int begin = 0, end = 0;
};
Wanting wanting(const std::vector<Backward>& losses, const Node& node, const GradientSources& from) {
    Wanting found{from.first + from.count, from.first};
    for (int k = from.first; k < from.first + from.count; ++k) {
        const auto& norms = losses[static_cast<size_t>(k)].weight_norms;
        if (std::none_of(norms.begin(), norms.end(),
                         [&](const WeightNorm& norm) { return node.parameter(norm.parameter); }))
            continue;
        found = {std::min(found.begin, k), k + 1};
    }
    return found;
}

// All parameters and exponents in one step: they share sums and products.
void add_step(PlanWriter& plan, int index, const GradientSources& from, const Wanting& wanted,
              const std::vector<NormBuffers>& outs) {
    const Node& node = plan.net().nodes[static_cast<size_t>(index)];
    const BufferId x = from.x, y = from.y, coefficients = from.coefficients;
    Step step{.phase = Step::Phase::Backward,
              .what = "gradient norms of " + node.layer->kind() + " " + node.name};
    for (const BufferId id : {x, y, from.delta, from.sums, from.gamma, coefficients})
        if (id >= 0) step.reads.push_back(id);
    const int skipped = wanted.begin - from.first, count = wanted.end - wanted.begin;
    if (x >= 0) step.flops = plan.flops(index) * (coefficients >= 0 ? plan.copies(from.delta) : count);
    // One list a parameter; a run fills in where its buffers are.
    std::vector<std::vector<PowerSum>> sums(outs.size());
    for (size_t i = 0; i < outs.size(); ++i)
        for (const auto& [p, out] : outs[i]) {
            sums[i].push_back({.p = p});
            step.writes.push_back(out);
        }
    step.run = [=, layer = node.layer.get(),
                lists = std::vector<std::span<const PowerSum>>(outs.size())](const StepContext& at) mutable {
        const auto all = [&](BufferId id) { return id >= 0 ? at.view(id) : View{}; };
        const auto rows = [&](BufferId id) { return id >= 0 ? at.rows(id, skipped, count) : View{}; };
        for (size_t i = 0; i < outs.size(); ++i) {
            auto sum = sums[i].begin();
            for (const auto& [p, out] : outs[i]) (sum++)->out = at.view(out);
            lists[i] = sums[i];
        }
        layer->gradient_norms(at.backend, {.x = all(x),
                                           .dy = coefficients >= 0 ? all(from.delta) : rows(from.delta),
                                           .beta = rows(from.sums),
                                           .gamma = rows(from.gamma),
                                           .y = all(y),
                                           .coefficients = rows(coefficients),
                                           .norms = lists});
    };
    plan.add_step(std::move(step));
}

}  // namespace

void emit_gradient_norms(PlanWriter& plan, const std::vector<Backward>& losses, int index,
                         const GradientSources& from) {
    const Node& node = plan.net().nodes[static_cast<size_t>(index)];
    const Wanting wanted_by = wanting(losses, node, from);
    if (wanted_by.begin >= wanted_by.end) return;
    std::vector<NormBuffers> made(node.parameters.size());
    for (int k = wanted_by.begin; k < wanted_by.end; ++k) {
        const Backward& pass = losses[static_cast<size_t>(k)];
        for (const WeightNorm& wanted : pass.weight_norms) {
            const auto parameter = node.parameter(wanted.parameter);
            if (!parameter) continue;
            const auto [it, is_new] = made[*parameter].try_emplace(wanted.p, -1);
            if (is_new)
                it->second = plan.new_buffer({1, 1, 1, 1}, DType::F32, wanted_by.end - wanted_by.begin);
            plan.add_output(it->second, k - wanted_by.begin,
                            [key = std::pair(pass.cotangent, wanted)](Evidence& e) -> Matrix& {
                                return e.weight_norms[key];
                            });
        }
    }
    add_step(plan, index, from, wanted_by, made);
}

}  // namespace gs
