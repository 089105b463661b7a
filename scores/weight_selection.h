// The parameters that `layers=` and `params=` of a method name.
#pragma once

#include <string>
#include <vector>

#include "nets/net.h"
#include "scores/options.h"

namespace gs {

// Option `params` (docs/methods/gradnorm.md): convolution and linear weights; gamma and beta of the norms
// with them; all biases too.
enum class Params : uint8_t { Weights, WeightsAndNorms, All };
Params read_params(OptionReader& reader);

// The parameters of these kinds in `layers`: all, head, block1 … (BiT's blocks, ResNets' layers, WideResNet's
// blocks, MobileNet's features), a module's name, or several joined by '+'. In the net's order, each once.
// Throws Error(Usage) naming `method` (as written) where a part names none.
std::vector<std::string> select_parameters(const Net& net, const std::string& layers, Params params,
                                           const std::string& method);

// Option p of a norm over them, (sum |g|^p)^(1/p): from 0.1 to 4, or inf. Beyond, float32 sums (PowerSum,
// core/backend.h) overflow or vanish for gradients that occur. Throws Error(Usage).
double read_exponent(OptionReader& reader, double fallback);

}  // namespace gs
