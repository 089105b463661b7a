// NAC's published constants and search grids by net, and what other nets take (docs/methods/nac.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nets/net.h"
#include "scores/nac_thresholds.h"

namespace gs {

// A layer and its constants: the count O from which on a bin is covered, M thresholds, alpha the steepness of
// the sigmoid. Zeros where none are known.
struct NacLayer {
    std::string tap;
    int64_t o = 0, m = 0;
    double alpha = 0;
    bool operator==(const NacLayer&) const = default;
};

// The values of each constant that a search tries.
struct NacGrid {
    std::vector<int64_t> o, m;
    std::vector<double> alpha;
};

struct NacDefaults {
    bool published = false;  // for this net; else taken from the nearest one that is
    std::vector<NacLayer> layers;
    std::vector<NacGrid> grids;  // one a layer

    // Of a tap that need not be among the layers: without constants, and a wide grid.
    NacLayer layer(const std::string& tap) const;
    NacGrid grid(const std::string& tap) const;
};
NacDefaults nac_defaults(const Net& net, NacVariant variant);

}  // namespace gs
