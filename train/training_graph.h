// A net's list of nodes as training runs it, and which of its parameters learn.
#pragma once

#include <string>

#include "nets/net.h"
#include "train/recipe.h"

namespace gs::train {

// Merges activations into the layers before them (passes/fuse.h), and residual adds into the batch norm of
// one of their branches: that node then has two inputs, y = act(norm(x0) + x1).
Net fuse_for_training(const Net& net);

// Whether the recipe trains the parameter of this name (open_blocks). Throws Error(Usage) where the net has
// no such blocks.
bool is_trained(const Recipe& recipe, const Net& net, const std::string& parameter);

}  // namespace gs::train
