// Decoded images, and their way to a net's input, equal to Pillow's byte for byte.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"

namespace gs {

// 8-bit RGB, rows from the top, [height][width][3].
struct Image {
    int64_t width = 0, height = 0;
    std::vector<uint8_t> rgb;
};

struct DecodeLimits {
    int64_t max_pixels = 178'956'970;  // Pillow's limit for an error
};

// Decodes a JPEG or PNG (told by its first bytes) as Pillow's Image.open(...).convert("RGB") does: grey
// replicated, palette expanded, alpha dropped, CMYK and YCCK by Pillow's formula, EXIF orientation ignored
// (libjpeg: islow, fancy upsampling). Used where Pillow reads it: refused when data run
// out before the last row; libjpeg's warnings, a missing end, and what follows the rows of a PNG are ignored.
// Throws Error(Data) "what is wrong" (the caller adds the name).
Image decode_image(std::span<const std::byte> file, const DecodeLimits& limits = {});

// The order of a resize's two passes, between which values are rounded. Pillow13: as Pillow 13 does, the
// vertical one first where the height shrinks by more than twice the pixels that the width does.
enum class ResizeOrder { HorizontalFirst, Pillow13 };
// Pillow's Image.resize((width, height), BILINEAR), exact to the byte.
Image resize_bilinear(const Image& image, int64_t width, int64_t height,
                      ResizeOrder order = ResizeOrder::HorizontalFirst);

// torchvision's CenterCrop: offset round((size - crop) / 2) half to even, smaller images zero-padded first,
// the odd pixel right and bottom.
Image center_crop(const Image& image, int64_t width, int64_t height);

struct Size {
    int64_t width = 0, height = 0;
    bool operator==(const Size&) const = default;
};

// From an image to a net's input: resize, crop, /255, (x - mean) / std. Values of a net's table or of the
// flags.
struct Preprocess {
    std::optional<int64_t> short_side;  // torchvision Resize(int): long side int(size * long / short)
    std::optional<Size> resize;         // Resize((h, w)), not keeping the aspect; excludes short_side
    std::optional<Size> crop;
    std::array<float, 3> mean{0.5f, 0.5f, 0.5f};
    std::array<float, 3> std{0.5f, 0.5f, 0.5f};
    ResizeOrder order = ResizeOrder::HorizontalFirst;

    // "short side 256, centre crop 224, mean .485 .456 .406, std .229 .224 .225": printed once and stored.
    std::string describe() const;
    // Size every image gets, or none where it depends on the image (no crop, no fixed resize).
    std::optional<Size> output_size() const;
};

// Why these are no means, or no deviations, of pixels from 0 to 1: "each value must be …"; "" where they are.
// Papers print those of 0 to 255, too, which no later step would notice.
std::string fault_of_pixels(const std::array<float, 3>& values, bool may_be_zero);

// Resized and cropped.
Image transform(const Image& image, const Preprocess& preprocess);
// Of a transformed image; out is [height][width][3] (channel-last: the layout the nets run in).
// (x / 255 - mean) / std is computed as torchvision does: float32 division by 255, subtraction, division.
void normalise(const Image& image, const Preprocess& preprocess, std::span<float> out);

}  // namespace gs
