#include "scores/nac_options.h"

#include <algorithm>
#include <array>

#include "core/join.h"
#include "scores/options.h"

namespace gs {
namespace {

// "avgpool" is the pooled features on every net.
std::vector<std::string> read_taps(const std::string& text, const Net& net, const std::string& method) {
    std::vector<std::string> taps;
    for (std::string tap : split(text, '+')) {
        if (tap == "avgpool") tap = net.pooled;
        net.tap(tap);
        if (std::find(taps.begin(), taps.end(), tap) != taps.end())
            throw Error(ErrorKind::Usage, "method '" + method + "': layer '" + tap + "' twice");
        taps.push_back(tap);
    }
    return taps;
}

template <class T>
std::vector<T> each(const std::vector<NacLayer>& layers, T NacLayer::*constant) {
    std::vector<T> values;
    for (const NacLayer& layer : layers) values.push_back(layer.*constant);
    return values;
}

void read_constants(OptionReader& reader, std::vector<NacLayer>& layers) {
    constexpr double kLargestAlpha = 1e30;
    constexpr int64_t kLargestO = 65535;  // scores/nac_coverage.h
    const auto o = reader.whole_numbers("O", each(layers, &NacLayer::o), 1, kLargestO);
    const auto m = reader.whole_numbers("M", each(layers, &NacLayer::m), 2, NacThresholds::kMost);
    const auto alpha = reader.numbers("alpha", each(layers, &NacLayer::alpha), 0, kLargestAlpha);
    for (size_t i = 0; i < layers.size(); ++i) layers[i] = {layers[i].tap, o[i], m[i], alpha[i]};
}

void require_constants(const std::vector<NacLayer>& layers, const MethodSpec& spec) {
    for (const NacLayer& layer : layers)
        if (layer.o == 0 || layer.m == 0 || layer.alpha == 0)
            throw Error(ErrorKind::Usage, "method '" + spec.written + "': nothing is known for layer '" +
                                              layer.tap +
                                              "': give O, M and alpha, or let gradscore search find them");
}

}  // namespace

std::string to_string(NacVariant variant) {
    return variant == NacVariant::V1 ? "v1" : "v15";
}

std::vector<std::string> NacOptions::taps() const {
    return each(layers, &NacLayer::tap);
}

std::string NacOptions::layer_names() const {
    return join(taps(), "+");
}

NacOptions read_nac_options(const MethodSpec& spec, const Net& net, NacConstants constants) {
    static constexpr std::array<std::string_view, 2> kVariants{"v15", "v1"}, kKeeps{"states", "histogram"};
    OptionReader reader(spec);
    NacOptions options;
    options.variant = reader.choice("variant", "v15", kVariants) == "v1" ? NacVariant::V1 : NacVariant::V15;
    const NacDefaults defaults = nac_defaults(net, options.variant);
    const std::string names = reader.text("layers", join(defaults.layers, "+", &NacLayer::tap));
    for (const std::string& tap : read_taps(names, net, spec.written))
        options.layers.push_back(defaults.layer(tap));
    read_constants(reader, options.layers);
    options.images = reader.whole_number("images", 1000, 0, int64_t{1} << 40);
    options.keep =
        reader.choice("keep", "states", kKeeps) == "states" ? NacKeep::Products : NacKeep::Histograms;
    options.stats = reader.text("stats", "");
    options.resolved = reader.finish();
    options.resolved.erase("stats");
    options.resolved["layers"] = options.layer_names();
    if (constants == NacConstants::Needed) {
        require_constants(options.layers, spec);
        const bool same =
            std::all_of(options.layers.begin(), options.layers.end(),
                        [&](const NacLayer& layer) { return layer == defaults.layer(layer.tap); });
        options.resolved["constants"] = !same ? "given" : defaults.published ? "published" : "extension";
    }
    return options;
}

}  // namespace gs
