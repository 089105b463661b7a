// What the kinds share whose images are 32x32 arrays in files.
#include "data/sets.h"

namespace gs::detail {

ImageItem ArraySet::item(int64_t index) const {
    const int64_t label = labels_.at(static_cast<size_t>(index));
    return {index_name(index), label < 0 ? std::nullopt : std::optional(label)};
}

std::vector<std::byte> ArraySet::bytes(int64_t index) const {
    const std::byte* image = images_.at(static_cast<size_t>(index));
    return {image, image + kBytes};
}

Image decode_array(std::span<const std::byte> bytes, ArraySet::Order order) {
    constexpr int64_t kSide = ArraySet::kSide, kPlane = kSide * kSide;
    GS_REQUIRE(bytes.size() == ArraySet::kBytes);
    Image image{kSide, kSide, std::vector<uint8_t>(ArraySet::kBytes)};
    const bool rows = order == ArraySet::Order::RowMajor;
    const int64_t down = rows ? kSide : 1, right = rows ? 1 : kSide;
    auto* out = image.rgb.data();
    for (int64_t y = 0; y < kSide; ++y)
        for (int64_t x = 0; x < kSide; ++x)
            for (int64_t c = 0; c < 3; ++c)
                *out++ = static_cast<uint8_t>(bytes[static_cast<size_t>(c * kPlane + y * down + x * right)]);
    return image;
}

Image ArraySet::decode(int64_t, std::span<const std::byte> bytes, const DecodeLimits&) const {
    return decode_array(bytes, order_);
}

void ArraySet::add(std::span<const std::byte> data, std::optional<int64_t> label) {
    GS_REQUIRE(data.size() == kBytes);
    images_.push_back(data.data());
    labels_.push_back(label.value_or(-1));
}

}  // namespace gs::detail
