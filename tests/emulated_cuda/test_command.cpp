// The command with a GPU, emulated.
#include <cmath>
#include <nlohmann/json.hpp>

#include "report/scores_csv.h"
#include "tests/tools/demo_images.h"
#include "tests/tools/training_test.h"

namespace gs::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class OnAGpu : public DemoImages {
  protected:
    OnAGpu() { command_ = std::string(GS_BINARY_DIR) + "/tests/emulated_cuda/gradscore-emulated-cuda"; }

    Ran score_on(const std::string& device, const std::string& out, const Words& more = {}, int code = 0) {
        Words words{
            "--id",  kId, "--ood",    kTextures, "--methods",    "msp,gradnorm,gaia-z,odin:epsilon=0.01",
            "--out", out, "--device", device,    "--plan-cache", "none"};
        words.insert(words.end(), more.begin(), more.end());
        return score(words, code);
    }
    void expect_same_scores(const std::string& a, const std::string& b, double tolerance) {
        for (const std::string set : {"figures", "textures"}) {
            const ScoreTable left = table(a, set), right = table(b, set);
            ASSERT_EQ(left.rows.size(), right.rows.size());
            for (size_t i = 0; i < left.rows.size(); ++i)
                for (size_t m = 0; m < left.rows[i].scores.size(); ++m)
                    EXPECT_NEAR(left.rows[i].scores[m], right.rows[i].scores[m],
                                tolerance * std::abs(right.rows[i].scores[m]) + tolerance)
                        << set << " image " << i << " method " << m;
        }
    }
    void with_environment(const std::string& name, const std::string& value) {
        options_.environment.emplace_back(name, value);
    }
};

class TrainsOnAGpu : public TrainingTest {
  protected:
    TrainsOnAGpu() { command_ = std::string(GS_BINARY_DIR) + "/tests/emulated_cuda/gradscore-emulated-cuda"; }
};

TEST_F(OnAGpu, DevicesListsIt) {
    EXPECT_THAT(run({"devices"}).out,
                AllOf(HasSubstr("cuda  0: emulated on the host"), HasSubstr("cpu   cpu:")));
}

// Both in float32; sums in other orders. ODIN's steps flip where a gradient is rounding alone, which moves a
// score by less than the tolerance on this net.
TEST_F(OnAGpu, GivesTheScoresOfTheCpu) {
    score_on("cuda", "gpu");
    score_on("cpu", "cpu");
    expect_same_scores("gpu", "cpu", 1e-4);
    EXPECT_EQ(results("gpu")["run"]["device"], "cuda");
    EXPECT_EQ(results("cpu")["run"]["device"], "cpu");
}

TEST_F(OnAGpu, AutoTakesIt) {
    EXPECT_THAT(score_on("auto", "run").err, HasSubstr("cuda:0: emulated"));
    EXPECT_EQ(results("run")["run"]["device"], "cuda");
}

TEST_F(OnAGpu, AbsentOnesAreRefused) {
    const Words words{"score", "--weights", demo_weights(), "--id", kId, "--out", "run", "--device"};
    const auto with = [&](const std::string& device) {
        Words all = words;
        all.push_back(device);
        return all;
    };
    expect_refusal(with("cuda:1"), 5, {"--device cuda:1", "there is 1 device"});
    expect_refusal(with("cuda:0,0"), 2, {"device 0 is named twice"});
    expect_refusal(with("cuda:"), 2, {"--device cuda:", "auto, cpu"});
    expect_refusal(with("gpu"), 2, {"--device gpu"});
    EXPECT_FALSE(fs::exists(root_ / "run"));
}

TEST_F(OnAGpu, SeveralShareTheImages) {
    with_environment("GRADSCORE_EMULATED_DEVICES", "3");
    score_on("cuda:1", "one");
    const Ran ran = score_on("cuda:2,0,1", "three");
    for (const std::string set : {"figures", "textures"}) EXPECT_EQ(csv("one", set), csv("three", set));
    EXPECT_EQ(results("one")["metrics"], results("three")["metrics"]);
    EXPECT_THAT(ran.err, HasSubstr("cuda:2: emulated"));
    EXPECT_FALSE(fs::exists(root_ / "three.parts"));
    score_on("cuda:0,1", "slash/");  // parts beside the folder, not in it
    EXPECT_EQ(csv("slash", "figures"), csv("one", "figures"));
    EXPECT_FALSE(fs::exists(root_ / "slash/.parts"));
    expect_refusal({"score", "--weights", demo_weights(), "--id", kId, "--out", "x", "--device", "cuda:0,1",
                    "--shard", "0/2"},
                   2, {"--shard with several devices"});
    expect_refusal({"bench", "--net", "resnet20-cifar", "--device", "cuda:0,1"}, 2, {"one device"});
}

TEST_F(OnAGpu, OneOfSeveralThatFailsEndsTheRun) {
    with_environment("GRADSCORE_EMULATED_DEVICES", "2");
    const Ran ran = score_on("cuda:0,7", "run", {}, 5);
    EXPECT_THAT(ran.err, AllOf(HasSubstr("on cuda:7"), HasSubstr("run.parts")));
    EXPECT_FALSE(fs::exists(root_ / "run"));
    EXPECT_TRUE(fs::exists(root_ / "run.parts/0/scores/figures.csv")) << "what was done is kept";
}

