// The weights that `layers=` of a method names.
#pragma once

#include <string>
#include <vector>

#include "nets/net.h"

namespace gs {

// `layers`: all, head, block1 … (BiT's blocks, ResNets' layers, WideResNet's blocks, MobileNet's features), a
// module's name, or several joined by '+'. Convolution and linear weights in the net's order, each once.
// Throws Error(Usage) naming `method` (as written) where a part names none.
std::vector<std::string> select_weights(const Net& net, const std::string& layers, const std::string& method);

}  // namespace gs
