// Kinds whose images are 32x32 arrays in one file: the common part, and tiny-images.
#include <algorithm>

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

Image ArraySet::decode(int64_t, std::span<const std::byte> bytes, const DecodeLimits&) const {
    GS_REQUIRE(bytes.size() == kBytes);
    Image image{kSide, kSide, std::vector<uint8_t>(kBytes)};
    const int64_t down = order_ == Order::RowMajor ? kSide : 1, right = order_ == Order::RowMajor ? 1 : kSide;
    auto* out = image.rgb.data();
    for (int64_t y = 0; y < kSide; ++y)
        for (int64_t x = 0; x < kSide; ++x)
            for (int64_t c = 0; c < 3; ++c)
                *out++ = static_cast<uint8_t>(
                    bytes[static_cast<size_t>(c * kSide * kSide + y * down + x * right)]);
    return image;
}

void ArraySet::add(std::span<const std::byte> data, std::optional<int64_t> label) {
    GS_REQUIRE(data.size() == kBytes);
    images_.push_back(data.data());
    labels_.push_back(label.value_or(-1));
}

// The 80 million tiny images: 3072 bytes an image, columns first (MATLAB's order).
std::unique_ptr<ImageSet> open_tiny_images(const SetSource& source) {
    const auto file = std::make_shared<MappedFile>(source.path, ErrorKind::Data);
    const std::span<const std::byte> all = file->bytes();
    if (all.size() % ArraySet::kBytes != 0)
        throw Error(ErrorKind::Data, source.path + ": " + std::to_string(all.size()) +
                                         " bytes are no whole number of tiny images of 3072 bytes");
    auto set = std::make_unique<ArraySet>(ArraySet::Order::ColumnMajor);
    for (size_t at = 0; at < all.size(); at += ArraySet::kBytes)
        set->add(all.subspan(at, ArraySet::kBytes), {});
    set->keep(file);
    return set;
}

}  // namespace gs::detail
