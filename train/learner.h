// Steps of the optimiser on a net in training: passes over batches, the loss, the update.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "train/loss.h"
#include "train/parameters.h"
#include "train/training_pass.h"

namespace gs::train {

// Image i becomes lambda * image i + (1 - lambda) * image partners[i]; the loss is mixed alike.
struct Mixup {
    double lambda = 1;
    std::vector<int64_t> partners;
};
// That of a step: lambda ~ Beta(alpha, alpha), partners a random order (large_scale_ood
// utils/finetune_utils.py mixup_data). Nothing where the recipe has none.
std::optional<Mixup> draw_mixup(const Recipe& recipe, int64_t step, int64_t images);

struct TrainBatch {
    std::span<const float> pixels{};  // [n][h][w][3], normalised
    int64_t n = 0, h = 0, w = 0;
    std::span<const int64_t> labels{};  // of the first labels.size() images; those behind are auxiliary
    bool is_mixed = false;              // the pixels are: mixup is left to the loss
};

// Images [first, first + count) of the batch: mixed in `scratch`, or the batch's own pixels where there is
// nothing to mix.
std::span<const float> mixed_images(const TrainBatch& batch, const std::optional<Mixup>& mixup, int64_t first,
                                    int64_t count, std::vector<float>& scratch);

struct StepResult {
    double loss = 0;      // of the batch, before the update
    int64_t correct = 0;  // of its labelled images (with mixup: by `labels`)
    double learning_rate = 0;
};

class Learner {
  public:
    // net: of fuse_for_training.
    Learner(Backend& backend, Net net, const Recipe& recipe, std::span<const Array> initial,
            size_t memory_bytes);

    // Contract: Trainer::step. The batch's pixels are [n][h][w][channels of the net's input].
    StepResult step(const TrainBatch& batch, const std::optional<Mixup>& mixup);

    void skip_step() { ++steps_done_; }
    // Throws as a step on such a batch would.
    void check_size(const Shape& batch) { pass(whole_batches_ ? batch : batch.with_n(1)); }
    // Images that a step on such images needs: two where a batch norm sees them as one value a channel.
    int64_t least_images(const Shape& image) const;
    int64_t steps_done() const { return steps_done_; }
    // Parameters that learn and running statistics.
    std::vector<Array> values() const;
    std::vector<Array> momentum() const { return parameters_.momentum(); }
    // All arrays must be there.
    void restore(std::span<const Array> values, std::span<const Array> momentum, int64_t steps_done);

  private:
    Backend& backend_;
    Net net_;
    Recipe recipe_;
    Parameters parameters_;
    size_t memory_bytes_;
    bool whole_batches_;  // batch norm: a batch cannot come in parts
    int64_t steps_done_ = 0;
    std::optional<TrainingPass> pass_;
    Shape pass_shape_;
    Shape measured_;                                 // an image's, and
    size_t image_bytes_ = 0;                         // what a pass over it keeps
    std::vector<float> pixels_, logits_, gradient_;  // of a part, on the host
    std::vector<int64_t> other_labels_;              // of a part

    void check(const TrainBatch& batch, const std::optional<Mixup>& mixup) const;
    // By the images' size and the memory alone: of the batches before, a resumed run knows nothing.
    int64_t part_size(const Shape& batch);
    TrainingPass& pass(const Shape& shape);
    // Images [first, first + count): both passes, and their part of the loss.
    LossResult run_part(const TrainBatch& batch, const std::optional<Mixup>& mixup, int64_t first,
                        int64_t count, Grad mode);
    LossResult part_loss(const TrainBatch& batch, const std::optional<Mixup>& mixup, int64_t first,
                         int64_t count);
};

}  // namespace gs::train
