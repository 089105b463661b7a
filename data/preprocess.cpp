#include <algorithm>
#include <cmath>

#include "core/join.h"
#include "core/numbers.h"
#include "data/resize.h"

namespace gs {
namespace {

using detail::CropAxis;

CropAxis center_axis(int64_t size, int64_t crop) {
    if (crop >= size) return {0, (crop - size) / 2, size};
    // round() half to even of (size - crop) / 2
    const int64_t spare = size - crop, half = spare / 2;
    return {spare % 2 != 0 && half % 2 != 0 ? half + 1 : half, 0, crop};
}

void check_size(Size size) {
    const int64_t limit = DecodeLimits{}.max_pixels;
    if (size.width > limit / size.height)
        throw Error(ErrorKind::Data, "would be resized to " + std::to_string(size.width) + "x" +
                                         std::to_string(size.height) + " pixels, which is too large");
}

// Six digits: 0.485 as ".485".
std::string number(float value) {
    const std::string text = significant(value, 6);
    return text.starts_with("0.") ? text.substr(1) : text;
}

std::string size_text(Size size) {
    return size.width == size.height ? std::to_string(size.width)
                                     : std::to_string(size.width) + "x" + std::to_string(size.height);
}

Image resize_and_center(const Image& image, Size size, Size crop, ResizeOrder order) {
    GS_REQUIRE(size.width > 0 && size.height > 0 && crop.width > 0 && crop.height > 0);
    return detail::resize_and_crop(image, size, center_axis(size.width, crop.width),
                                   center_axis(size.height, crop.height), crop, order);
}

}  // namespace

Size detail::resized_size(const Image& image, const Preprocess& preprocess) {
    if (preprocess.resize) return *preprocess.resize;
    if (!preprocess.short_side) return {image.width, image.height};
    const int64_t side = *preprocess.short_side;
    const int64_t longer = std::max(image.width, image.height), shorter = std::min(image.width, image.height);
    const auto other =
        static_cast<int64_t>(static_cast<double>(side * longer) / static_cast<double>(shorter));
    return image.width <= image.height ? Size{side, other} : Size{other, side};
}

Image detail::resize_and_crop(const Image& image, Size size, const CropAxis& x, const CropAxis& y, Size crop,
                              ResizeOrder order) {
    check_size(crop);
    Image part, out{crop.width, crop.height, {}};
    if (x.count > 0 && y.count > 0) {
        check_size({x.count, y.count});
        part = detail::resize_region(image, size, {x.source, y.source, x.count, y.count}, order);
        if (x.count == crop.width && y.count == crop.height) return part;
    }
    out.rgb.resize(static_cast<size_t>(crop.width * crop.height * 3));
    if (part.rgb.empty()) return out;
    for (int64_t row = 0; row < y.count; ++row)
        std::copy_n(part.rgb.begin() + row * x.count * 3, x.count * 3,
                    out.rgb.begin() + ((y.target + row) * crop.width + x.target) * 3);
    return out;
}

Image center_crop(const Image& image, int64_t width, int64_t height) {
    return resize_and_center(image, {image.width, image.height}, {width, height},
                             ResizeOrder::HorizontalFirst);
}

Image transform(const Image& image, const Preprocess& preprocess) {
    GS_REQUIRE(image.width > 0 && image.height > 0);
    const Size size = detail::resized_size(image, preprocess);
    return resize_and_center(image, size, preprocess.crop.value_or(size), preprocess.order);
}

void normalise(const Image& image, const Preprocess& preprocess, std::span<float> out) {
    GS_REQUIRE(out.size() == image.rgb.size());
    float table[3][256];
    for (int c = 0; c < 3; ++c)
        for (int value = 0; value < 256; ++value)
            table[c][value] = (static_cast<float>(value) / 255.0f - preprocess.mean[static_cast<size_t>(c)]) /
                              preprocess.std[static_cast<size_t>(c)];
    for (size_t i = 0; i < out.size(); i += 3) {
        out[i] = table[0][image.rgb[i]];
        out[i + 1] = table[1][image.rgb[i + 1]];
        out[i + 2] = table[2][image.rgb[i + 2]];
    }
}

std::string fault_of_pixels(const std::array<float, 3>& values, bool may_be_zero) {
    const auto fits = [&](float v) { return v <= 1 && (may_be_zero ? v >= 0 : v > 0); };
    if (std::all_of(values.begin(), values.end(), fits)) return "";
    const std::string fault =
        std::string("each value must be ") + (may_be_zero ? "from 0 to 1" : "above 0 and at most 1");
    if (std::none_of(values.begin(), values.end(), [](float v) { return v > 1; })) return fault;
    const auto divided = [](float of_255) { return significant(of_255 / 255, 4); };
    return fault + "; divide those of pixels from 0 to 255 by 255: " + join(values, ",", divided);
}

std::string Preprocess::describe() const {
    std::string text;
    if (resize)
        text += "resize " + std::to_string(resize->width) + "x" + std::to_string(resize->height) + ", ";
    if (short_side) text += "short side " + std::to_string(*short_side) + ", ";
    if (crop) text += "centre crop " + size_text(*crop) + ", ";
    if (text.empty()) text = "size kept, ";
    if (order == ResizeOrder::Pillow13) text += "Pillow 13's order of passes, ";
    text += "mean";
    for (float value : mean) text += " " + number(value);
    text += ", std";
    for (float value : std) text += " " + number(value);
    return text;
}

std::optional<Size> Preprocess::output_size() const {
    if (crop) return crop;
    return resize;
}

}  // namespace gs
