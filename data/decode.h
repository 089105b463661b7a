// The two decoders behind decode_image().
#pragma once

#include <cstddef>
#include <span>

#include "data/image.h"

namespace gs::detail {

Image decode_jpeg(std::span<const std::byte> file, const DecodeLimits& limits);
Image decode_png(std::span<const std::byte> file, const DecodeLimits& limits);

// Throws Error(Data) where width * height is zero or more than the limit allows.
void check_dimensions(int64_t width, int64_t height, const DecodeLimits& limits);

}  // namespace gs::detail
