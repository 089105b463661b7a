// Merging nodes of a net's list: activations into the layer before them, group statistics into the residual
// add before the norm. A pass over the list; the net computes the same numbers with and without it.
#pragma once

#include <set>
#include <string>

#include "nets/net.h"

namespace gs {

struct FuseOptions {
    bool enabled = true;               // --no-fuse
    std::set<std::string> keep_apart;  // taps whose activation is read: nothing is fused behind them
};

// Taps keep their meaning: a tap on a layer's output before the activation becomes a gradient-only tap of the
// merged node (Tap::before_activation).
Net fuse(const Net& net, const FuseOptions& options = {});

}  // namespace gs
