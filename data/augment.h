// Training images: what is drawn anew every time an image is used.
#pragma once

#include <optional>

#include "core/random.h"
#include "data/image.h"

namespace gs {

// What becomes of a training image before normalisation, in this order.
struct Augmentation {
    std::optional<Size> resize;  // to this size, aspect not kept; absent: as the net's preprocessing resizes
    int64_t pad = 0;             // black pixels on each side
    std::optional<Size> crop;    // of random place; absent: the net's centre crop
    bool flip = false;           // left to right, with probability 1/2
    bool operator==(const Augmentation&) const = default;
};

// Throws Error(Data) for an image that is smaller, with its padding, than the crop.
Image augmented(const Image& image, const Augmentation& augmentation, const Preprocess& preprocess,
                Random random);

// Whether the crop, if there is one, lies inside an image of that size with its padding.
bool crop_fits(const Augmentation& augmentation, Size size);

// "resize 512x512, 4 pixels of padding, random crop 480, flip; mean … std …": printed once and stored.
std::string describe(const Augmentation& augmentation, const Preprocess& preprocess);
// Size every augmented image gets, or none where it depends on the image.
std::optional<Size> output_size(const Augmentation& augmentation, const Preprocess& preprocess);

}  // namespace gs
