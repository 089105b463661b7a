// What a training run eats: the images of every step, in an order of their own for each epoch, augmented,
// with their labels and mixup. A step's batch depends on the recipe's seed and on the step alone: neither on
// the number of threads nor on where a run was interrupted.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "data/image_set.h"
#include "data/loader.h"
#include "train/recipe.h"

namespace gs::train {

struct FeedBatch {
    int64_t step = 0;       // from 0
    int64_t count = 0;      // labelled images, which stand first; 0 where none could be used
    int64_t auxiliary = 0;  // unlabelled ones behind them
    int64_t height = 0, width = 0;
    std::vector<float> pixels{};                    // [count + auxiliary][height][width][3], normalised
    std::vector<int64_t> labels{};                  // [count]
    std::vector<LoadFailure> failures{};            // of labelled images
    std::vector<LoadFailure> auxiliary_failures{};  // of auxiliary ones
};

struct FeedOptions {
    Preprocess preprocess;  // what the recipe's augmentation does not say; mean and std
    int threads = 1;
    int64_t first_step = 0;
    DecodeLimits limits{};
};

// Steps an epoch takes; its last batch may be smaller than the others.
int64_t steps_an_epoch(const Recipe& recipe, int64_t images);

// Throws Error(Usage) where the set's training images would differ in size.
void require_one_size(const ImageSet& set, const Recipe& recipe, const Preprocess& preprocess);

// Batches of consecutive steps.
class BatchSource {
  public:
    virtual ~BatchSource() = default;
    // The batch of the next step; nothing after the last one.
    virtual std::optional<FeedBatch> next() = 0;
    virtual void recycle(FeedBatch&& batch) = 0;  // so that nothing is allocated in the steady state
};

class Feed : public BatchSource {
  public:
    // Every image is labelled; `auxiliary` may be null where the recipe asks for none. The sets must outlive
    // the feed. `recipe` is a resolved() one. Throws Error(Usage) where images would differ in size.
    Feed(const ImageSet& images, const ImageSet* auxiliary, const Recipe& recipe, const FeedOptions& options);
    ~Feed() override;

    // Throws Error(Data) for a labelled and an auxiliary set of different sizes.
    std::optional<FeedBatch> next() override;
    void recycle(FeedBatch&& batch) override;

  private:
    const ImageSet& images_;
    const Recipe recipe_;
    const FeedOptions options_;
    int64_t step_, epoch_steps_;
    std::unique_ptr<Loader> labelled_, auxiliary_;  // the first one of the step's epoch, null between two

    void begin_epoch();
    void add_auxiliary(FeedBatch& batch);
};

// Features of a set's images, which a head alone learns from: computed once, without augmentation.
struct CachedFeatures {
    int64_t width = 0;          // of one image's
    std::vector<float> values;  // [images][width]
    std::vector<bool> usable;   // of each image
    std::vector<int64_t> labels;
};

// The same images in the same order as Feed's, as their features: height and width 1.
class FeatureFeed : public BatchSource {
  public:
    // `features` must outlive the feed.
    FeatureFeed(const CachedFeatures& features, const Recipe& recipe, int64_t first_step);

    std::optional<FeedBatch> next() override;
    void recycle(FeedBatch&& batch) override;

  private:
    const CachedFeatures& features_;
    const Recipe recipe_;
    const int64_t images_, epoch_steps_;
    int64_t step_;
    FeedBatch spare_;
};

}  // namespace gs::train
