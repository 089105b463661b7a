// Images to PNG and JPEG files in memory.
#pragma once

#include <cstddef>
#include <vector>

#include "data/image.h"

namespace gs {

// 8-bit RGB, no interlace. Throws Error(Internal) when out of memory.
std::vector<std::byte> encode_png(const Image& image);

// Baseline, 4:2:0, the given quality of 1 to 100. Throws Error(Internal) when out of memory.
std::vector<std::byte> encode_jpeg(const Image& image, int quality);

}  // namespace gs