TEST_F(OnAGpu, PartsOfSeveralGoOn) {
    GS_SKIP_WITHOUT_FAULTS();
    with_environment("GRADSCORE_EMULATED_DEVICES", "2");
    const Words more{"--batch", "4", "--resume"};
    score_on("cuda:0,1", "whole", more);
    const RunOptions healthy = options_;
    options_ = with_fault({{"CALL", "write"}, {"NTH", "4"}, {"PATH", "run.parts/1/journal"}});
    const Ran stopped = score_on("cuda:0,1", "run", more, 1);
    EXPECT_THAT(stopped.err, AllOf(HasSubstr("run.parts"), HasSubstr("--resume goes on from there")));
    EXPECT_TRUE(fs::exists(root_ / "run.parts/0/results.json")) << "the other one came to its end";
    options_ = healthy;
    const auto again = [&](const std::string& device, const Words& flags) {
        Words words{"score",   "--weights", demo_weights(),
                    "--id",    kId,         "--ood",
                    kTextures, "--methods", "msp,gradnorm,gaia-z,odin:epsilon=0.01",
                    "--out",   "run",       "--plan-cache",
                    "none",    "--device",  device};
        words.insert(words.end(), flags.begin(), flags.end());
        return words;
    };
    expect_refusal(again("cuda:0,1", {"--batch", "4"}), 2, {"run.parts: not empty", "--resume", "--force"});
    EXPECT_EQ(run(again("cuda:1,0", more)).code, 2) << "other flags";
    score_on("cuda:0,1", "run", more);
    for (const std::string set : {"figures", "textures"}) EXPECT_EQ(csv("run", set), csv("whole", set));
    EXPECT_EQ(results("run")["metrics"], results("whole")["metrics"]);
    EXPECT_EQ(results("run")["run"]["resumed"].size(), 1u);
    EXPECT_FALSE(fs::exists(root_ / "run.parts"));
    const Ran finished = score_on("cuda:0,1", "run", {"--batch", "4", "--resume", "--json"});
    EXPECT_THAT(finished.err, HasSubstr("the run in run is finished"));
    EXPECT_EQ(finished.out, content(root_ / "run/results.json"));
}

TEST_F(OnAGpu, Case17_WithoutOneAutoIsTheCpuWithANotice) {
    with_environment("GRADSCORE_EMULATED_DEVICES", "0");
    EXPECT_THAT(score_on("auto", "run").err, AllOf(HasSubstr(" on cpu: "), HasSubstr("(no GPU: ")));
    EXPECT_EQ(results("run")["run"]["device"], "cpu");
    expect_refusal({"score", "--weights", demo_weights(), "--id", kId, "--out", "x", "--device", "cuda"}, 5,
                   {"--device cuda:0"});
    EXPECT_FALSE(fs::exists(root_ / "x"));
}

// The net takes about 1 MiB, an image of the batch about 0.3.
TEST_F(OnAGpu, Case16_BatchesAreHalvedWhereMemoryRunsOut) {
    score_on("cuda", "roomy", {"--batch", "32"});
    with_environment("GRADSCORE_EMULATED_MIB", "8");
    const Ran ran = score_on("cuda", "tight", {"--batch", "32"});
    EXPECT_THAT(ran.err, AllOf(HasSubstr("out of device memory"), HasSubstr("going on with batches of 16")));
    for (const std::string set : {"figures", "textures"}) EXPECT_EQ(csv("roomy", set), csv("tight", set));
}

TEST_F(OnAGpu, Case16_OneImageTooManySaysWhatWasNeeded) {
    with_environment("GRADSCORE_EMULATED_MIB", "1");
    const Ran ran = score_on("cuda", "run", {}, 5);
    EXPECT_THAT(ran.err, AllOf(HasSubstr("asked for"), HasSubstr("on the device free")));
}

// Scores are not those of float32, but near.
TEST_F(OnAGpu, RunsInBfloat16) {
    score_on("cuda", "f32");
    score_on("cuda", "bf16", {"--precision", "bf16"});
    EXPECT_EQ(results("bf16")["run"]["precision"], "bf16");
    EXPECT_NE(csv("f32", "figures"), csv("bf16", "figures"));
    const ScoreTable a = table("f32", "figures"), b = table("bf16", "figures");
    for (size_t i = 0; i < a.rows.size(); ++i) EXPECT_NEAR(a.rows[i].scores[0], b.rows[i].scores[0], 0.05);
}

// A resumed run must end with the same bytes: algorithms that repeat to the bit, and none by the clock.
TEST_F(TrainsOnAGpu, WithAlgorithmsThatRepeatThemselves) {
    write(root_ / "train.bin", coloured(6, 1));
    const Ran ran = run({"train", "resnet20-cifar", "--net", "wrn-10-1", "--classes", "3", "--epochs", "1",
                         "--batch", "6", "--id", "cifar10:train.bin", "--device", "cuda", "--out", "run"});
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_THAT(ran.err, HasSubstr("float32, deterministic"));
}

}  // namespace
}  // namespace gs::test
