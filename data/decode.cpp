#include "data/decode.h"

#include <algorithm>
#include <array>

namespace gs {
namespace {

constexpr std::array<uint8_t, 3> kJpeg{0xff, 0xd8, 0xff};
constexpr std::array<uint8_t, 8> kPng{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

bool starts_with(std::span<const std::byte> file, std::span<const uint8_t> magic) {
    return file.size() >= magic.size() &&
           std::equal(magic.begin(), magic.end(), file.begin(),
                      [](uint8_t want, std::byte got) { return static_cast<std::byte>(want) == got; });
}

}  // namespace

Image decode_image(std::span<const std::byte> file, const DecodeLimits& limits) {
    if (file.empty()) throw Error(ErrorKind::Data, "the file is empty");
    if (starts_with(file, kJpeg)) return detail::decode_jpeg(file, limits);
    if (starts_with(file, kPng)) return detail::decode_png(file, limits);
    throw Error(ErrorKind::Data, "neither a JPEG nor a PNG (unknown first bytes)");
}

void detail::check_dimensions(int64_t width, int64_t height, const DecodeLimits& limits) {
    const std::string size = std::to_string(width) + "x" + std::to_string(height);
    if (width <= 0 || height <= 0) throw Error(ErrorKind::Data, "an image of " + size + " pixels");
    if (height > limits.max_pixels / width)
        throw Error(ErrorKind::Data, size + " pixels, more than the limit of " +
                                         std::to_string(limits.max_pixels) + " (--max-pixels)");
}

}  // namespace gs
