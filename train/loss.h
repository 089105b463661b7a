// The losses of training and their gradients, on the host in float64: logits are few.
#pragma once

#include <cstdint>
#include <span>

#include "train/recipe.h"

namespace gs::train {

// Rows of logits: `labels.size()` labelled images, then auxiliary ones (EnergyMargins).
struct LossBatch {
    std::span<const float> logits;          // [rows][logit_count(recipe)]
    std::span<const int64_t> labels;        // 0 .. classes - 1
    std::span<const int64_t> other_labels;  // of mixup's partners; or empty: no mixup
    double lambda = 1;                      // share of `labels`, 1 - lambda of other_labels
    // What the batch means divide by; above the rows here where a batch comes in parts.
    int64_t labelled = 0, auxiliary = 0;
};

struct LossResult {
    double loss = 0;      // its part of the batch's loss; NaN and infinity pass through
    int64_t correct = 0;  // of `labels`, by the rule of the loss (MOS: the best class of the best group)
};

// The loss of the recipe, and its gradient with respect to the logits, overwritten. docs/training.md; the
// group softmax is large_scale_ood's, utils/test_utils.py.
LossResult loss_gradient(const Recipe& recipe, const LossBatch& batch, std::span<float> gradient);

// The loss alone, no mixup, no label smoothing; for evaluation.
LossResult evaluation_loss(const Recipe& recipe, std::span<const float> logits,
                           std::span<const int64_t> labels);

}  // namespace gs::train
