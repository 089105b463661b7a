// Augmentation against the plainest way to do it: every pixel looked up in a padded image.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "data/augment.h"
#include "data/loader.h"

namespace gs::test {
namespace {

Image numbered(int64_t width, int64_t height) {
    Image image{width, height, {}};
    for (int64_t i = 0; i < width * height * 3; ++i)
        image.rgb.push_back(static_cast<uint8_t>(1 + (i * 89 + i / 7) % 255));  // never black
    return image;
}

// The crop at (left, top) of the padded image, flipped or not, pixel by pixel.
Image plain_crop(const Image& image, int64_t left, int64_t top, Size crop, bool flip) {
    Image out{crop.width, crop.height, {}};
    for (int64_t y = 0; y < crop.height; ++y)
        for (int64_t x = 0; x < crop.width; ++x)
            for (int64_t c = 0; c < 3; ++c) {
                const int64_t sx = left + (flip ? crop.width - 1 - x : x), sy = top + y;
                const bool inside = sx >= 0 && sx < image.width && sy >= 0 && sy < image.height;
                out.rgb.push_back(inside ? image.rgb[static_cast<size_t>((sy * image.width + sx) * 3 + c)]
                                         : uint8_t{0});
            }
    return out;
}

struct Place {
    int64_t left, top;
    bool flip;
    auto operator<=>(const Place&) const = default;
};

// Which place of the padded image this is; fails where it is none.
Place place_of(const Image& result, const Image& image, int64_t pad, Size crop) {
    for (int64_t top = -pad; top <= image.height + pad - crop.height; ++top)
        for (int64_t left = -pad; left <= image.width + pad - crop.width; ++left)
            for (const bool flip : {false, true})
                if (plain_crop(image, left, top, crop, flip).rgb == result.rgb) return {left, top, flip};
    ADD_FAILURE() << "no crop of the image";
    return {};
}

// 4,500 draws over 9 * 5 * 2 places: 50 each, seven standard deviations are 49.
TEST(Augment, EveryPlaceAndFlipAsOften) {
    const Image image = numbered(8, 4);
    const Augmentation augmentation{{}, 2, Size{4, 4}, true};
    std::map<Place, int> counts;
    for (uint64_t i = 0; i < 4500; ++i)
        ++counts[place_of(augmented(image, augmentation, {}, Random{1, i}), image, 2, {4, 4})];
    EXPECT_EQ(counts.size(), 90u);
    for (const auto& [place, count] : counts) EXPECT_NEAR(count, 50, 49);
}

TEST(Augment, CropsOfPaddingAlone) {
    const Image image = numbered(2, 2);
    const Augmentation augmentation{{}, 3, Size{2, 2}, false};
    std::set<Place> places;
    for (uint64_t i = 0; i < 500; ++i) {
        const Image result = augmented(image, augmentation, {}, Random{2, i});
        ASSERT_EQ(result.rgb.size(), 12u);
        bool black = true;
        for (const uint8_t value : result.rgb) black &= value == 0;
        if (!black) places.insert(place_of(result, image, 3, {2, 2}));
    }
    EXPECT_EQ(places.size(), 9u);  // the places that see a pixel
}

TEST(Augment, ResizesBeforeItCrops) {
    const Image image = numbered(50, 30);
    const Image resized = resize_bilinear(image, 24, 20);
    const Augmentation augmentation{Size{24, 20}, 0, Size{20, 18}, true};
    Preprocess ignored;
    ignored.short_side = 7;
    std::set<Place> places;
    for (uint64_t i = 0; i < 100; ++i)
        places.insert(place_of(augmented(image, augmentation, ignored, Random{3, i}), resized, 0, {20, 18}));
    EXPECT_GT(places.size(), 20u);  // of 30
}

TEST(Augment, WithoutACropItIsTheNetsPreprocessing) {
    const Image image = numbered(50, 30);
    Preprocess preprocess;
    preprocess.short_side = 16;
    preprocess.crop = Size{12, 12};
    const Image plain = transform(image, preprocess);
    std::set<bool> flips;
    for (uint64_t i = 0; i < 20; ++i) {
        const Image result = augmented(image, {{}, 0, {}, true}, preprocess, Random{4, i});
        flips.insert(place_of(result, plain, 0, {12, 12}).flip);
    }
    EXPECT_EQ(flips.size(), 2u);
    EXPECT_EQ(augmented(image, {}, preprocess, Random{5}).rgb, plain.rgb);
}

TEST(Augment, SaysWhatItDoes) {
    Preprocess preprocess;
    preprocess.short_side = 32;
    preprocess.crop = Size{32, 32};
    EXPECT_EQ(
        describe({{}, 4, Size{32, 32}, true}, preprocess),
        "4 black pixels around, random crop 32x32, random flip, short side 32, mean .5 .5 .5, std .5 .5 .5");
    EXPECT_EQ(describe({Size{512, 512}, 0, Size{480, 480}, false}, preprocess),
              "random crop 480x480, resize 512x512, mean .5 .5 .5, std .5 .5 .5");
    EXPECT_EQ(output_size({}, preprocess), (Size{32, 32}));
    EXPECT_EQ(output_size({{}, 4, Size{28, 28}, true}, preprocess), (Size{28, 28}));
    EXPECT_EQ(output_size({Size{40, 30}, 0, {}, true}, {}), (Size{40, 30}));
}

TEST(Augment, RefusesImagesSmallerThanTheCrop) {
    try {
        augmented(numbered(5, 9), {{}, 1, Size{8, 8}, false}, {}, Random{6});
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::Data);
        EXPECT_STREQ(error.what(), "is smaller (5x9) than the random crop (8x8)");
    }
}

struct NumberedSet : ImageSet {
    int64_t size() const override { return 40; }
    ImageItem item(int64_t index) const override { return {"image " + std::to_string(index), index % 2}; }
    std::vector<std::byte> bytes(int64_t index) const override { return {static_cast<std::byte>(index)}; }
    Image decode(int64_t index, std::span<const std::byte>, const DecodeLimits&) const override {
        if (index == 17) throw Error(ErrorKind::Data, item(index).path + ": broken on purpose");
        Image image = numbered(8, 8);
        for (uint8_t& value : image.rgb) value = static_cast<uint8_t>(value + index);
        return image;
    }
};

// Indices and pixels of the positions from `first` on, as one comparable list.
std::vector<std::pair<int64_t, std::vector<float>>> drain(int64_t first, int64_t batch, int threads) {
    const NumberedSet set;
    const Permutation order(Random{8}, set.size());
    Loader loader(set, {},
                  {.batch = batch,
                   .threads = threads,
                   .first = first,
                   .last = 2 * set.size(),
                   .order = [&](int64_t position) { return order(position % order.size()); },
                   .training = TrainingImages{{{}, 2, Size{8, 8}, true}, 9}});
    std::vector<std::pair<int64_t, std::vector<float>>> images;
    while (auto loaded = loader.next())
        for (int64_t i = 0; i < loaded->count; ++i) {
            const auto* pixels = loaded->pixels.data() + i * 8 * 8 * 3;
            images.push_back({loaded->indices[static_cast<size_t>(i)], {pixels, pixels + 8 * 8 * 3}});
        }
    return images;
}

TEST(Augment, OfTheLoaderDependsOnThePositionAlone) {
    const auto all = drain(0, 7, 1);
    ASSERT_EQ(all.size(), 78u);  // twice around, without the broken one
    EXPECT_EQ(drain(0, 7, 5), all);
    EXPECT_EQ(drain(0, 16, 3), all);
    const Permutation order(Random{8}, 40);
    int64_t before = 0;  // usable images of the first 23 positions
    for (int64_t i = 0; i < 23; ++i) before += order(i) != 17;
    const auto rest = drain(23, 7, 2);
    EXPECT_EQ(rest, (std::vector(all.begin() + before, all.end())));
    for (int64_t i = 0; i < before; ++i)  // the second time around an image looks different
        if (all[static_cast<size_t>(i)].second != all[static_cast<size_t>(i + 39)].second) return;
    FAIL() << "both passes drew the same";
}

}  // namespace
}  // namespace gs::test
