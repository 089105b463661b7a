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

}  // namespace gs::detail
