#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <span>
#include <string>

#include "core/error.h"
#include "core/files.h"
#include "data/image.h"
#include "tools/demo_shapes.h"
#include "tools/draw_demo.h"
#include "tools/encode_image.h"

namespace gs::demo {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class DrawDemo : public testing::Test {
  protected:
    DrawDemo() {
        const auto* info = testing::UnitTest::GetInstance()->current_test_info();
        root_ = fs::temp_directory_path() /
                ("gs_draw_demo_" + std::string(info->name()) + std::to_string(getpid()));
        fs::remove_all(root_);
        fs::create_directories(root_);
    }
    ~DrawDemo() override { fs::remove_all(root_); }

    fs::path root_;
};

// Relative path -> decoded image of everything below a folder.
std::map<std::string, Image> read_tree(const fs::path& root) {
    std::map<std::string, Image> images;
    for (const auto& entry : fs::recursive_directory_iterator(root))
        if (entry.is_regular_file())
            images[fs::relative(entry.path(), root).string()] =
                decode_image(read_file(entry.path(), ErrorKind::Data));
    return images;
}

TEST_F(DrawDemo, WritesEveryClassAndBothOtherSetsAsReadableFiles) {
    draw_demo(root_ / "a", {.seed = 3, .id_per_class = 5, .ood = 7});
    const auto images = read_tree(root_ / "a");
    std::map<std::string, int> per_folder, per_kind;
    for (const auto& [path, image] : images) {
        ++per_folder[fs::path(path).parent_path().string()];
        ++per_kind[fs::path(path).extension().string()];
        EXPECT_EQ(image.width, kWidth) << path;
        EXPECT_EQ(image.height, kHeight) << path;
    }
    std::map<std::string, int> want{{"ood-textures", 7}, {"ood-shapes", 7}};
    for (const std::string_view name : kClasses) want["id/" + std::string(name)] = 5;
    EXPECT_EQ(per_folder, want);
    EXPECT_EQ(per_kind, (std::map<std::string, int>{{".png", 52}, {".jpg", 12}}));
    EXPECT_TRUE(std::ranges::is_sorted(kClasses)) << "labels are the order of sorted folder names";
}

TEST_F(DrawDemo, SameSeedSamePixelsOtherSeedOtherPixels) {
    draw_demo(root_ / "a", {.seed = 3, .id_per_class = 4, .ood = 4});
    draw_demo(root_ / "b", {.seed = 3, .id_per_class = 4, .ood = 4});
    draw_demo(root_ / "c", {.seed = 4, .id_per_class = 4, .ood = 4});
    const auto a = read_tree(root_ / "a"), b = read_tree(root_ / "b"), c = read_tree(root_ / "c");
    ASSERT_EQ(a.size(), 48u);
    ASSERT_EQ(b.size(), a.size());
    ASSERT_EQ(c.size(), a.size());
    std::set<std::string> distinct;
    for (const auto& [path, image] : a) {
        EXPECT_EQ(image.rgb, b.at(path).rgb) << path;
        EXPECT_NE(image.rgb, c.at(path).rgb) << path;
        distinct.insert(sha256_hex(std::as_bytes(std::span(image.rgb))));
    }
    EXPECT_EQ(distinct.size(), a.size()) << "no image is drawn twice";
}

TEST_F(DrawDemo, AnImageDoesNotDependOnHowManyAreDrawn) {
    draw_demo(root_ / "few", {.seed = 9, .id_per_class = 2, .ood = 3});
    const auto few = read_tree(root_ / "few");
    for (uint64_t i = 0; i < 2; ++i)
        EXPECT_EQ(few.at("id/cross/000" + std::to_string(i) + ".png").rgb, draw_class(2, 9, i).rgb);
    EXPECT_EQ(few.at("ood-textures/0002.png").rgb, draw_ood_texture(9, 2).rgb);
    EXPECT_EQ(few.at("ood-shapes/0002.png").rgb, draw_ood_shape(9, 2).rgb);
}

TEST_F(DrawDemo, PixelsAreTheSameOnEveryMachine) {
    // Recorded once; the drawing uses exact operations only, so every compiler and processor must agree.
    Sha256 hash;
    const auto add = [&](const Image& image) { hash.update(std::as_bytes(std::span(image.rgb))); };
    for (size_t label = 0; label < kClasses.size(); ++label)
        for (uint64_t i = 0; i < 20; ++i) add(draw_class(label, 1, i));
    for (uint64_t i = 0; i < 40; ++i) add(draw_ood_texture(1, i));
    for (uint64_t i = 0; i < 40; ++i) add(draw_ood_shape(1, i));
    EXPECT_EQ(hash.hex(), "73f47ede31f9e711292109775d9f42f06d468692448bbb41fb7b0eff3f318d75");
}

TEST_F(DrawDemo, FiguresStandOutFromTheirBackground) {
    // Each class fills a sensible share of the plane, inside and outside alike.
    for (const std::string_view name : kClasses) {
        Random random(1, 2, 3);
        const Outline outline = class_outline(name, random);
        int inside = 0;
        for (int y = -40; y < 40; ++y)
            for (int x = -40; x < 40; ++x) inside += outline({(x + 0.5) / 40, (y + 0.5) / 40}) < 0;
        EXPECT_GT(inside, 6400 * 15 / 100) << name;
        EXPECT_LT(inside, 6400 * 65 / 100) << name;
    }
}

TEST_F(DrawDemo, RefusesAFolderThatHoldsSomething) {
    std::ofstream(root_ / "mine.txt") << "keep";
    try {
        draw_demo(root_, {.seed = 1, .id_per_class = 1, .ood = 1});
        FAIL() << "must refuse";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::Usage);
        EXPECT_THAT(error.what(), HasSubstr(root_.string()));
    }
    EXPECT_FALSE(fs::exists(root_ / "id"));
    try {
        draw_demo(root_ / "mine.txt", {});
        FAIL() << "a file is no folder";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::Usage);
    }
}

TEST_F(DrawDemo, AnUnwritablePlaceIsAnErrorThatNamesIt) {
    try {
        draw_demo("/proc/gradscore-demo", {});
        FAIL() << "must fail";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::Internal);
        EXPECT_THAT(error.what(), HasSubstr("/proc/gradscore-demo"));
    }
}

TEST(EncodeImage, PngIsLossless) {
    Image image{5, 3, {}};
    for (int i = 0; i < 45; ++i) image.rgb.push_back(static_cast<uint8_t>(i * 53 % 256));
    const Image back = decode_image(encode_png(image));
    EXPECT_EQ(back.width, 5);
    EXPECT_EQ(back.height, 3);
    EXPECT_EQ(back.rgb, image.rgb);
}

TEST(EncodeImage, JpegIsClose) {
    Image image{33, 17, {}};
    for (int y = 0; y < 17; ++y)
        for (int x = 0; x < 33; ++x)
            for (const int value : {4 * x, 8 * y, 100}) image.rgb.push_back(static_cast<uint8_t>(value));
    const Image back = decode_image(encode_jpeg(image, 95));
    ASSERT_EQ(back.width, 33);
    ASSERT_EQ(back.height, 17);
    int worst = 0;
    for (size_t i = 0; i < image.rgb.size(); ++i)
        worst = std::max(worst, std::abs(image.rgb[i] - back.rgb[i]));
    EXPECT_LE(worst, 12);
}

}  // namespace
}  // namespace gs::demo
