#include "scores/nac_state.h"

#include <algorithm>

#include "core/join.h"

namespace gs {
namespace {

// Part `i` of an option that holds one value a layer, or "".
std::string part(const std::string& option, size_t i) {
    const std::vector<std::string> parts = split(option, '+');
    return i < parts.size() ? parts[i] : std::string();
}

}  // namespace

std::string nac_fit_option(const FitState& state, const std::string& key) {
    const auto it = state.options.find(key);
    return it == state.options.end() ? "" : it->second;
}

const Array& nac_array(const FitState& state, const std::string& prefix, const std::string& tap,
                       const std::string& method) {
    const auto it = state.arrays.find(prefix + tap);
    if (it == state.arrays.end())
        throw Error(ErrorKind::Usage, "method '" + method + "': the statistics hold the layers " +
                                          nac_fit_option(state, "layers") + ", not '" + tap +
                                          "'; run gradscore fit with nac:layers=…");
    const auto& shape = it->second.shape;
    if (shape.size() != 2 || shape[0] < 1 || shape[1] < 1 ||
        static_cast<size_t>(shape[0] * shape[1]) != it->second.as<float>().size())
        throw Error(ErrorKind::Data,
                    "method '" + method + "': the statistics of layer '" + tap + "' are of no image");
    return it->second;
}

bool nac_histograms_serve(const FitState& state, const NacOptions& options, size_t layer) {
    const std::vector<std::string> layers = split(nac_fit_option(state, "layers"), '+');
    const auto at = static_cast<size_t>(std::find(layers.begin(), layers.end(), options.layers[layer].tap) -
                                        layers.begin());
    const auto same = [&](const char* key) {
        return part(nac_fit_option(state, key), at) == part(options.resolved.at(key), layer);
    };
    return nac_fit_option(state, "variant") == to_string(options.variant) && same("M") && same("alpha");
}

const FitState& find_nac_fit(StatisticsStore& statistics, const MethodSpec& spec, const NacOptions& options) {
    std::map<std::string, std::string> wanted;
    for (const std::string key : {"images", "keep"})
        if (spec.options.contains(key)) wanted[key] = spec.options.at(key);
    const auto suits = [&](const FitState& state) {
        const std::vector<std::string> layers = split(nac_fit_option(state, "layers"), '+');
        for (size_t l = 0; l < options.layers.size(); ++l) {
            const bool held = std::find(layers.begin(), layers.end(), options.layers[l].tap) != layers.end();
            if (!held) return 0;
            if (nac_fit_option(state, "keep") == "histogram" && !nac_histograms_serve(state, options, l))
                return 0;
        }
        return layers.size() == options.layers.size() ? 2 : 1;
    };
    return statistics.find(spec, options.stats, wanted, suits);
}

}  // namespace gs
