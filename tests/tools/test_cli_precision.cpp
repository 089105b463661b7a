// --precision: written into what a run leaves, and never mixed with what another precision left.
#include <nlohmann/json.hpp>

#include "tests/tools/demo_images.h"
#include "weights/weight_file.h"

namespace gs::test {
namespace {

using testing::HasSubstr;

class CliPrecision : public DemoImages {
  protected:
    // A machine without the instructions refuses in one line.
    bool has_bf16() {
        const Ran ran = run({"bench", "--net", "resnet20-cifar", "--images", "1", "--precision", "bf16"});
        if (ran.code == 0) return true;
        EXPECT_EQ(ran.code, 5);
        EXPECT_THAT(ran.err, HasSubstr("--precision bf16: this"));
        return false;
    }
};

TEST_F(CliPrecision, OthersAreRefused) {
    const auto refuse = [&](const std::string& precision, int code, const std::string& part) {
        expect_refusal(
            {"score", "--weights", demo_weights(), "--id", kId, "--out", "x", "--precision", precision}, code,
            {part});
    };
    refuse("tf32", 5, "--precision tf32");
    refuse("fp8", 2, "not one of f32, tf32, bf16");
}

TEST_F(CliPrecision, RunsAndFitsOfTwoPrecisionsStayApart) {
    if (!has_bf16()) GTEST_SKIP() << "this machine does not multiply bfloat16";
    score({"--id", kId, "--methods", "msp", "--save", "logits", "--out", "exact", "--quiet"});
    score({"--id", kId, "--methods", "msp", "--save", "logits", "--out", "rounded", "--precision", "bf16",
           "--reuse", "exact", "--quiet"});
    EXPECT_EQ(results("rounded")["run"]["precision"], "bf16");
    EXPECT_THAT(content(root_ / "rounded/config.toml"), HasSubstr("precision = \"bf16\""));
    EXPECT_NE(csv("exact", "figures"), csv("rounded", "figures")) << "saved arrays of float32 were used";
    const auto file = read_weights(root_ / "rounded/arrays/figures.safetensors");
    EXPECT_EQ(file.metadata.at("precision"), "bf16");
    score({"--id", kId, "--methods", "msp", "--out", "again", "--precision", "bf16", "--reuse", "rounded",
           "--quiet"});
    EXPECT_EQ(csv("again", "figures"), csv("rounded", "figures"));
}

}  // namespace
}  // namespace gs::test
