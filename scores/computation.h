// What a net's numbers depend on, images apart. Fits, searches, thresholds and arrays are used by
// computations that agree in it with the one that made them.
#pragma once

#include <string>

#include "data/image.h"
#include "nets/net.h"

namespace gs {

struct Computation {
    std::string weights_sha256;
    std::string net;                // Net::name, which says what of the architecture was given by hand
    std::string preprocess;         // Preprocess::describe()
    std::string precision = "f32";  // as in results.json
    auto operator<=>(const Computation&) const = default;
};

inline Computation computation_of(const Net& net, const Preprocess& preprocess,
                                  const std::string& precision = "f32") {
    return {net.weights_sha256, net.name, preprocess.describe(), precision};
}

}  // namespace gs
