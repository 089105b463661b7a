#include "train/training_graph.h"

#include <algorithm>
#include <optional>

#include "layers/pointwise.h"
#include "layers/training.h"
#include "passes/fuse.h"

namespace gs::train {
namespace {

// The input of an add that is a batch norm's output which nobody else reads.
std::optional<size_t> norm_input(const Net& net, const Node& add, const std::vector<int>& readers) {
    if (dynamic_cast<const Add*>(add.layer.get()) == nullptr) return std::nullopt;
    for (size_t k = 0; k < 2; ++k) {
        const ValueId value = add.inputs[k];
        if (value == 0 || readers[static_cast<size_t>(value)] != 1) continue;
        const Node& before = net.nodes[static_cast<size_t>(value) - 1];
        if (before.activation == Activation::None && before.inputs.size() == 1 &&
            dynamic_cast<const BatchNorm*>(before.layer.get()) != nullptr)
            return k;
    }
    return std::nullopt;
}

// net without the nodes that were merged into others; values are renamed.
Net without(const Net& net, const std::vector<bool>& merged) {
    Net kept = net;
    kept.nodes.clear();
    kept.taps.clear();  // nobody reads taps in training
    std::vector<ValueId> renamed(net.nodes.size() + 1, 0);
    for (size_t i = 0; i < net.nodes.size(); ++i) {
        if (merged[i]) continue;
        Node node = net.nodes[i];
        for (ValueId& input : node.inputs) input = renamed[static_cast<size_t>(input)];
        node.stats_of = -1;
        kept.nodes.push_back(std::move(node));
        renamed[i + 1] = static_cast<ValueId>(kept.nodes.size());
    }
    return kept;
}

}  // namespace

Net fuse_for_training(const Net& net) {
    Net fused = fuse(net);
    const std::vector<int> readers = reader_counts(fused);
    std::vector<bool> merged(fused.nodes.size(), false);
    for (Node& add : fused.nodes) {
        const auto k = norm_input(fused, add, readers);
        if (!k) continue;
        const auto at = static_cast<size_t>(add.inputs[*k]) - 1;
        Node joined = fused.nodes[at];
        joined.inputs.push_back(add.inputs[1 - *k]);
        joined.activation = add.activation;
        merged[at] = true;
        add = std::move(joined);
    }
    return without(fused, merged);
}

bool is_trained(const Recipe& recipe, const Net& net, const std::string& parameter) {
    if (recipe.open_blocks < 0) return true;
    if (parameter.starts_with(net.architecture.head + ".")) return true;
    if (recipe.open_blocks == 0) return false;
    const auto blocks = static_cast<int64_t>(net.architecture.units.size());
    if (net.architecture.family != Family::ResNetV2 || recipe.open_blocks > blocks)
        throw Error(ErrorKind::Usage,
                    "--open-blocks " + std::to_string(recipe.open_blocks) + ": " + net.name +
                        (net.architecture.family == Family::ResNetV2
                             ? " has " + std::to_string(blocks) + " blocks"
                             : " can be trained as a whole (-1) or its head alone (0); blocks open one by "
                               "one in BiT nets only"));
    if (parameter.starts_with("before_head.")) return true;
    // large_scale_ood finetune.py: the norm that reads the last closed block's output stays closed, too.
    const int64_t first = blocks - recipe.open_blocks + 1;
    if (parameter.starts_with("body.block" + std::to_string(first) + ".unit01.gn1.")) return false;
    for (int64_t b = first; b <= blocks; ++b)
        if (parameter.starts_with("body.block" + std::to_string(b) + ".")) return true;
    return false;
}

}  // namespace gs::train
