// The loader of oracle files, and its generator of recipe weights, against files that the oracle wrote.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/golden_file.h"
#include "tests/support/shared_dir.h"

namespace gs::test {
namespace {

std::filesystem::path golden(const std::string& name) {
    return *shared_dir() / "golden" / (name + ".safetensors");
}

TEST(GoldenFile, StoredWeightsHaveTheOraclesHash) {
    GS_SKIP_WITHOUT_SHARED();
    const WeightFile net = GoldenFile(golden("wrn16_2")).weights();
    EXPECT_EQ(net.tensors.size(), 70u);
    EXPECT_EQ(net.tensors.front().name, "conv1.weight");
    EXPECT_NE(net.find("block1.layer.0.bn1.running_var"), nullptr);
}

TEST(GoldenFile, RecipeGivesTheStoredWeights) {
    GS_SKIP_WITHOUT_SHARED();
    for (const char* name : {"wrn16_2", "bit_small"}) {
        const GoldenFile file(golden(name));
        size_t tensors = 0;
        const nlohmann::ordered_json recipe = file.json("recipe");
        for (const auto& [tensor, law] : recipe.items()) {
            EXPECT_EQ(file.from_recipe(tensor, law, {}), file.floats("w/" + tensor)) << tensor;
            ++tensors;
        }
        EXPECT_GT(tensors, 40u);
    }
}

// WRN-40-2: three stages of six blocks, widths 32, 64, 128; the first block of each has a projection.
TensorShapes wide_resnet_shapes() {
    TensorShapes shapes{{"conv1.weight", {16, 3, 3, 3}},
                        {"bn1.weight", {128}},
                        {"bn1.bias", {128}},
                        {"fc.weight", {10, 128}},
                        {"fc.bias", {10}}};
    int64_t in = 16;
    for (int stage = 1; stage <= 3; ++stage) {
        const int64_t out = int64_t{16} << stage;
        for (int block = 0; block < 6; ++block, in = out) {
            const std::string prefix =
                "block" + std::to_string(stage) + ".layer." + std::to_string(block) + ".";
            for (const char* leaf : {"bn1.weight", "bn1.bias"}) shapes[prefix + leaf] = {in};
            for (const char* leaf : {"bn2.weight", "bn2.bias"}) shapes[prefix + leaf] = {out};
            shapes[prefix + "conv1.weight"] = {out, in, 3, 3};
            shapes[prefix + "conv2.weight"] = {out, out, 3, 3};
            if (in != out) shapes[prefix + "convShortcut.weight"] = {out, in, 1, 1};
        }
    }
    return shapes;
}

TEST(GoldenFile, RecipeNetHasTheOraclesHash) {
    GS_SKIP_WITHOUT_SHARED();
    const GoldenFile file(golden("wrn40_2"));
    const WeightFile net = file.weights(wide_resnet_shapes());
    EXPECT_EQ(net.find("block3.layer.5.conv2.weight")->elements(), 128 * 128 * 9);

    TensorShapes wrong = wide_resnet_shapes();
    wrong["conv1.weight"] = {16, 3, 3, 4};
    EXPECT_THROW(file.weights(wrong), Error);
    EXPECT_THROW(file.weights(), Error);  // no shapes at all
}

TEST(GoldenFile, ActivationsComeAsNhwc) {
    GS_SKIP_WITHOUT_SHARED();
    const GoldenFile file(golden("wrn16_2"));
    const auto input = file.nhwc("input");
    const auto plain = file.floats("input");
    EXPECT_EQ(input.shape, (Shape{4, 32, 32, 3}));
    EXPECT_EQ(static_cast<float>(input.at(1, 5, 7, 2)),
              plain[static_cast<size_t>(((1 * 3 + 2) * 32 + 5) * 32 + 7)]);
    EXPECT_EQ(file.nhwc("logits").shape, (Shape{4, 1, 1, 10}));
    EXPECT_THROW(file.floats("nothing"), Error);
    EXPECT_THROW(file.text("nothing"), Error);
}

}  // namespace
}  // namespace gs::test
