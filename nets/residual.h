// Post-activation residual stages, shared by torchvision's and the CIFAR ResNets.
#pragma once

#include <string>

#include "nets/builder.h"

namespace gs {

// 3x3 (stride) and 3x3, each with its norm; no activation behind the second.
ValueId basic_branch(NetBuilder& net, ValueId x, const std::string& name, int64_t out, int64_t stride);

// relu(branch(x) + shortcut(x)) in stages layer1, layer2 …, width doubled and stride 2 from the second on.
// Where shape changes the shortcut is a 1x1 convolution with a norm, NAME.0 and NAME.1 of `shortcut`.
ValueId residual_stages(NetBuilder& net, ValueId x, const Architecture& architecture,
                        const std::string& shortcut);

}  // namespace gs
