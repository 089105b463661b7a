// The image sets of a training run, checked before anything slow.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "data/image_set.h"
#include "tools/train_flags.h"
#include "train/recipe.h"

namespace gs {

struct TrainingSets {
    std::unique_ptr<ImageSet> images, auxiliary, validation;  // the latter two may be null
};

// As the flags name them; `limit` images of each set are drawn, always the same ones. Where training and
// validation images are of kind folder, the latter's labels are those of the training folders of the same
// names. Throws Error(Usage) where the recipe asks for other sets, Error(Data) for sets that cannot be read,
// or validation folders that are no classes.
TrainingSets open_training_sets(const TrainFlags& flags, const train::Recipe& recipe);

// Labels of 0 .. n - 1: n where `classes` is 0, else `classes`. Throws Error(Data) for an image without a
// label or of another class, and for a class without images; Error(Usage) for more classes than any set has.
int64_t check_labels(const ImageSet& images, int64_t classes);
// The same for a set on which accuracy is measured, whose classes may be fewer.
void check_validation_labels(const ImageSet& images, int64_t classes);

// Of which images' bytes a list's hash is taken, beside paths and labels.
enum class ListedContents : uint8_t { None, Sample };  // Sample: of up to 256, evenly over the list
// "50000 images, SHA-256 …" of the first `count` images of a set; "" of none.
std::string set_identity(const ImageSet* images, int64_t count, ListedContents contents);

}  // namespace gs
