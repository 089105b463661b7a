// Families and sizes: read off the weights, by published name, and back.
#include <gtest/gtest.h>

#include <functional>
#include <numeric>

#include "nets/net.h"
#include "nets/weight_reader.h"
#include "tests/support/editable_weights.h"
#include "tests/support/golden_net.h"

namespace gs::test {
namespace {

Architecture resnet_like(Family family, std::vector<int64_t> units, int64_t base, bool bottleneck,
                         int64_t classes, std::string head, int64_t pool_window = 0) {
    Architecture a;
    a.family = family;
    a.units = std::move(units);
    a.base = base;
    a.bottleneck = bottleneck;
    a.classes = classes;
    a.head = std::move(head);
    a.pool_window = pool_window;
    return a;
}

Architecture wrn(std::vector<int64_t> units, int64_t widen, int64_t classes) {
    Architecture a = resnet_like(Family::WideResNet, std::move(units), 16, false, classes, "fc");
    a.widen = widen;
    return a;
}

Architecture mobilenet(std::vector<InvertedResidual> blocks, int64_t stem, int64_t classes) {
    Architecture a = resnet_like(Family::MobileNetV2, {}, stem, false, classes, "classifier.1");
    a.blocks = std::move(blocks);
    return a;
}

// Width 0.35: stem 16, outputs 8, 8, 16, 24, all multiples of 8 (torchvision's rounding).
const std::map<std::string, Architecture>& expected() {
    static const std::map<std::string, Architecture> nets = {
        {"bit", resnet_like(Family::ResNetV2, {1, 2, 1, 1}, 32, true, 7, "head.conv")},
        {"cifar_basic", resnet_like(Family::CifarResNet, {1, 2, 1, 2}, 8, false, 6, "linear", 4)},
        {"cifar_bottleneck", resnet_like(Family::CifarResNet, {1, 1, 2, 1}, 8, true, 9, "linear", 4)},
        {"cifar_openood", resnet_like(Family::CifarResNet, {1, 1, 1, 1}, 8, false, 6, "fc")},
        {"option_a", resnet_like(Family::CifarOptionA, {1, 1, 1}, 16, false, 5, "linear")},
        {"wrn", wrn({2, 2, 2}, 1, 6)},
        {"tv_basic", resnet_like(Family::ResNet, {2, 1, 1, 1}, 16, false, 11, "fc")},
        {"tv_bottleneck", resnet_like(Family::ResNet, {1, 2, 1, 1}, 8, true, 11, "fc")},
        {"mobilenet",
         mobilenet(
             {{16, 8, 1, false}, {48, 8, 2, true}, {48, 8, 1, true}, {24, 16, 2, true}, {48, 16, 1, true}},
             16, 8)},
        {"bit_small", resnet_like(Family::ResNetV2, {2, 2, 1, 1}, 32, true, 10, "head.conv")},
        {"bit_r101x1", resnet_like(Family::ResNetV2, {3, 4, 23, 3}, 64, true, 20, "head.conv")},
        {"cifar_resnet_small", resnet_like(Family::CifarResNet, {2, 1, 2, 1}, 16, false, 10, "linear", 4)},
        {"cifar_resnet34", resnet_like(Family::CifarResNet, {3, 4, 6, 3}, 64, false, 10, "linear", 4)},
        {"wrn16_2", wrn({2, 2, 2}, 2, 10)},
        {"wrn40_2", wrn({6, 6, 6}, 2, 10)},
        {"tv_resnet_tiny", resnet_like(Family::ResNet, {1, 2, 1, 1}, 16, true, 12, "fc")},
        {"mobilenet_tiny", mobilenet({{16, 8, 1, false},
                                      {48, 8, 2, true},
                                      {48, 8, 1, true},
                                      {48, 16, 2, true},
                                      {96, 16, 1, true},
                                      {64, 24, 2, true},
                                      {96, 24, 1, true}},
                                     16, 12)},
    };
    return nets;
}

class GuessedArchitecture : public testing::TestWithParam<GoldenCase> {};

TEST_P(GuessedArchitecture, FamilyAndSizesComeFromTheWeights) {
    if (!GetParam().is_here()) GTEST_SKIP() << "needs the folder ../shared, which is not here";
    const GoldenNet golden(GetParam());
    const Architecture found = guess_architecture(WeightReader(golden.weights()));
    const Architecture& want = expected().at(GetParam().name);
    EXPECT_EQ(to_string(found.family), to_string(want.family));
    EXPECT_EQ(found.units, want.units);
    EXPECT_EQ(found.base, want.base);
    EXPECT_EQ(found.bottleneck, want.bottleneck);
    EXPECT_EQ(found.widen, want.widen);
    EXPECT_EQ(found.classes, want.classes);
    EXPECT_EQ(found.head, want.head);
    EXPECT_EQ(found.pool_window, want.pool_window);
    ASSERT_EQ(found.blocks.size(), want.blocks.size());
    for (size_t i = 0; i < want.blocks.size(); ++i) {
        SCOPED_TRACE("block " + std::to_string(i + 1));
        EXPECT_EQ(found.blocks[i].hidden, want.blocks[i].hidden);
        EXPECT_EQ(found.blocks[i].out, want.blocks[i].out);
        EXPECT_EQ(found.blocks[i].stride, want.blocks[i].stride);
        EXPECT_EQ(found.blocks[i].expand, want.blocks[i].expand);
    }
    EXPECT_EQ(found, want);
}

INSTANTIATE_TEST_SUITE_P(All, GuessedArchitecture, testing::ValuesIn(all_golden_nets()),
                         [](const auto& param) { return param.param.name; });

TEST(PublishedNames, EveryNameGoesThereAndBack) {
    for (const std::string& name : published_names()) {
        const std::string known = name == "wrn-D-K" ? "wrn-28-10" : name;
        const auto architecture = architecture_of(known, 10);
        ASSERT_TRUE(architecture) << known;
        EXPECT_EQ(name_of(*architecture), known);
        EXPECT_EQ(architecture->classes, 10);
    }
    EXPECT_EQ(architecture_of("BiT-S-R101x1", 1000), architecture_of("bit-r101x1", 1000));
    EXPECT_EQ(architecture_of("BIT-M-R50x3", 5), architecture_of("bit-r50x3", 5));
    EXPECT_EQ(architecture_of("WRN-40-2", 10)->units, (std::vector<int64_t>{6, 6, 6}));
}

// As torchvision counts its nets, and He et al. (table 6) and Kolesnikov et al. theirs: a unit too few or a
// width that is off shows.
TEST(PublishedNames, NetsHaveThePublishedNumberOfParameters) {
    const std::pair<const char*, int64_t> published[] = {
        {"resnet18", 11'689'512},  {"resnet34", 21'797'672},  {"resnet50", 25'557'032},
        {"resnet101", 44'549'160}, {"resnet152", 60'192'808}, {"mobilenet-v2", 3'504'872},
        {"bit-r50x1", 25'549'352}, {"bit-r101x1", 44'541'480}};
    const auto backend = make_cpu_backend({.threads = 1, .use_onednn = false});
    for (const auto& [name, count] : published) {
        int64_t parameters = 0;
        WeightReader reader([&](const std::string& tensor, const std::vector<int64_t>& shape) {
            const int64_t size = std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
            if (tensor.find("running_") == std::string::npos) parameters += size;
            return std::vector<float>(static_cast<size_t>(size), 1.0f);
        });
        build_net(*backend, reader, *architecture_of(name, 1000));
        EXPECT_EQ(parameters, count) << name;
    }
}

// Of those too large to be made for a test; google-research/big_transfer (models.py, KNOWN_MODELS).
TEST(PublishedNames, LargeNetsHaveThePublishedUnitsAndWidths) {
    const auto expect = [](const char* name, const std::vector<int64_t>& units, int64_t base) {
        const auto architecture = architecture_of(name, 1000);
        EXPECT_EQ(architecture->units, units) << name;
        EXPECT_EQ(architecture->base, base) << name;
    };
    expect("bit-r50x3", {3, 4, 6, 3}, 64 * 3);
    expect("bit-r101x3", {3, 4, 23, 3}, 64 * 3);
    expect("bit-r152x2", {3, 8, 36, 3}, 64 * 2);
    expect("bit-r152x4", {3, 8, 36, 3}, 64 * 4);
    for (const auto& [name, depth] : {std::pair{"resnet20-cifar", 20},
                                      {"resnet32-cifar", 32},
                                      {"resnet44-cifar", 44},
                                      {"resnet56-cifar", 56},
                                      {"resnet110-cifar", 110}})
        expect(name, std::vector<int64_t>(3, (depth - 2) / 6), 16);  // 6n + 2 layers
}

TEST(PublishedNames, OthersAreUnknown) {
    for (const char* name :
         {"", "resnet", "resnet1001", "wrn-40", "wrn-41-2", "wrn-40-0", "wrn-4-2", "wrn-40-2x", "wrn-40000-2",
          "bit-r101x1 ", "bit-s-", "bit", "vgg16", "mobilenet"})
        EXPECT_FALSE(architecture_of(name, 10)) << name;
}

TEST(PublishedNames, SizesThatHaveNoNameAreDescribed) {
    EXPECT_EQ(name_of(wrn({2, 1, 2}, 2, 10)), "WideResNet (2-1-2 units, base 16, widened by 2)");
    Architecture base32 = wrn({2, 2, 2}, 2, 10);
    base32.base = 32;
    EXPECT_EQ(name_of(base32), "WideResNet (2-2-2 units, base 32, widened by 2)");
    EXPECT_EQ(name_of(expected().at("cifar_bottleneck")), "CIFAR ResNet (1-1-2-1 units, base 8, bottleneck)");
    EXPECT_EQ(name_of(expected().at("bit")), "BiT ResNetv2 (1-2-1-1 units, base 32)");
    EXPECT_EQ(name_of(expected().at("mobilenet")), "MobileNet-v2 (5 blocks, stem 16)");
}

// Names and shapes of a net of this family; the kernels need no values.
EditableWeights cifar_like(size_t stages, const std::string& shortcut, const std::string& head,
                           int64_t classes) {
    EditableWeights weights;
    weights.add("conv1.weight", {16, 3, 3, 3});
    for (size_t s = 1; s <= stages; ++s) {
        const std::string unit = "layer" + std::to_string(s) + ".0.";
        weights.add(unit + "conv1.weight", {1});
        if (s > 1) weights.add(unit + shortcut + ".0.weight", {1});
    }
    weights.add(head + ".weight", {classes, 64});
    return weights;
}

// Of images of 32x32 three stages leave a map of 8x8, which no window of 4 covers.
TEST(GuessedPool, AWindowIsOfFourStagesOfTheFamilyThatHasOne) {
    const auto window = [](size_t stages, const std::string& shortcut, const std::string& head) {
        const EditableWeights weights = cifar_like(stages, shortcut, head, 10);
        const WeightFile file = weights.file();
        const Architecture found = guess_architecture(WeightReader(file));
        EXPECT_EQ(to_string(found.family), "CIFAR ResNet");
        EXPECT_EQ(found.shortcut, shortcut);
        return found.pool_window;
    };
    EXPECT_EQ(window(4, "shortcut", "linear"), 4);
    EXPECT_EQ(window(3, "shortcut", "linear"), 0);
    EXPECT_EQ(window(4, "shortcut", "fc"), 0);
    EXPECT_EQ(window(4, "downsample", "linear"), 0);
    EXPECT_EQ(window(3, "downsample", "fc"), 0);
}

TEST(GuessedPreprocessing, ThreeStagesWithDownsampleAreChenyaofos) {
    const auto preprocess = [](size_t stages, int64_t classes) {
        const EditableWeights weights = cifar_like(stages, "downsample", "fc", classes);
        const WeightFile file = weights.file();
        return default_preprocess(guess_architecture(WeightReader(file)));
    };
    EXPECT_EQ(preprocess(3, 10).std, (std::array<float, 3>{.2023f, .1994f, .2010f}));
    EXPECT_EQ(preprocess(3, 100).mean, (std::array<float, 3>{.5070f, .4865f, .4409f}));
    EXPECT_EQ(preprocess(3, 100).std, (std::array<float, 3>{.2673f, .2564f, .2761f}));
    EXPECT_EQ(preprocess(3, 10).short_side, 32);
    EXPECT_EQ(preprocess(4, 10).std, (std::array<float, 3>{.2470f, .2435f, .2616f})) << "as all with fc";
}

TEST(GuessedPreprocessing, EveryFamilyHasItsSourcesOwn) {
    using Rgb = std::array<float, 3>;
    const Rgb half{.5f, .5f, .5f}, imagenet_mean{.485f, .456f, .406f}, imagenet_std{.229f, .224f, .225f};
    const auto of = [](const char* name) { return default_preprocess(*architecture_of(name, 1000)); };
    const auto expect = [](const Preprocess& p, std::optional<Size> resize, std::optional<int64_t> short_side,
                           std::optional<Size> crop, const Rgb& mean, const Rgb& std) {
        EXPECT_EQ(p.resize, resize);
        EXPECT_EQ(p.short_side, short_side);
        EXPECT_EQ(p.crop, crop);
        EXPECT_EQ(p.mean, mean);
        EXPECT_EQ(p.std, std);
    };
    expect(of("bit-r101x1"), Size{480, 480}, std::nullopt, std::nullopt, half, half);
    expect(of("resnet50"), std::nullopt, 256, Size{224, 224}, imagenet_mean, imagenet_std);
    expect(of("mobilenet-v2"), std::nullopt, 256, Size{224, 224}, imagenet_mean, imagenet_std);
    expect(of("resnet20-cifar"), std::nullopt, 32, Size{32, 32}, imagenet_mean, imagenet_std);
    const auto gaia = [](int64_t classes) {
        const EditableWeights weights = cifar_like(4, "shortcut", "linear", classes);
        const WeightFile file = weights.file();
        return default_preprocess(guess_architecture(WeightReader(file)));
    };
    expect(gaia(10), std::nullopt, std::nullopt, Size{32, 32}, {.4914f, .4822f, .4465f},
           {.2023f, .1994f, .2010f});
    expect(gaia(100), std::nullopt, std::nullopt, Size{32, 32}, {.5071f, .4867f, .4408f},
           {.2675f, .2565f, .2761f});
}

// OpenOOD's normalization_dict (openood/preprocessors/transform.py).
TEST(GuessedPreprocessing, OpenOodNormalisesCifar100ByItsOwnConstants) {
    const EditableWeights weights = cifar_like(4, "shortcut", "fc", 100);
    const WeightFile file = weights.file();
    const Preprocess p = default_preprocess(guess_architecture(WeightReader(file)));
    EXPECT_EQ(p.short_side, 32);
    EXPECT_EQ(p.mean, (std::array<float, 3>{.5071f, .4867f, .4408f}));
    EXPECT_EQ(p.std, (std::array<float, 3>{.2675f, .2565f, .2761f}));
}

// energy_ood divides as Python does, then PyTorch rounds: 66.7f / 255 is one step below.
TEST(GuessedPreprocessing, WideResNetsConstantsAreRoundedOnce) {
    Architecture wide;
    wide.family = Family::WideResNet;
    EXPECT_EQ(default_preprocess(wide).std,
              (std::array<float, 3>{0x1.f9f9fap-3f, 0x1.f2bf8cp-3f, 0x1.0bd8a6p-2f}));
    EXPECT_EQ(default_preprocess(wide).mean,
              (std::array<float, 3>{0x1.f72a5ep-2f, 0x1.ededeep-2f, 0x1.c962fcp-2f}));
}

TEST(Overrides, ReplaceFieldsAndRefuseOthers) {
    Architecture a = expected().at("mobilenet");
    apply_overrides(a, R"({"strides": [1, 2, 2, 1, 1]})");
    EXPECT_EQ(a.blocks[2].stride, 2);
    EXPECT_EQ(a.blocks[3].stride, 1);
    Architecture cifar = expected().at("cifar_basic");
    apply_overrides(cifar, R"({"pool_window": 0})");
    EXPECT_EQ(cifar.pool_window, 0);
    apply_overrides(cifar, R"({"stem_pool": true})");
    EXPECT_TRUE(cifar.stem_pool);
    for (const char* bad : {"", "[]", "7", "{", R"({"strides": [1]})", R"({"strides": [1, 2, 2, 1, 3]})",
                            R"({"strides": [1, 2, 2, 1, "1"]})", R"({"strides": 2})", R"({"units": [1]})",
                            R"({"stem_pool": true})", R"({"pool_window": -1})", R"({"pool_window": "4"})",
                            R"({"pool_window": 1.5})"})
        try {
            apply_overrides(a, bad);
            ADD_FAILURE() << bad << " was taken";
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::Usage) << bad;
            EXPECT_EQ(std::string(error.what()).find("--arch: "), 0u) << error.what();
        }
}

}  // namespace
}  // namespace gs::test
