// Options of NAC.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "scores/nac_published.h"
#include "scores/score.h"

namespace gs {

enum class NacKeep : uint8_t { Products, Histograms };

struct NacOptions {
    NacVariant variant = NacVariant::V15;
    std::vector<NacLayer> layers;
    int64_t images = 1000;  // of the fit, balanced over the classes; 0: all
    NacKeep keep = NacKeep::Products;
    std::string stats;                            // a statistics file; empty: that of --stats
    std::map<std::string, std::string> resolved;  // without stats

    std::vector<std::string> taps() const;
    std::string layer_names() const;  // "avgpool+layer3"
};

// What a fit does not keep it need not know: constants may stay zero there.
enum class NacConstants : uint8_t { Needed, Optional };

// Throws Error(Usage) for unknown options, layers the net does not have, values out of range, and constants
// that are neither given nor known.
NacOptions read_nac_options(const MethodSpec& spec, const Net& net, NacConstants constants);

std::string to_string(NacVariant variant);

}  // namespace gs
