// The weights a run starts with.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "nets/architecture.h"
#include "nets/weight_reader.h"
#include "train/recipe.h"
#include "weights/weight_file.h"

namespace gs::train {

// Sizes of the recipe's net: those of the file's, which must be the recipe's, or without a file those of the
// published name; logit_count(recipe) classes. A recipe's net "auto" takes what the file holds. Throws
// Error(Usage) for an unknown name and for dropout where the net has none, Error(Weights) where the file
// holds another net, or other classes and the recipe does not start with a new head.
Architecture starting_architecture(const Recipe& recipe, const WeightFile* file);

// Gives every tensor of the net by name and shape: from the file (`reader` is its), or drawn.
//   convolutions  N(0, 2 / (kernel^2 * outputs))   energy_ood CIFAR/models/wrn.py, torchvision's fan_out
//                 uniform within 1 / sqrt(inputs * kernel^2)   CIFAR ResNets and BiT, as PyTorch's Conv2d
//   last layer    uniform within 1 / sqrt(inputs), as PyTorch's Linear; bias 0; both 0 with zero_head
//   norms         gamma 1, beta 0, running mean 0, running variance 1
WeightReader::Source starting_weights(const Recipe& recipe, const Architecture& architecture,
                                      WeightReader* reader);

}  // namespace gs::train
