// How far down the net each cotangent of a request goes, and which of them travel together.
#include <algorithm>
#include <optional>
#include <utility>

#include "core/join.h"
#include "passes/planner.h"

namespace gs {
namespace {

// More in one stack would cost memory and gain nothing.
constexpr size_t kMostStacked = 16;

using ValueSet = std::vector<bool>;  // by ValueId

// A gradient exists from the pooled features down: the seeds at the logits are closed forms.
void refuse_taps_at_logits(const Net& net, const Backward& pass) {
    for (const TapReduction& wanted : pass.gradients)
        if (net.tap(wanted.tap).value == net.logits())
            throw Error(ErrorKind::Usage, "layer '" + wanted.tap +
                                              "': gradients are taken at the pooled features '" + net.pooled +
                                              "' and before, not at the logits");
}

// The node whose parameter this is. Throws Error(Usage).
int node_of_parameter(const Net& net, const std::string& parameter) {
    for (size_t i = 0; i < net.nodes.size(); ++i)
        if (net.nodes[i].parameter(parameter)) return static_cast<int>(i);
    throw Error(ErrorKind::Usage, "'" + parameter + "': " + net.name + " has no such parameter");
}

// Where the gradient itself is read.
ValueSet wanted_values(const Net& net, const Backward& pass) {
    ValueSet wanted(net.nodes.size() + 1, false);
    for (const TapReduction& tap : pass.gradients) wanted[static_cast<size_t>(net.tap(tap.tap).value)] = true;
    for (const WeightNorm& norm : pass.weight_norms) {
        const int node = node_of_parameter(net, norm.parameter);
        if (node + 1 != net.logits()) wanted[static_cast<size_t>(node) + 1] = true;
    }
    wanted[0] = pass.input_gradient || !pass.second.empty();
    return wanted;
}

bool comes_through_logits(const Cotangent& cotangent) {
    return cotangent.kind != Cotangent::Kind::FeatureSum && cotangent.start().empty();
}

// The last layer's parameters have gradients of what the logits are differentiated for, alone.
void refuse_head_norms_of_features(const Net& net, const Backward& pass) {
    if (comes_through_logits(pass.cotangent)) return;
    for (const WeightNorm& norm : pass.weight_norms)
        if (node_of_parameter(net, norm.parameter) + 1 == net.logits())
            throw Error(ErrorKind::Usage,
                        to_string(pass.cotangent) + ": '" + norm.parameter +
                            "' has no gradient of it, which does not come through the logits");
}

// Values that `start` depends on, itself included.
ValueSet values_before(const Net& net, ValueId start) {
    ValueSet before(net.nodes.size() + 1, false);
    before[static_cast<size_t>(start)] = true;
    for (size_t i = net.nodes.size(); i-- > 0;)
        if (before[i + 1])
            for (const ValueId input : net.nodes[i].inputs) before[static_cast<size_t>(input)] = true;
    return before;
}

// Where a cotangent can join the stack: the rest of the net sees the image through this value alone.
void require_bottleneck(const Net& net, const Cotangent& cotangent, ValueId start) {
    for (int i = start; i < net.logits(); ++i)
        for (const ValueId input : net.nodes[static_cast<size_t>(i)].inputs)
            if (input < start)
                throw Error(ErrorKind::Usage, to_string(cotangent) +
                                                  ": a loss starts at the output of a stage (" +
                                                  join(net.stages) + ", " + net.pooled + ")");
}

struct Analysed {
    Backward pass;
    ValueId start = 0;
    ValueSet needed;  // the gradient is wanted there, or leads to one that is
    int64_t depth() const { return std::count(needed.begin(), needed.end(), true); }
};

Analysed analyse(const Net& net, Backward pass) {
    refuse_taps_at_logits(net, pass);
    refuse_head_norms_of_features(net, pass);
    const std::string tap = pass.cotangent.start();
    const ValueId start = tap.empty() ? net.logits() : net.tap(tap).value;
    require_bottleneck(net, pass.cotangent, start);
    ValueSet needed = wanted_values(net, pass);
    const ValueSet before = values_before(net, start);
    for (size_t v = 0; v < needed.size(); ++v)
        if (needed[v] && !before[v])
            throw Error(ErrorKind::Usage, to_string(pass.cotangent) + ": starts at '" + tap +
                                              "' and has no gradient behind it");
    for (size_t i = 0; i < net.nodes.size(); ++i)
        for (const ValueId input : net.nodes[i].inputs)
            if (needed[static_cast<size_t>(input)]) needed[i + 1] = true;
    for (size_t v = 0; v < needed.size(); ++v) needed[v] = needed[v] && before[v];
    return {std::move(pass), start, std::move(needed)};
}

bool contains(const ValueSet& all, const ValueSet& some) {
    for (size_t v = 0; v < all.size(); ++v)
        if (some[v] && !all[v]) return false;
    return true;
}

// Rows of a stack are its leading cotangents, at every value. From the logits all of them come down as far as
// the deepest; a cotangent that starts at a tap follows those that pass it on their way to whatever it needs
// itself.
bool stacks(const std::vector<Analysed>& group, const Analysed& next, const Net& net) {
    if (group.size() == kMostStacked) return false;
    const bool at_logits = group.front().start == net.logits();
    if (at_logits != (next.start == net.logits())) return false;
    return at_logits || std::all_of(group.begin(), group.end(), [&](const Analysed& before) {
               return contains(before.needed, next.needed);
           });
}

BackwardGroup stacked(std::vector<Analysed> members) {
    BackwardGroup group;
    group.active.assign(members.front().needed.size(), 0);
    for (size_t k = 0; k < members.size(); ++k) {
        for (size_t v = 0; v < group.active.size(); ++v)
            if (members[k].needed[v]) group.active[v] = static_cast<int>(k) + 1;
        group.starts.push_back(members[k].start);
        group.passes.push_back(std::move(members[k].pass));
    }
    return group;
}

// Squared norms of weights are all that is wanted, of a loss of the logits.
bool is_combination(const Backend& backend, const Net& net, const Backward& pass) {
    if (!comes_through_logits(pass.cotangent)) return false;
    if (!pass.gradients.empty() || !pass.second.empty() || pass.input_gradient) return false;
    return std::all_of(pass.weight_norms.begin(), pass.weight_norms.end(), [&](const WeightNorm& norm) {
        const Node& node = net.nodes[static_cast<size_t>(node_of_parameter(net, norm.parameter))];
        return norm.p == 2 && node.parameter(norm.parameter) == 0u && node.layer->combines_gradients(backend);
    });
}

// Backward passes with Gram matrices over backward passes with norms, as measured (docs/gradient-norms.md).
constexpr double kGramCost = 1.5;

// The gradient of any loss of the logits is a combination of theirs. Where there are more losses than classes
// the classes go down instead, and norms follow from the Gram matrices of their gradients. Takes the losses
// out of `all`.
std::optional<BackwardGroup> combined(const Backend& backend, const Net& net, std::vector<Analysed>& all) {
    const auto classes = static_cast<size_t>(net.head.classes);
    if (classes > kMostStacked || !backend.combines_weight_gradients()) return std::nullopt;
    const auto first = std::stable_partition(all.begin(), all.end(), [&](const Analysed& analysed) {
        return !is_combination(backend, net, analysed.pass);
    });
    Backward row;  // what any of them wants
    double cost = 0;
    for (auto it = first; it != all.end(); ++it) {
        row.weight_norms.insert(row.weight_norms.end(), it->pass.weight_norms.begin(),
                                it->pass.weight_norms.end());
        cost += static_cast<double>(it->depth());
    }
    const Analysed of_class = analyse(net, row);
    if (cost <= kGramCost * static_cast<double>(classes) * static_cast<double>(of_class.depth()))
        return std::nullopt;
    BackwardGroup group = stacked(std::vector(classes, of_class));
    for (auto it = first; it != all.end(); ++it) group.combined.push_back(std::move(it->pass));
    all.erase(first, all.end());
    return group;
}

}  // namespace

std::vector<BackwardGroup> analyse_backwards(const Backend& backend, const Net& net,
                                             std::vector<Backward> passes) {
    std::vector<Analysed> all;
    for (Backward& pass : passes)
        if (!pass.gradients.empty() || !pass.second.empty() || !pass.weight_norms.empty() ||
            pass.input_gradient)
            all.push_back(analyse(net, std::move(pass)));
    std::vector<BackwardGroup> groups;
    if (auto group = combined(backend, net, all)) groups.push_back(std::move(*group));
    // The last to start first; deepest first: where a cotangent has no business any more, the stack's leading
    // rows go on without it.
    std::stable_sort(all.begin(), all.end(), [](const Analysed& a, const Analysed& b) {
        return a.start != b.start ? a.start > b.start : a.depth() > b.depth();
    });
    std::vector<Analysed> open;
    for (Analysed& next : all) {
        if (!open.empty() && !stacks(open, next, net)) groups.push_back(stacked(std::exchange(open, {})));
        open.push_back(std::move(next));
    }
    if (!open.empty()) groups.push_back(stacked(std::move(open)));
    return groups;
}

const Node* recomputed_from(const Net& net, ValueId value) {
    if (value == 0) return nullptr;
    const Node& node = net.nodes[static_cast<size_t>(value) - 1];
    return node.layer->recomputes_output() ? &node : nullptr;
}

namespace {

void need_norm_input(const Net& net, ValueId value, ForwardNeeds& needs) {
    if (const Node* from = recomputed_from(net, value)) {
        needs.values.insert(from->inputs[0]);
        needs.states.insert(value - 1);
    } else {
        needs.values.insert(value);
    }
}

}  // namespace

void add_backward_needs(const Net& net, const BackwardGroup& group, ForwardNeeds& needs) {
    for (const Backward& pass : group.passes)
        if (const std::string tap = pass.cotangent.start(); !tap.empty())
            needs.activations.push_back({tap, Reduction::Mean});
    // The head's backward pass reads weights only; the walk starts at the pooled features.
    for (int i = 0; i + 1 < net.logits(); ++i) {
        const Node& node = net.nodes[static_cast<size_t>(i)];
        if (group.active[static_cast<size_t>(i) + 1] == 0) continue;
        const BackwardReads reads = node.layer->backward_reads(node.activation);
        if (reads.input) needs.values.insert(node.inputs[0]);
        if (wanted_norms(group, node).reads_input()) need_norm_input(net, node.inputs[0], needs);
        if (reads.output) needs.values.insert(i + 1);
        if (reads.state) needs.states.insert(i);
    }
}

}  // namespace gs
