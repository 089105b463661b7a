// Resizing of which only a part is wanted, as before a crop.
#pragma once

#include "data/image.h"

namespace gs::detail {

struct Region {
    int64_t left = 0, top = 0, width = 0, height = 0;
};

// The pixels that `region` of resize_bilinear(image, size.width, size.height, order) has.
// `portable` keeps to instructions every machine has (for tests: the bytes are the same).
Image resize_region(const Image& image, Size size, const Region& region, ResizeOrder order,
                    bool portable = false);

// The size that `preprocess` resizes an image to, before it crops.
Size resized_size(const Image& image, const Preprocess& preprocess);

// Where a crop lies along one axis: positions [source, source + count) of the resized image land at `target`
// of the result; what they leave is black.
struct CropAxis {
    int64_t source = 0, target = 0, count = 0;
};

// The crop of the image resized to `size`, black where a count is 0. Throws Error(Data) for a result that
// would be too large.
Image resize_and_crop(const Image& image, Size size, const CropAxis& x, const CropAxis& y, Size crop,
                      ResizeOrder order);

}  // namespace gs::detail
