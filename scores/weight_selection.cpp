#include "scores/weight_selection.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <set>

#include "core/join.h"
#include "core/numbers.h"

namespace gs {
namespace {

bool is_below(const Net& net, const std::string& parameter, const std::string& selector) {
    if (selector == "all") return true;
    if (selector == "head") return net.nodes.back().parameter(parameter).has_value();
    std::vector<std::string> prefixes = {selector};
    if (selector.starts_with("block"))
        for (const char* kind : {"body.block", "layer", "features."})
            prefixes.push_back(kind + selector.substr(5));
    return std::any_of(prefixes.begin(), prefixes.end(),
                       [&](const std::string& prefix) { return parameter.starts_with(prefix + "."); });
}

// Names of the net's parameters of these kinds, in its order.
std::vector<std::string> parameters_of(const Net& net, Params params) {
    std::vector<std::string> names;
    for (const Node& node : net.nodes) {
        const std::vector<Parameter> described = node.layer->parameters();
        for (size_t i = 0; i < node.parameters.size(); ++i) {
            const Parameter::Kind kind = described.at(i).kind;
            const bool norm = kind == Parameter::Kind::Gamma || kind == Parameter::Kind::Beta;
            if (kind == Parameter::Kind::Weight || params == Params::All ||
                (norm && params == Params::WeightsAndNorms))
                names.push_back(node.parameters[i]);
        }
    }
    return names;
}

constexpr std::string_view kParams[] = {"weights", "weights+norm", "all"};  // in the order of Params

}  // namespace

Params read_params(OptionReader& reader) {
    const std::string chosen = reader.choice("params", std::string(kParams[0]), kParams);
    return static_cast<Params>(std::find(std::begin(kParams), std::end(kParams), chosen) -
                               std::begin(kParams));
}

std::vector<std::string> select_parameters(const Net& net, const std::string& layers, Params params,
                                           const std::string& method) {
    const std::vector<std::string> all = parameters_of(net, params);
    std::set<std::string> chosen;
    for (const std::string& selector : split(layers, '+')) {
        bool any = false;
        for (const std::string& name : all) {
            if (!is_below(net, name, selector)) continue;
            chosen.insert(name);
            any = true;
        }
        if (!any)
            throw Error(ErrorKind::Usage, "method '" + method + "': layers=" + selector + " names no " +
                                              (params == Params::Weights ? "weight" : "parameter") + " of " +
                                              net.name);
    }
    std::vector<std::string> names;
    std::copy_if(all.begin(), all.end(), std::back_inserter(names),
                 [&](const std::string& name) { return chosen.contains(name); });
    return names;
}

double read_exponent(OptionReader& reader, double fallback) {
    const double p = reader.number("p", fallback, 0, std::numeric_limits<double>::infinity());
    if (!std::isinf(p) && !(p >= 0.1 && p <= 4))
        reader.fail("p=" + shortest(p) + " is out of range (0.1 to 4, or inf)");
    return p;
}

}  // namespace gs
