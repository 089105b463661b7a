#include "scores/weight_selection.h"

#include <algorithm>
#include <set>

#include "core/join.h"

namespace gs {
namespace {

bool is_chosen(const Net& net, const std::string& weight, const std::string& selector) {
    if (selector == "all") return true;
    if (selector == "head") return weight == net.nodes.back().weight;
    std::vector<std::string> prefixes = {selector};
    if (selector.starts_with("block"))
        for (const char* kind : {"body.block", "layer", "features."})
            prefixes.push_back(kind + selector.substr(5));
    return std::any_of(prefixes.begin(), prefixes.end(),
                       [&](const std::string& prefix) { return weight.starts_with(prefix + "."); });
}

}  // namespace

std::vector<std::string> select_weights(const Net& net, const std::string& layers,
                                        const std::string& method) {
    std::set<std::string> chosen;
    for (const std::string& selector : split(layers, '+')) {
        bool any = false;
        for (const Node& node : net.nodes) {
            if (node.weight.empty() || !is_chosen(net, node.weight, selector)) continue;
            chosen.insert(node.weight);
            any = true;
        }
        if (!any)
            throw Error(ErrorKind::Usage,
                        "method '" + method + "': layers=" + selector + " names no weight of " + net.name);
    }
    std::vector<std::string> weights;
    for (const Node& node : net.nodes)
        if (chosen.contains(node.weight)) weights.push_back(node.weight);
    return weights;
}

}  // namespace gs
