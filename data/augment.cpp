#include "data/augment.h"

#include <algorithm>

#include "data/resize.h"

namespace gs {
namespace {

// A crop at a random place of `size` positions with `pad` black ones on each side.
detail::CropAxis random_axis(int64_t size, int64_t pad, int64_t crop, Random& random) {
    const int64_t begin = random.below(size + 2 * pad - crop + 1) - pad;  // of the crop, in the image
    const int64_t first = std::max<int64_t>(begin, 0), last = std::min(begin + crop, size);
    return {first, first - begin, std::max<int64_t>(last - first, 0)};
}

std::string size_text(Size size) {
    return std::to_string(size.width) + "x" + std::to_string(size.height);
}

Image random_crop(const Image& image, const Augmentation& a, Size size, ResizeOrder order, Random& random) {
    const Size crop = *a.crop;
    if (!crop_fits(a, size))
        throw Error(ErrorKind::Data,
                    "is smaller (" + size_text(size) + ") than the random crop (" + size_text(crop) + ")");
    const detail::CropAxis x = random_axis(size.width, a.pad, crop.width, random);
    const detail::CropAxis y = random_axis(size.height, a.pad, crop.height, random);
    return detail::resize_and_crop(image, size, x, y, crop, order);
}

void flip(Image& image) {
    for (int64_t y = 0; y < image.height; ++y) {
        uint8_t* left = image.rgb.data() + y * image.width * 3;
        uint8_t* right = left + (image.width - 1) * 3;
        for (; left < right; left += 3, right -= 3) std::swap_ranges(left, left + 3, right);
    }
}

// The net's preprocessing with the augmentation's size in place of its own.
Preprocess resizing(const Augmentation& augmentation, const Preprocess& preprocess) {
    Preprocess p = preprocess;
    if (augmentation.resize) {
        p.short_side.reset();
        p.resize = augmentation.resize;
    }
    return p;
}

}  // namespace

Image augmented(const Image& image, const Augmentation& augmentation, const Preprocess& preprocess,
                Random random) {
    const Preprocess p = resizing(augmentation, preprocess);
    const bool flips = augmentation.flip && random.below(2) == 1;
    Image result = augmentation.crop
                       ? random_crop(image, augmentation, detail::resized_size(image, p), p.order, random)
                       : transform(image, p);
    if (flips) flip(result);
    return result;
}

bool crop_fits(const Augmentation& augmentation, Size size) {
    const std::optional<Size>& crop = augmentation.crop;
    const int64_t padding = 2 * augmentation.pad;
    return !crop || (crop->width <= size.width + padding && crop->height <= size.height + padding);
}

std::string describe(const Augmentation& augmentation, const Preprocess& preprocess) {
    Preprocess p = resizing(augmentation, preprocess);
    if (augmentation.crop) p.crop.reset();
    std::string text;
    if (augmentation.pad > 0) text += std::to_string(augmentation.pad) + " black pixels around, ";
    if (augmentation.crop) text += "random crop " + size_text(*augmentation.crop) + ", ";
    if (augmentation.flip) text += "random flip, ";
    return text + p.describe();
}

std::optional<Size> output_size(const Augmentation& augmentation, const Preprocess& preprocess) {
    return augmentation.crop ? augmentation.crop : resizing(augmentation, preprocess).output_size();
}

}  // namespace gs
