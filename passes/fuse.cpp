#include "passes/fuse.h"

#include "layers/norm.h"
#include "layers/pointwise.h"

namespace gs {
namespace {

// Merges each activation into the node that computes its input, where that node can and nobody else reads the
// value.
Net fuse_activations(const Net& net, const std::set<std::string>& keep_apart) {
    const std::vector<int> readers = reader_counts(net);
    std::set<ValueId> apart;
    for (const std::string& name : keep_apart) apart.insert(net.tap(name).value);

    Net fused = net;
    fused.nodes.clear();
    std::vector<ValueId> renamed(net.nodes.size() + 1, 0);  // old value -> new value
    std::vector<bool> swallowed(net.nodes.size() + 1, false);
    for (size_t i = 0; i < net.nodes.size(); ++i) {
        Node node = net.nodes[i];
        const auto old_input = static_cast<size_t>(node.inputs[0]);
        for (ValueId& input : node.inputs) input = renamed[static_cast<size_t>(input)];
        const auto* relu = dynamic_cast<const Relu*>(node.layer.get());
        Node* before = relu != nullptr && old_input > 0
                           ? &fused.nodes[static_cast<size_t>(node.inputs[0]) - 1]
                           : nullptr;
        const bool merges = before != nullptr && before->layer->fuses_activation() &&
                            before->activation == Activation::None && readers[old_input] == 1 &&
                            !apart.contains(static_cast<ValueId>(old_input));
        if (merges) {
            before->activation = relu->activation();
            swallowed[old_input] = true;
            renamed[i + 1] = node.inputs[0];
        } else {
            fused.nodes.push_back(std::move(node));
            renamed[i + 1] = static_cast<ValueId>(fused.nodes.size());
        }
    }
    for (auto& [name, tap] : fused.taps) {
        const auto old = static_cast<size_t>(tap.value);
        tap = {renamed[old], tap.before_activation || swallowed[old]};
    }
    return fused;
}

// A residual add whose sum a group norm reads leaves that norm's statistics in the same sweep.
void fuse_statistics(Net& net) {
    for (size_t i = 0; i < net.nodes.size(); ++i) {
        const Node& norm = net.nodes[i];
        if (dynamic_cast<const GroupNorm*>(norm.layer.get()) == nullptr || norm.inputs[0] == 0) continue;
        Node& before = net.nodes[static_cast<size_t>(norm.inputs[0]) - 1];
        if (dynamic_cast<const Add*>(before.layer.get()) != nullptr &&
            before.activation == Activation::None && before.stats_of < 0)
            before.stats_of = static_cast<int>(i);
    }
}

}  // namespace

Net fuse(const Net& net, const FuseOptions& options) {
    if (!options.enabled) return net;
    Net fused = fuse_activations(net, options.keep_apart);
    fuse_statistics(fused);
    return fused;
}

}  // namespace gs
