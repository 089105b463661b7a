#include "data/decode.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace gs {
namespace {

constexpr std::array<uint8_t, 3> kJpeg{0xff, 0xd8, 0xff};
constexpr std::array<uint8_t, 8> kPng{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

bool starts_with(std::span<const std::byte> file, std::span<const uint8_t> magic) {
    return file.size() >= magic.size() &&
           std::equal(magic.begin(), magic.end(), file.begin(),
                      [](uint8_t want, std::byte got) { return static_cast<std::byte>(want) == got; });
}

// Photos of the web have any contents under the name of a JPEG. Pillow reads these, too; we name them.
std::string other_format(std::span<const std::byte> file) {
    using namespace std::string_view_literals;
    const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
    const auto has = [&](std::string_view magic, size_t at = 0) {
        return text.size() >= at && text.substr(at).starts_with(magic);
    };
    const char* name = has("GIF8") ? "a GIF" : nullptr;
    if (has("BM") && has("\0\0\0\0"sv, 6)) name = "a BMP";
    if (has("RIFF") && has("WEBP", 8)) name = "a WebP";
    if (has("II*\0"sv) || has("MM\0*"sv)) name = "a TIFF";
    return name == nullptr ? "unknown first bytes" : std::string(name) + "; convert it to PNG";
}

}  // namespace

Image decode_image(std::span<const std::byte> file, const DecodeLimits& limits) {
    if (file.empty()) throw Error(ErrorKind::Data, "the file is empty");
    if (starts_with(file, kJpeg)) return detail::decode_jpeg(file, limits);
    if (starts_with(file, kPng)) return detail::decode_png(file, limits);
    throw Error(ErrorKind::Data, "neither a JPEG nor a PNG (" + other_format(file) + ")");
}

void detail::check_dimensions(int64_t width, int64_t height, const DecodeLimits& limits) {
    const std::string size = std::to_string(width) + "x" + std::to_string(height);
    if (width <= 0 || height <= 0) throw Error(ErrorKind::Data, "an image of " + size + " pixels");
    if (height > limits.max_pixels / width)
        throw Error(ErrorKind::Data, size + " pixels, more than the limit of " +
                                         std::to_string(limits.max_pixels) + " (--max-pixels)");
}

}  // namespace gs
