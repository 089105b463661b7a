// The learning rate of every step.
#pragma once

#include <cstdint>

#include "train/recipe.h"

namespace gs::train {

// Of step 0, 1, …, steps - 1 of a resolved recipe. Below `warmup` lr * step / warmup, so 0 at step 0; then
//   Staircase  lr / 10^k, k the drops strictly below the step     BiT bit_hyperrule.py get_lr
//   Cosine     floor + (lr - floor) (1 + cos(pi s / steps)) / 2, s = min(step + cosine_ahead, steps)
//              energy_ood CIFAR/train.py, whose scheduler moves before the first step: cosine_ahead 1
double learning_rate(const Recipe& recipe, int64_t step);

}  // namespace gs::train
