// The activation behind a convolution that does not apply it itself.
#pragma once

#include "cpu/context.h"

namespace gs::cpu {

// y = activation(x), alike; y may be x. NaN stays, as in PyTorch.
void activate(const Context& context, View x, Activation activation, View y);

}  // namespace gs::cpu
