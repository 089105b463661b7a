#include "tools/training_sets.h"

#include <algorithm>
#include <filesystem>
#include <numeric>

#include "core/files.h"
#include "core/join.h"
#include "core/printable.h"
#include "core/random.h"
#include "data/image_concat.h"
#include "data/image_subset.h"
#include "tools/setup.h"

namespace gs {
namespace {

// A subset that keeps its set.
class OwnedSubset : public ImageSubset {
  public:
    OwnedSubset(std::unique_ptr<ImageSet> set, std::vector<int64_t> indices)
        : ImageSubset(*set, std::move(indices)), owner_(std::move(set)) {}

  private:
    std::unique_ptr<ImageSet> owner_;
};

// A set's images with labels of their own: what was class c is labels[c].
class Relabelled : public OwnedSubset {
  public:
    Relabelled(std::unique_ptr<ImageSet> set, std::vector<int64_t> indices, std::vector<int64_t> labels)
        : OwnedSubset(std::move(set), std::move(indices)), labels_(std::move(labels)) {}

    ImageItem item(int64_t index) const override {
        ImageItem item = OwnedSubset::item(index);
        if (item.label) item.label = labels_.at(static_cast<size_t>(*item.label));
        return item;
    }

  private:
    std::vector<int64_t> labels_;
};

// Drawn rather than the first ones: folders hold a class after the other.
std::unique_ptr<ImageSet> limited(std::unique_ptr<ImageSet> set, const std::optional<int64_t>& limit) {
    for (const std::string& notice : set->notices()) say("notice: " + set->name() + ": " + notice);
    if (!limit || *limit >= set->size()) return set;
    const Permutation order(Random{stream("limit")}, set->size());
    std::vector<int64_t> indices;
    for (int64_t i = 0; i < *limit; ++i) indices.push_back(order(i));
    std::sort(indices.begin(), indices.end());
    return std::make_unique<OwnedSubset>(std::move(set), std::move(indices));
}

std::unique_ptr<ImageSet> open_auxiliary(const TrainFlags& flags, uint64_t seed) {
    std::vector<std::unique_ptr<ImageSet>> sets;
    for (const std::string& spec : flags.auxiliary)
        sets.push_back(limited(open_image_set(spec, seed), flags.limit));
    for (const auto& set : sets)
        if (set->is_raw() != sets.front()->is_raw())
            throw Error(ErrorKind::Usage, "--auxiliary: sets of float32 arrays and of images do not mix");
    if (sets.size() == 1) return std::move(sets.front());
    return std::make_unique<ImageConcat>(std::move(sets));
}

int64_t checked_label(const ImageSet& images, int64_t index, int64_t classes) {
    const ImageItem item = images.item(index);
    const auto fail = [&](const std::string& what) {
        throw Error(ErrorKind::Data, images.name() + ": " + item.path + ": " + what);
    };
    if (!item.label)
        fail("has no label; training needs a folder for each class, a list, cifar10, cifar100 or svhn");
    if (classes > 0 && *item.label >= classes)
        fail("its label " + std::to_string(*item.label) + " is none of the recipe's " +
             std::to_string(classes) + " classes (--classes 0 takes as many as there are)");
    return *item.label;
}

constexpr int64_t kMostClasses = 1'000'000;

// A set of folders counts its own from 0: one that lacks a class would count the classes behind it otherwise
// than the training images do.
std::unique_ptr<ImageSet> labelled_alike(std::unique_ptr<ImageSet> validation, const ImageSet& images) {
    const std::vector<std::string>&classes = images.class_names(), &own = validation->class_names();
    if (classes.empty() || own.empty() || own == classes) return validation;
    std::vector<int64_t> labels;
    std::vector<std::string> unknown;
    for (const std::string& name : own) {
        const auto found = std::find(classes.begin(), classes.end(), name);
        labels.push_back(found - classes.begin());
        if (found == classes.end()) unknown.push_back(name);
    }
    if (!unknown.empty())
        throw Error(ErrorKind::Data, validation->name() + ": no folder of " + images.name() +
                                         ", whose folders are the classes, is called " + join_first(unknown));
    std::vector<int64_t> all(static_cast<size_t>(validation->size()));
    std::iota(all.begin(), all.end(), int64_t{0});
    return std::make_unique<Relabelled>(std::move(validation), std::move(all), std::move(labels));
}

// An image that cannot be read is left out of training, and of this.
void hash_content(const ImageSet& images, int64_t index, Sha256& hash) {
    try {
        hash.update(images.bytes(index));
    } catch (const Error&) {
        hash.update("unreadable\n");
    }
}

// A class folder without images is no class, and those behind it would move up.
void refuse_empty_class_folders(const ImageSet& images) {
    const std::vector<std::string>& names = images.class_names();
    if (names.empty()) return;
    for (const std::filesystem::path& place : images.places()) {
        std::error_code ignored;  // told by who reads it
        for (const auto& entry : std::filesystem::directory_iterator(place, ignored)) {
            const std::string name = entry.path().filename().string();
            if (!entry.is_directory(ignored) || name.starts_with('.')) continue;
            if (std::find(names.begin(), names.end(), name) == names.end())
                throw Error(ErrorKind::Data, images.name() + ": class folder '" + printable(name) + "' of " +
                                                 place.string() + " has no image");
        }
    }
}

}  // namespace

TrainingSets open_training_sets(const TrainFlags& flags, const train::Recipe& recipe) {
    check_limit(flags.limit);
    const bool wants_auxiliary = recipe.auxiliary_batch > 0;
    if (wants_auxiliary && flags.auxiliary.empty())
        throw Error(ErrorKind::Usage, "this recipe needs unlabelled images: --auxiliary NAME=KIND:PATH");
    if (!wants_auxiliary && !flags.auxiliary.empty())
        throw Error(ErrorKind::Usage,
                    "--auxiliary: this recipe takes no unlabelled images (auxiliary-batch 0)");
    TrainingSets sets;
    sets.images = limited(open_image_set(flags.id, recipe.seed), flags.limit);
    if (wants_auxiliary) sets.auxiliary = open_auxiliary(flags, recipe.seed);
    if (!flags.validate.empty())
        sets.validation =
            labelled_alike(limited(open_image_set(flags.validate, recipe.seed), flags.limit), *sets.images);
    return sets;
}

int64_t check_labels(const ImageSet& images, int64_t classes) {
    refuse_empty_class_folders(images);
    if (classes > kMostClasses)
        throw Error(ErrorKind::Usage, "'classes' is " + std::to_string(classes) + ", more than " +
                                          std::to_string(kMostClasses));
    std::vector<int64_t> counts(static_cast<size_t>(classes));
    for (int64_t i = 0; i < images.size(); ++i) {
        const int64_t label = checked_label(images, i, classes);
        if (label >= kMostClasses)
            throw Error(ErrorKind::Data, images.name() + ": " + images.item(i).path + ": the label " +
                                             std::to_string(label) + " is too large");
        if (label >= static_cast<int64_t>(counts.size())) counts.resize(static_cast<size_t>(label) + 1);
        ++counts[static_cast<size_t>(label)];
    }
    std::vector<std::string> empty;
    for (size_t c = 0; c < counts.size(); ++c)
        if (counts[c] == 0) empty.push_back(std::to_string(c));
    if (empty.empty()) return static_cast<int64_t>(counts.size());
    throw Error(ErrorKind::Data, images.name() + ": no image of " +
                                     (empty.size() == 1 ? "class " : "classes ") + join_first(empty) +
                                     ", of " + std::to_string(counts.size()));
}

void check_validation_labels(const ImageSet& images, int64_t classes) {
    for (int64_t i = 0; i < images.size(); ++i) checked_label(images, i, classes);
}

std::string set_identity(const ImageSet* images, int64_t count, ListedContents contents) {
    if (images == nullptr) return "";
    constexpr int64_t kContents = 256;
    Sha256 hash;
    const int64_t every = std::max<int64_t>(count / kContents, 1);
    for (int64_t i = 0; i < count; ++i) {
        const ImageItem item = images->item(i);
        hash.update(item.path + '\n' + std::to_string(item.label.value_or(-1)) + '\n');
        if (contents == ListedContents::Sample && i % every == 0) hash_content(*images, i, hash);
    }
    return std::to_string(count) + " images, " + hash.hex().substr(0, 16);
}

}  // namespace gs
