// Weights that do not fit: one line that names every fault, and no absurd amounts of memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "nets/weight_reader.h"
#include "tests/support/backends.h"
#include "tests/support/editable_weights.h"
#include "tests/support/failure.h"
#include "tests/support/golden_net.h"

namespace gs::test {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

Backend& backend() {
    return *backends_under_test().front().backend;
}

EditableWeights weights_of(const std::string& name) {
    return EditableWeights(GoldenNet(GoldenCase{name}).weights());
}

// The message of the Error(kind) that building these weights ends in.
std::string refusal(const EditableWeights& weights, const BuildOptions& options = {},
                    ErrorKind kind = ErrorKind::Weights) {
    return failure_of(kind, [&] { build_net(backend(), weights.file(), options); });
}

TEST(WrongWeights, Case06_MissingExtraAndMisshapenTensorsAreAllListed) {
    EditableWeights weights = weights_of("cifar_basic");
    weights.erase("layer2.1.bn1.bias");
    weights.erase("layer3.0.conv2.weight");
    weights.at("layer1.0.bn2.running_mean").shape = {4, 2};
    weights.at("linear.bias") = {"linear.bias", {7}, std::vector<float>(7)};
    weights.add("layer2.0.shortcut.2.weight", {3});
    weights.add("optimizer.step", {1});
    EXPECT_THAT(
        refusal(weights),
        AllOf(HasSubstr("net.safetensors: weights do not fit the net: "),
              HasSubstr("missing layer2.1.bn1.bias [16]"),
              HasSubstr("missing layer3.0.conv2.weight [32, 32, 3, 3]"),
              HasSubstr("layer1.0.bn2.running_mean is [4, 2], needed [8]"),
              HasSubstr("linear.bias is [7], needed [6]"),
              HasSubstr("tensors the net does not have: layer2.0.shortcut.2.weight, optimizer.step")));
}

TEST(WrongWeights, LongListsAreCut) {
    EditableWeights weights = weights_of("cifar_basic");
    for (int i = 0; i < 20; ++i) weights.add("extra" + std::to_string(i), {1});
    EXPECT_THAT(refusal(weights), HasSubstr("and 12 more"));
}

TEST(WrongWeights, CountersOfBatchNormAreNoFault) {
    EditableWeights weights = weights_of("cifar_basic");
    weights.add("bn1.num_batches_tracked", {});
    weights.add("n_averaged", {});
    weights.add("averaged.n_averaged", {});
    EXPECT_EQ(refusal(weights), "no error");
    weights.add("naveraged", {});
    EXPECT_THAT(refusal(weights), HasSubstr("the net does not have: naveraged"));
}

// Which of a checkpoint's parts was read may be why it does not fit.
TEST(WrongWeights, TheReadersNoticesEndTheMessage) {
    const EditableWeights weights = weights_of("wrn");
    WeightFile file = weights.file();
    file.notices = {"weights taken from 'model_ema'", "left out (no weights): epoch"};
    file.tensors.pop_back();
    const std::string end = " (weights taken from 'model_ema'; left out (no weights): epoch)";
    EXPECT_THAT(failure_of(ErrorKind::Weights, [&] { build_net(backend(), file); }), EndsWith(end));
    file.tensors.resize(1);
    EXPECT_THAT(failure_of(ErrorKind::Weights, [&] { build_net(backend(), file); }),
                AllOf(HasSubstr("no known net"), EndsWith(end)));
}

TEST(WrongWeights, Case07_NonfiniteValuesAreNamedAndCanBeAllowed) {
    EditableWeights weights = weights_of("wrn");
    weights.at("block2.layer.1.conv2.weight").values[17] = std::numeric_limits<float>::quiet_NaN();
    weights.at("bn1.running_mean").values[3] = -std::numeric_limits<float>::infinity();
    weights.at("fc.bias").values[0] = std::numeric_limits<float>::max();  // large, but a number
    weights.at("fc.bias").values[1] = std::numeric_limits<float>::max();
    EXPECT_THAT(refusal(weights), AllOf(HasSubstr("NaN or infinite values in block2.layer.1.conv2.weight, "
                                                  "bn1.running_mean (--allow-nonfinite"),
                                        Not(HasSubstr("fc.bias"))));
    EXPECT_EQ(refusal(weights, {.allow_nonfinite = true}), "no error");
}

TEST(WrongWeights, NegativeVariancesAreRefused) {
    EditableWeights weights = weights_of("tv_basic");
    weights.at("layer2.0.bn1.running_var").values[5] = -0.25f;
    EXPECT_THAT(refusal(weights), HasSubstr("layer2.0.bn1.running_var has negative values"));
}

// Nothing else is wrong with them: PyTorch's F.pad would refuse the net at its first image.
TEST(WrongWeights, AnOddWidthCannotBePaddedOnBothSides) {
    EditableWeights weights;
    const auto add_conv = [&](const std::string& conv, const std::string& norm, int64_t out, int64_t in) {
        weights.add(conv + ".weight", {out, in, 3, 3});
        for (const char* part : {".weight", ".bias", ".running_mean", ".running_var"})
            weights.add(norm + part, {out});
    };
    add_conv("conv1", "bn1", 5, 3);
    for (const int64_t stage : {1, 2, 3}) {
        const std::string unit = "layer" + std::to_string(stage) + ".0.";
        const int64_t width = 5 << (stage - 1);
        add_conv(unit + "conv1", unit + "bn1", width, stage == 1 ? width : width / 2);
        add_conv(unit + "conv2", unit + "bn2", width, width);
    }
    weights.add("linear.weight", {7, 20});
    weights.add("linear.bias", {7});
    EXPECT_THAT(refusal(weights),
                EndsWith("weights do not fit the net: a shortcut cannot pad 5 channels to 10, as "
                         "many on either side"));
}

TEST(WrongWeights, AskedNameMustAgree) {
    const EditableWeights weights = weights_of("option_a");
    EXPECT_THAT(refusal(weights, {.name = "resnet20-cifar"}),
                HasSubstr("holds resnet8-cifar, not resnet20-cifar"));
    EXPECT_THAT(refusal(weights, {.name = "resnet8"}, ErrorKind::Usage),
                AllOf(HasSubstr("no such net"), HasSubstr("resnet56-cifar"), HasSubstr("wrn-D-K")));
    EXPECT_EQ(refusal(weights_of("wrn"), {.name = "wrn-16-1"}), "no error");
}

// A published name says nothing on what a file calls its shortcuts and its last layer.
TEST(WrongWeights, AskedNameLeavesModulesTheirNames) {
    EditableWeights weights;
    weights.add("conv1.weight", {64, 3, 3, 3});
    for (const char* unit :
         {"layer1.0", "layer1.1", "layer2.0", "layer2.1", "layer3.0", "layer3.1", "layer4.0", "layer4.1"})
        weights.add(std::string(unit) + ".conv1.weight", {1});
    weights.add("layer2.0.downsample.0.weight", {1});
    weights.add("fc.weight", {10, 512});
    EXPECT_THAT(refusal(weights, {.name = "resnet18-cifar"}),
                AllOf(HasSubstr("missing layer1.0.bn1"), Not(HasSubstr("holds"))));
    EXPECT_THAT(refusal(weights, {.name = "resnet34-cifar"}),
                HasSubstr("holds resnet18-cifar, not resnet34-cifar"));
}

TEST(WrongWeights, UnknownNamesSayWhatIsKnown) {
    EditableWeights weights;
    weights.add("encoder.weight", {2, 2});
    weights.add("decoder.weight", {2, 2});
    EXPECT_THAT(refusal(weights), AllOf(HasSubstr("net.safetensors: no known net"),
                                        HasSubstr("decoder.weight"), HasSubstr("MobileNet-v2")));
}

// A matrix may stand for a 1x1 kernel, but not its transpose.
TEST(WrongWeights, MatrixForA1x1KernelNeedsBothSizes) {
    EditableWeights weights = weights_of("bit");
    weights.at("head.conv.weight").shape = {7, 1024};
    weights.at("body.block1.unit01.conv3.weight").shape = {128, 32};
    EXPECT_EQ(refusal(weights), "no error");
    weights.at("body.block1.unit01.conv3.weight").shape = {32, 128};
    EXPECT_THAT(refusal(weights),
                HasSubstr("body.block1.unit01.conv3.weight is [32, 128], needed [128, 32, 1, 1]"));
}

TEST(WrongWeights, GroupsThatDoNotDivideAreRefused) {
    EditableWeights weights = weights_of("bit");
    weights.at("root.conv.weight") = {
        "root.conv.weight", {48, 3, 7, 7}, std::vector<float>(48 * 3 * 49, 0.1f)};
    EXPECT_THAT(refusal(weights),
                AllOf(HasSubstr("net.safetensors: "), HasSubstr("group norm needs a multiple of 32")));
}

TEST(WrongWeights, DepthwiseOfOtherChannelsThanTheBlockBefore) {
    EditableWeights weights = weights_of("mobilenet");
    EditableWeights::Item& kernel = weights.at("features.1.conv.0.0.weight");
    ASSERT_EQ(kernel.shape, (std::vector<int64_t>{16, 1, 3, 3}));
    kernel = {kernel.name, {15, 1, 3, 3}, std::vector<float>(15 * 9, 0.5f)};
    EXPECT_THAT(refusal(weights),
                HasSubstr("features.1.conv.0.0.weight is [15, 1, 3, 3], needed [16, 1, 3, 3]"));
}

TEST(WrongWeights, HeadOrStemMissing) {
    for (const auto& [net, tensor] :
         std::vector<std::pair<std::string, std::string>>{{"cifar_basic", "linear.weight"},
                                                          {"bit", "head.conv.weight"},
                                                          {"mobilenet", "classifier.1.weight"},
                                                          {"mobilenet", "features.6.0.weight"},
                                                          {"bit", "body.block1.unit01.conv1.weight"},
                                                          {"tv_basic", "fc.weight"},
                                                          {"wrn", "conv1.weight"}}) {
        EditableWeights weights = weights_of(net);
        weights.erase(tensor);
        EXPECT_THAT(refusal(weights), HasSubstr("missing")) << net << " without " << tensor;
    }
}

// Small files whose names or shapes ask for nets of absurd size: refused at once, little memory touched.
TEST(WrongWeights, AbsurdSizesAreRefused) {
    EditableWeights deep;
    deep.add("conv1.weight", {64, 3, 3, 3});
    deep.add("layer1.0.conv1.weight", {1});
    deep.add("linear.weight", {10, 512});
    for (const char* number : {"9223372036854775807", "99999999999999999999", "4294967296", "1000000"}) {
        EditableWeights weights = deep;
        weights.add(std::string("layer1.") + number + ".conv1.weight", {1});
        weights.add("layer2.999.conv1.weight", {1});
        weights.add("layer2.0.shortcut.0.weight", {1});
        EXPECT_NE(refusal(weights), "no error") << number;
    }
    EditableWeights wide;
    wide.add("conv1.weight", {16384, 3, 3, 3});
    wide.add("layer1.0.conv1.weight", {1});
    for (int stage = 2; stage <= 8; ++stage)
        wide.add("layer" + std::to_string(stage) + ".999.shortcut.0.weight", {1});
    for (int stage = 2; stage <= 8; ++stage)
        wide.add("layer" + std::to_string(stage) + ".0.shortcut.0.weight", {1});
    wide.add("linear.weight", {1000, 1});
    EXPECT_THAT(refusal(wide), HasSubstr("missing layer1.0.bn1"));

    EditableWeights huge = deep;
    huge.at("conv1.weight").shape = {int64_t{1} << 40, 3, 3, 3};  // a forged shape; no reader lets it pass
    EXPECT_THAT(refusal(huge), HasSubstr("absurd size"));
    for (int64_t zero : {int64_t{0}, int64_t{-1}}) {
        EditableWeights empty = deep;
        empty.at("conv1.weight").shape[0] = zero;
        EXPECT_THAT(refusal(empty), HasSubstr("absurd size"));
    }
}

TEST(WeightReader, CountsUnitsByTheirHighestNumber) {
    EditableWeights weights;
    for (const char* name : {"layer1.0.a", "layer1.10.a", "layer1.9.a", "layer1.x.a", "layer1.-7.a",
                             "layer1.55", "layer10.99.a", "layer1.3"})
        weights.add(name, {1});
    const WeightFile file = weights.file();
    const WeightReader reader(file);
    EXPECT_EQ(reader.count("layer1."), 11);
    EXPECT_EQ(reader.count("layer2."), 0);
    EXPECT_EQ(reader.names("layer10."), std::vector<std::string>{"layer10.99.a"});
}

TEST(NetTaps, UnknownOnesNameTheOthers) {
    const Net net = build_net(backend(), weights_of("cifar_basic").file());
    try {
        net.tap("layer9");
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::Usage);
        EXPECT_THAT(error.what(), AllOf(HasSubstr("layer9"), HasSubstr("layer1, layer2, layer3, layer4"),
                                        HasSubstr("avgpool")));
    }
    EXPECT_EQ(net.norms.front(), "bn1");
    EXPECT_EQ(net.norms.back(), "layer4.1.bn2");
}

}  // namespace
}  // namespace gs::test
