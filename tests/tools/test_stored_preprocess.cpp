// Preprocessing in the metadata of weights: what goes in comes out, and nothing else is taken.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/failure.h"
#include "tools/stored_preprocess.h"

namespace gs::test {
namespace {

using testing::HasSubstr;

// A net's usual one.
Preprocess usual() {
    Preprocess p;
    p.short_side = 256;
    p.crop = Size{224, 224};
    p.mean = {.485f, .456f, .406f};
    p.std = {.229f, .224f, .225f};
    return p;
}

WeightFile with_metadata(const std::map<std::string, std::string>& metadata) {
    WeightFile file;
    file.path = "net.safetensors";
    file.metadata = metadata;
    return file;
}

TEST(StoredPreprocess, ComesBackAsItWas) {
    Preprocess kept = usual(), resized = usual(), square = usual();
    kept.short_side.reset();
    kept.crop.reset();
    resized.short_side.reset();
    resized.resize = Size{512, 496};
    resized.mean = {125.3f / 255, 1.0f / 3.0f, 0};
    resized.std = {1e-7f, 1, 66.7f / 255};
    square.short_side = 32;
    square.crop = Size{32, 31};
    for (const Preprocess& want : {usual(), kept, resized, square, Preprocess{}}) {
        const Preprocess got = stored_preprocess(with_metadata(preprocess_metadata(want)), usual());
        EXPECT_EQ(got.short_side, want.short_side);
        EXPECT_EQ(got.resize, want.resize);
        EXPECT_EQ(got.crop, want.crop);
        EXPECT_EQ(got.mean, want.mean);
        EXPECT_EQ(got.std, want.std);
        EXPECT_EQ(flags_between(want, got), "");
    }
}

TEST(StoredPreprocess, FilesWithoutOneLeaveTheUsual) {
    const std::map<std::string, std::string> others{{"resize", "7"}, {"net", "resnet50"}};
    EXPECT_EQ(stored_preprocess(with_metadata(others), usual()).describe(), usual().describe());
}

TEST(StoredPreprocess, TheFlagsThatDifferAreNamed) {
    Preprocess other = usual();
    other.short_side.reset();
    other.crop.reset();
    EXPECT_EQ(flags_between(usual(), other), "--resize none --crop none");
    EXPECT_EQ(flags_between(other, usual()), "--resize 256 --crop 224x224");
    other = usual();
    other.std = {.5f, .25f, 1};
    EXPECT_EQ(flags_between(usual(), other), "--std 0.5,0.25,1");
}

TEST(StoredPreprocess, ValuesThatAreNoneAreRefusedWithTheFile) {
    for (const auto& [key, value] :
         {std::pair("resize", "big"), {"crop", "0"}, {"mean", "1,2"}, {"std", "0,1,1"}})
        EXPECT_THAT(
            test::failure_of(
                ErrorKind::Weights,
                [&] {
                    stored_preprocess(with_metadata({{std::string("preprocessing/") + key, value}}), usual());
                }),
            testing::AllOf(HasSubstr("net.safetensors: metadata 'preprocessing/"),
                           HasSubstr(std::string("--") + key)));
}

}  // namespace
}  // namespace gs::test
