#include "train/feed.h"

#include <algorithm>

#include "core/error.h"
#include "core/random.h"

namespace gs::train {
namespace {

uint64_t key(const Recipe& recipe, std::string_view purpose) {
    return Random{recipe.seed, stream(purpose)}.next();
}

// Position p of an endless row of passes over the set, each in an order of its own.
std::function<int64_t(int64_t)> endless_order(uint64_t seed, int64_t images) {
    return [=](int64_t position) {
        const Permutation order(Random{seed, static_cast<uint64_t>(position / images)}, images);
        return order(position % images);
    };
}

}  // namespace

int64_t steps_an_epoch(const Recipe& recipe, int64_t images) {
    return (images + recipe.batch - 1) / recipe.batch;
}

void require_one_size(const ImageSet& set, const Recipe& recipe, const Preprocess& preprocess) {
    if (set.is_raw() || output_size(recipe.augmentation, preprocess)) return;
    throw Error(ErrorKind::Usage, "recipe: training images of " + set.name() +
                                      " would differ in size; 'crop' or 'resize' makes them equal");
}

Feed::Feed(const ImageSet& images, const ImageSet* auxiliary, const Recipe& recipe,
           const FeedOptions& options)
    : images_(images),
      recipe_(recipe),
      options_(options),
      step_(options.first_step),
      epoch_steps_(steps_an_epoch(recipe, images.size())) {
    GS_REQUIRE(recipe.steps > 0 && (auxiliary != nullptr) == (recipe.auxiliary_batch > 0));
    require_one_size(images, recipe, options.preprocess);
    if (auxiliary == nullptr) return;
    require_one_size(*auxiliary, recipe, options.preprocess);
    auxiliary_ = std::make_unique<Loader>(
        *auxiliary, options.preprocess,
        LoaderOptions{.batch = recipe.auxiliary_batch,
                      .threads = options.threads,
                      .first = step_ * recipe.auxiliary_batch,
                      .last = recipe.steps * recipe.auxiliary_batch,
                      .order = endless_order(key(recipe, "auxiliary order"), auxiliary->size()),
                      .training = TrainingImages{recipe.augmentation, key(recipe, "auxiliary images")},
                      .limits = options.limits});
}

Feed::~Feed() = default;

// Of the epoch that step_ belongs to, from step_ on.
void Feed::begin_epoch() {
    const int64_t epoch = step_ / epoch_steps_, images = images_.size();
    labelled_ = std::make_unique<Loader>(
        images_, options_.preprocess,
        LoaderOptions{.batch = recipe_.batch,
                      .threads = options_.threads,
                      .first = epoch * images + step_ % epoch_steps_ * recipe_.batch,
                      .last = (epoch + 1) * images,
                      .order = endless_order(key(recipe_, "order"), images),
                      .training = TrainingImages{recipe_.augmentation, key(recipe_, "images")},
                      .limits = options_.limits});
}

std::optional<FeedBatch> Feed::next() {
    if (step_ >= recipe_.steps) return {};
    if (!labelled_) begin_epoch();
    std::optional<Batch> loaded = labelled_->next();
    GS_REQUIRE(loaded.has_value());
    FeedBatch batch{.step = step_, .count = loaded->count, .height = loaded->height, .width = loaded->width};
    for (const int64_t index : loaded->indices) batch.labels.push_back(images_.item(index).label.value());
    batch.pixels = std::move(loaded->pixels);
    batch.failures = std::move(loaded->failures);
    if (auxiliary_) add_auxiliary(batch);
    if (++step_ % epoch_steps_ == 0) labelled_.reset();  // its memory, which a validation may want
    return batch;
}

void Feed::add_auxiliary(FeedBatch& batch) {
    std::optional<Batch> loaded = auxiliary_->next();
    GS_REQUIRE(loaded.has_value());
    batch.auxiliary_failures = std::move(loaded->failures);
    batch.auxiliary = loaded->count;
    const bool differ = loaded->height != batch.height || loaded->width != batch.width;
    if (batch.count > 0 && batch.auxiliary > 0 && differ)
        throw Error(ErrorKind::Data, "auxiliary images are of another size than the labelled ones");
    batch.pixels.insert(batch.pixels.end(), loaded->pixels.begin(), loaded->pixels.end());
    auxiliary_->recycle(std::move(*loaded));
}

void Feed::recycle(FeedBatch&& batch) {
    Batch spare;
    spare.pixels = std::move(batch.pixels);
    if (labelled_) labelled_->recycle(std::move(spare));
}

FeatureFeed::FeatureFeed(const CachedFeatures& features, const Recipe& recipe, int64_t first_step)
    : features_(features),
      recipe_(recipe),
      images_(static_cast<int64_t>(features.labels.size())),
      epoch_steps_(steps_an_epoch(recipe, images_)),
      step_(first_step) {
    GS_REQUIRE(recipe.steps > 0 && recipe.auxiliary_batch == 0);
}

std::optional<FeedBatch> FeatureFeed::next() {
    if (step_ >= recipe_.steps) return {};
    FeedBatch batch = std::move(spare_);
    batch.pixels.clear();
    batch.labels.clear();
    batch.step = step_;
    batch.height = batch.width = 1;
    const int64_t epoch = step_ / epoch_steps_, first = step_ % epoch_steps_ * recipe_.batch;
    const auto order = endless_order(key(recipe_, "order"), images_);
    for (int64_t i = first; i < std::min(first + recipe_.batch, images_); ++i) {
        const auto image = static_cast<size_t>(order(epoch * images_ + i));
        if (!features_.usable[image]) continue;
        const auto row = features_.values.begin() + static_cast<std::ptrdiff_t>(image) * features_.width;
        batch.pixels.insert(batch.pixels.end(), row, row + features_.width);
        batch.labels.push_back(features_.labels[image]);
    }
    batch.count = static_cast<int64_t>(batch.labels.size());
    ++step_;
    return batch;
}

void FeatureFeed::recycle(FeedBatch&& batch) {
    spare_ = std::move(batch);
}

}  // namespace gs::train
