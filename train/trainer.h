// Trains a net by a recipe, a batch a step. What it does depends on weights, recipe, batches and the number
// of steps before alone: a run that is restored continues to the same bits (on one machine, with as many
// threads; on a GPU with CudaOptions::deterministic).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "passes/executor.h"
#include "train/array.h"
#include "train/learner.h"
#include "train/recipe.h"

namespace gs::train {

struct TrainerOptions {
    // Nets without batch norm take a batch in parts, whose activations stay below this; gradients are summed.
    size_t memory_bytes = size_t{4} << 30;
};

class Trainer {
  public:
    // recipe: resolved, so that its steps are above 0. weights: null starts at random. Neither is read later;
    // backend must outlive this. Throws Error(Usage) and Error(Weights) for recipes and weights that do not
    // fit (train/start.h, train/training_graph.h) or values that are not finite.
    Trainer(Backend& backend, const WeightFile* weights, const Recipe& recipe,
            const TrainerOptions& options = {});

    const Architecture& architecture() const { return architecture_; }

    // One step of the optimiser. The recipe's mixup is drawn from its seed and the step, or is the one given,
    // which may be none. Throws Error(Data) for a label that is no class, or where the loss is not finite:
    // the weights and their momentum are then those before the step, running statistics are not.
    StepResult step(const TrainBatch& batch);
    StepResult step(const TrainBatch& batch, const std::optional<Mixup>& mixup);
    // Throws Error(Data) as steps on images of this size would, where they do not fit.
    void check_size(int64_t n, int64_t h, int64_t w);
    // Images that a step on images of this size needs: two where they reach a batch norm as one value a
    // channel.
    int64_t least_images(int64_t h, int64_t w) const { return learner_->least_images({1, h, w, 3}); }
    // A step whose images cannot be used: it counts, and nothing moves.
    void skip_step() { learner_->skip_step(); }
    int64_t steps_done() const { return learner_->steps_done(); }

    // In evaluation mode, with the running statistics: the loss is a mean over the images, without mixup,
    // label smoothing and auxiliary images.
    LossResult evaluate(std::span<const float> pixels, int64_t n, int64_t h, int64_t w,
                        std::span<const int64_t> labels);

    // Where the head alone learns (open_blocks 0) its input never changes. features(): [n][feature_count()];
    // step_on_features() is step() with those in place of images (h = w = 1, pixels [n][feature_count()]),
    // and mixup mixes the features. GS_REQUIRE open_blocks == 0.
    bool trains_head_only() const { return head_only_; }
    int64_t feature_count() const;
    std::vector<float> features(std::span<const float> pixels, int64_t n, int64_t h, int64_t w);
    StepResult step_on_features(const TrainBatch& batch);

    // All of the net's, as a weight file of the reference has them (BiT: the names of the .pth.tar), without
    // BatchNorm's counters.
    std::vector<Array> weights() const;
    // Momentum, by the names of the parameters that learn.
    std::vector<Array> optimiser_state() const { return learner_->momentum(); }
    // What weights(), optimiser_state() and steps_done() gave of a run with this recipe. Throws
    // Error(Weights) naming an array that is missing or misshapen; nothing is changed then.
    void restore(std::span<const Array> weights, std::span<const Array> optimiser_state, int64_t steps_done);

  private:
    Backend& backend_;
    Recipe recipe_;
    Architecture architecture_;
    bool head_only_;
    std::vector<Array> start_;  // every tensor of the net; those that do not learn stay so
    std::unique_ptr<Learner> learner_;
    std::optional<Net> evaluated_;  // of the weights after `evaluated_at_` steps
    int64_t evaluated_at_ = -1;
    std::unique_ptr<Executor> logits_, features_;

    // The net of the weights to start with, which go to start_.
    Net read(const WeightFile* weights, const std::optional<TrainingNet>& training);
    std::vector<float> features_of(const TrainBatch& batch, const std::optional<Mixup>& mixup);
    void prepare_evaluation();
};

}  // namespace gs::train
