// Resizing, cropping and normalising, equal to Pillow and torchvision to the bit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <clocale>

#include "data/resize.h"
#include "tests/data/expected.h"
#include "tests/support/failure.h"

namespace gs::test {
namespace {

Image noise(int64_t width, int64_t height, uint32_t seed) {
    Image image{width, height, std::vector<uint8_t>(static_cast<size_t>(width * height * 3))};
    for (uint8_t& value : image.rgb)
        value = static_cast<uint8_t>((seed = seed * 1664525u + 1013904223u) >> 24);
    return image;
}

TEST(Resize, EqualsPillow) {
    const auto rows = cases("resize");
    ASSERT_GT(rows.size(), 80u);
    for (const auto& row : rows) {
        const Size size = parse_size(row[3]);
        const ResizeOrder order = row[2] == "pillow13" ? ResizeOrder::Pillow13 : ResizeOrder::HorizontalFirst;
        const Image image = open_image(data_dir() / "images" / row[1]);
        EXPECT_EQ(result(resize_bilinear(image, size.width, size.height, order)), (Result{row[3], row[4]}))
            << row[1] << " " << row[2];
    }
}

// The two orders differ where Pillow 13 says so, or the cases above would prove nothing about it.
TEST(Resize, OrdersDiffer) {
    const Image image = noise(50, 300, 1);
    EXPECT_NE(resize_bilinear(image, 48, 48, ResizeOrder::Pillow13).rgb, resize_bilinear(image, 48, 48).rgb);
}

TEST(Resize, RegionIsAPartOfTheWhole) {
    const Image image = noise(61, 47, 2);
    for (const Size size :
         {Size{100, 90}, Size{20, 15}, Size{61, 20}, Size{30, 47}, Size{61, 47}, Size{7, 130}})
        for (ResizeOrder order : {ResizeOrder::HorizontalFirst, ResizeOrder::Pillow13}) {
            const Image whole = resize_bilinear(image, size.width, size.height, order);
            const detail::Region region{2, 3, size.width - 5, size.height - 6};
            const Image part = detail::resize_region(image, size, region, order);
            ASSERT_EQ(part.rgb.size(), static_cast<size_t>(region.width * region.height * 3));
            for (int64_t y = 0; y < region.height; ++y)
                EXPECT_TRUE(std::equal(
                    part.rgb.begin() + y * region.width * 3, part.rgb.begin() + (y + 1) * region.width * 3,
                    whole.rgb.begin() + ((y + region.top) * size.width + region.left) * 3));
        }
}

TEST(Resize, EveryMachineGivesTheSame) {
    for (const auto& [w, h] :
         {std::pair<int64_t, int64_t>{1, 1}, {1, 9}, {9, 1}, {2, 2}, {131, 97}, {500, 33}}) {
        const Image image = noise(w, h, 5);
        for (const Size size : {Size{1, 1}, Size{2, 7}, Size{64, 65}, Size{257, 3}}) {
            const detail::Region all{0, 0, size.width, size.height};
            EXPECT_EQ(detail::resize_region(image, size, all, ResizeOrder::HorizontalFirst, true).rgb,
                      resize_bilinear(image, size.width, size.height).rgb);
        }
    }
}

// Sums of many rounded weights may pass 255; white must stay white.
TEST(Resize, WhiteStaysWhite) {
    for (const auto& [w, h] : {std::pair<int64_t, int64_t>{70'001, 1}, {3, 40'000}, {333, 777}}) {
        const Image white{w, h, std::vector<uint8_t>(static_cast<size_t>(w * h * 3), 255)};
        for (uint8_t value : resize_bilinear(white, 2, 3).rgb) ASSERT_GE(value, 254);
    }
}

// What stands between the passes would be 480 x 3,000,000 pixels: 4 GB for an image of 9 MB.
TEST(Resize, LongAndNarrowImagesAreRefused) {
    constexpr int64_t kRows = 3'000'000;
    const Image image{1, kRows, std::vector<uint8_t>(kRows * 3, 200)};
    EXPECT_THAT(failure_of(ErrorKind::Data, [&] { resize_bilinear(image, 480, 480); }),
                testing::HasSubstr("1x3000000 pixels are too long and narrow"));
    // The rows go first here, and a part asks for less.
    EXPECT_EQ(resize_bilinear(image, 480, 480, ResizeOrder::Pillow13).rgb.at(7), 200);
    const detail::Region corner{0, 0, 8, 1};
    EXPECT_EQ(detail::resize_region(image, {480, 480}, corner, ResizeOrder::HorizontalFirst).rgb.at(7), 200);
}

TEST(Prepare, EqualsTorchvision) {
    const auto rows = cases("prepare");
    ASSERT_GE(rows.size(), 35u);
    for (const auto& row : rows) {
        Preprocess preprocess;
        if (row[2] != "0") preprocess.short_side = std::stoll(row[2]);
        preprocess.crop = parse_size(row[3]);
        const Image image = open_image(data_dir() / "images" / row[1]);
        EXPECT_EQ(result(transform(image, preprocess)), (Result{row[3], row[4]}))
            << row[1] << " short side " << row[2];
        if (row[2] == "0") {
            EXPECT_EQ(result(center_crop(image, preprocess.crop->width, preprocess.crop->height)).hash,
                      row[4]);
        }
    }
}

TEST(Prepare, ResizesInTheOrderOfPassesThatIsAskedFor) {
    const Image image = noise(50, 300, 1);
    constexpr ResizeOrder kOrder = ResizeOrder::Pillow13;
    Preprocess whole, cropped;
    whole.resize = Size{48, 48};
    cropped.short_side = 48;
    cropped.crop = Size{48, 48};
    for (const auto& [preprocess, want] :
         {std::pair{whole, resize_bilinear(image, 48, 48, kOrder)},
          {cropped, center_crop(resize_bilinear(image, 48, 288, kOrder), 48, 48)}}) {
        SCOPED_TRACE(preprocess.describe());
        Preprocess ordered = preprocess;
        ordered.order = kOrder;
        ordered.mean = {0.485f, 0.456f, 0.406f};
        ordered.std = {0.229f, 0.224f, 0.225f};
        EXPECT_THAT(ordered.describe(), testing::HasSubstr("Pillow 13's order of passes"));
        std::vector<float> got(want.rgb.size());
        normalise(transform(image, ordered), ordered, got);
        for (size_t i = 0; i < got.size(); ++i)
            ASSERT_EQ(got[i],
                      (static_cast<float>(want.rgb[i]) / 255.0f - ordered.mean[i % 3]) / ordered.std[i % 3]);
        EXPECT_NE(transform(image, preprocess).rgb, want.rgb) << "or this proves nothing";
    }
}

TEST(Normalise, EqualsTorchvisionBitwise) {
    const auto rows = cases("normalise");
    ASSERT_EQ(rows.size(), 6u);
    Image ramp{256, 1, {}};
    for (int value = 0; value < 256; ++value) ramp.rgb.insert(ramp.rgb.end(), 3, static_cast<uint8_t>(value));
    for (const auto& row : rows) {
        Preprocess preprocess;
        for (size_t c = 0; c < 3; ++c) {
            preprocess.mean[c] = static_cast<float>(std::stod(row[1 + c]));
            preprocess.std[c] = static_cast<float>(std::stod(row[4 + c]));
        }
        std::vector<float> out(ramp.rgb.size());
        normalise(ramp, preprocess, out);
        EXPECT_EQ(half_hash(std::as_bytes(std::span(out))), row[7]) << preprocess.describe();
    }
}

// Statistics and results are compared by this text, whatever locale the program around us has chosen.
TEST(Preprocess, DescribesWithPointsInALocaleOfCommas) {
    const auto has = [](const char* name) { return std::setlocale(LC_ALL, name) != nullptr; };
    if (!has("de_DE.UTF-8") && !has("fr_FR.UTF-8")) GTEST_SKIP() << "no such locale here";
    Preprocess p;
    p.mean = {0.485f, 0.456f, 0.406f};
    const std::string text = p.describe(), fault = fault_of_pixels({127.5f, 0.5f, 0.5f}, true);
    std::setlocale(LC_ALL, "C");
    EXPECT_EQ(text, "size kept, mean .485 .456 .406, std .5 .5 .5");
    EXPECT_THAT(fault, testing::HasSubstr("by 255: 0.5,0.001961,0.001961"));
}

TEST(Preprocess, Describes) {
    Preprocess p;
    p.short_side = 256;
    p.crop = Size{224, 224};
    p.mean = {0.485f, 0.456f, 0.406f};
    p.std = {0.229f, 0.224f, 0.225f};
    EXPECT_EQ(p.describe(), "short side 256, centre crop 224, mean .485 .456 .406, std .229 .224 .225");
    EXPECT_EQ(p.output_size(), (Size{224, 224}));
    EXPECT_EQ(Preprocess{}.describe(), "size kept, mean .5 .5 .5, std .5 .5 .5");
    EXPECT_EQ(Preprocess{}.output_size(), std::nullopt);
    Preprocess fixed;
    fixed.resize = Size{480, 320};
    EXPECT_EQ(fixed.describe(), "resize 480x320, mean .5 .5 .5, std .5 .5 .5");
    EXPECT_EQ(fixed.output_size(), (Size{480, 320}));
}

// A thin image would become 256 x 16,777,216 before the crop: only the crop may be computed.
TEST(Prepare, ThinImagesNeedNoMemory) {
    Preprocess p;
    p.short_side = 256;
    p.crop = Size{224, 224};
    EXPECT_EQ(transform(noise(1, 65'500, 3), p).rgb.size(), 224u * 224u * 3u);
    p.crop.reset();
    try {
        transform(noise(65'500, 1, 3), p);
        FAIL() << "12 GB were allocated";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::Data);
        EXPECT_STREQ(error.what(), "would be resized to 16768000x256 pixels, which is too large");
    }
}

}  // namespace
}  // namespace gs::test
