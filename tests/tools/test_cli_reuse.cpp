// A run given back: its config.toml through --config, its arrays through --reuse.
#include <nlohmann/json.hpp>

#include "tests/tools/demo_images.h"
#include "weights/weight_file.h"

namespace gs::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

class Config : public DemoImages {};

TEST_F(Config, ARunsConfigGivesTheSameBytesAgain) {
    score({"--id",      kId,      "--ood",           kTextures,  "--ood",   kShapes, "--methods", kMethods,
           "--limit",   "9",      "--mean",          ".4,.5,.6", "--batch", "3",     "--threads", "1",
           "--no-fuse", "--save", "logits,features", "--seed",   "7",       "--out", "first",     "--quiet"});
    score({"--config", "first/config.toml", "--out", "second", "--quiet"});
    for (const char* set : {"figures", "textures", "shapes"})
        EXPECT_EQ(csv("first", set), csv("second", set));
    EXPECT_EQ(results("first")["metrics"], results("second")["metrics"]);
    EXPECT_TRUE(fs::exists(root_ / "second/arrays/shapes.safetensors"));
    std::string config = content(root_ / "first/config.toml");
    const size_t out = config.find("\"first\"");
    ASSERT_NE(out, config.npos);
    EXPECT_EQ(config.replace(out, 7, "\"second\""), content(root_ / "second/config.toml"));
}

TEST_F(Config, FlagsOnTheCommandLineWin) {
    score(
        {"--id", kId, "--ood", kTextures, "--ood", kShapes, "--methods", "msp", "--out", "first", "--quiet"});
    score({"--config", "first/config.toml", "--out", "second", "--methods", "energy", "--ood", kShapes,
           "--limit", "4", "--quiet"});
    EXPECT_THAT(table("second", "figures").methods, ElementsAre("energy"));
    EXPECT_THAT(table("second", "figures").rows, SizeIs(4));
    EXPECT_FALSE(fs::exists(root_ / "second/scores/textures.csv"));
}

TEST_F(Config, AnyPathSurvives) {
    const std::string name = "a \"q\" \\b,c:d'e #[x] \xc3\xa9\x01\x80";
    fs::create_directories(root_ / "p");
    fs::rename(root_ / "images/id", root_ / "p" / name);
    score({"--id", "x=folder:p/" + name, "--out", "first", "--quiet"});
    score({"--config", "first/config.toml", "--out", "second", "--quiet"});
    EXPECT_EQ(csv("first", "x"), csv("second", "x"));
}

TEST_F(Config, WrittenByHand) {
    write(
        root_ / "mine.toml",
        "# my run\n\n[score]\r\nweights = '" + demo_weights() +
            "'  # literal\nid = \"f=folder:images/id\"\nood = [\n  \"t=folder:images/ood-textures\", # one\n"
            "  's=folder:images/ood-shapes',\n]\nmethods=\"msp\"\nlimit = 3\nstrict = true\nout = \"run\"");
    score({"--config", "mine.toml", "--quiet"});
    EXPECT_THAT(table("run", "s").rows, SizeIs(3));
}

TEST_F(Config, FaultsNameTheirLine) {
    const auto refuse = [&](const std::string& text, const std::vector<std::string>& parts) {
        write(root_ / "bad.toml", text);
        expect_refusal(
            {"score", "--weights", demo_weights(), "--id", kId, "--out", "x", "--config", "bad.toml"}, 2,
            parts);
    };
    refuse("[score]\nmetods = \"msp\"\n", {":2:", "'metods'"});
    refuse("limit = 3\n", {":1:", "before [score]"});
    refuse("[score]\n\n[bench]\nimages = 3\n", {":4:", "[bench]"});
    refuse("[score]\nforce = true\n", {"'force'", "command line"});
    refuse("[score]\nlimit = many\n", {":2:", "'many'", "quotes"});
    refuse("[score]\nlimit = \"many\"\n", {"--limit"});
    refuse("[score]\nlimit = [1, 2]\n", {"--limit"});
    refuse("[score]\nlimit = 1\nlimit = 2\n", {":3:", "twice"});
    expect_refusal({"score", "--config", "none.toml"}, 2, {"none.toml"});
    expect_refusal({"score", "--config", "images"}, 2, {"images"});
}

class Reuse : public DemoImages {
  protected:
    void SetUp() override {
        score({"--id", kId, "--ood", kShapes, "--methods", "msp,energy,gradnorm", "--save",
               "logits,features,taps", "--out", "saved", "--quiet"});
    }
    // Whether the net was left alone in a run with these flags.
    bool reuses(const std::string& out, const Words& flags,
                const std::string& methods = "msp,energy,gradnorm") {
        Words words{"--methods", methods, "--reuse", "saved", "--out", out};
        words.insert(words.end(), flags.begin(), flags.end());
        const Ran ran = score(words);
        const bool idle = results(out)["run"]["images_per_second"] == 0;
        EXPECT_EQ(ran.err.find("the net was not run") != ran.err.npos, idle) << ran.err;
        return idle;
    }
};

TEST_F(Reuse, SameBytesWithoutRunningTheNet) {
    EXPECT_TRUE(reuses("again", {"--id", kId, "--ood", kShapes}));
    EXPECT_EQ(csv("again", "figures"), csv("saved", "figures"));
    EXPECT_EQ(csv("again", "shapes"), csv("saved", "shapes"));
    EXPECT_EQ(results("again")["metrics"], results("saved")["metrics"]);
    EXPECT_EQ(results("again")["sets"], results("saved")["sets"]);
}

TEST_F(Reuse, ImagesCountNotNamesNorPlaces) {
    fs::rename(root_ / "images/ood-shapes", root_ / "moved");
    EXPECT_TRUE(reuses("renamed", {"--id", "other=folder:moved"}));
    EXPECT_EQ(table("renamed", "other").columns(), table("saved", "shapes").columns());
}

TEST_F(Reuse, NewMethodsOnOldArrays) {
    score({"--id", kId, "--methods", "gradnorm:p=2", "--reuse", "saved", "--out", "old", "--quiet"});
    score({"--id", kId, "--methods", "gradnorm:p=2", "--out", "new", "--quiet"});
    EXPECT_EQ(results("old")["run"]["images_per_second"], 0);
    EXPECT_EQ(csv("old", "figures"), csv("new", "figures"));
}

TEST_F(Reuse, SavedArraysCanBeSavedOn) {
    EXPECT_TRUE(reuses("second", {"--id", kId, "--save", "logits,taps"}));
    const WeightFile first = read_weights(root_ / "saved/arrays/figures.safetensors");
    const WeightFile second = read_weights(root_ / "second/arrays/figures.safetensors");
    EXPECT_THAT(first.tensors, SizeIs(5)) << "logits, features, three stages";
    for (const StoredTensor& tensor : second.tensors)
        EXPECT_EQ(to_float32(tensor), to_float32(*first.find(tensor.name))) << tensor.name;
}

TEST_F(Reuse, AnythingThatMattersKeepsThemAway) {
    EXPECT_FALSE(reuses("mean", {"--id", kId, "--mean", ".4,.5,.6"}));
    EXPECT_FALSE(reuses("fewer", {"--id", kId, "--limit", "12"}));
    EXPECT_FALSE(reuses("others", {"--id", kTextures}));
    EXPECT_FALSE(reuses("backward", {"--id", kId}, "odin:epsilon=0.001"));
    const fs::path image = root_ / "images/id/cross/0000.png";
    fs::copy_file(root_ / "images/id/cross/0001.png", image, fs::copy_options::overwrite_existing);
    EXPECT_FALSE(reuses("changed", {"--id", kId}));

    ASSERT_EQ(run({"convert", demo_weights(), "converted.safetensors"}).code, 0);
    EXPECT_FALSE(reuses("weights", {"--id", kShapes, "--weights", "converted.safetensors"}))
        << "weights are known by their file's hash";
}

TEST_F(Reuse, ArraysThatDoNotAgreeAreNotUsed) {
    const fs::path path = root_ / "saved/arrays/figures.safetensors";
    const WeightFile good = read_weights(path);
    const StoredTensor logits = *good.find("logits"), features = *good.find("features");
    const std::vector<NamedTensor> fewer{{"logits", StoredType::F32, logits.shape, logits.storage},
                                         {"features",
                                          StoredType::F32,
                                          {10, features.shape[1]},
                                          features.storage.first(10 * features.shape[1] * sizeof(float))}};
    write_safetensors(root_ / "new.safetensors", fewer, good.metadata);
    fs::rename(root_ / "new.safetensors", path);
    EXPECT_FALSE(reuses("again", {"--id", kId}));
    EXPECT_EQ(csv("again", "figures"), csv("saved", "figures"));

    write(path, "not safetensors");
    expect_refusal({"score", "--weights", demo_weights(), "--id", kId, "--reuse", "saved", "--out", "x"}, 4,
                   {"figures.safetensors"});
}

TEST_F(Reuse, DamagedArraysAreDataThatIsWrong) {
    Words words{"score", "--weights", demo_weights(), "--id", kId, "--reuse", "saved", "--quiet"};
    expect_refusal(with(words, {"--out", "saved", "--force"}), 2, {"--out saved: is --reuse itself"});
    EXPECT_TRUE(fs::exists(root_ / "saved/arrays/figures.safetensors"));
    write(root_ / "saved/arrays/figures.safetensors",
          content(root_ / "saved/arrays/figures.safetensors").substr(0, 300));
    expect_refusal(with(words, {"--out", "x"}), 4, {"saved/arrays/figures.safetensors"});
}

TEST_F(Reuse, SetsWithGapsAreNotSaved) {
    write(root_ / "images/id/cross/0009.png", "no image");
    const Ran ran = score({"--id", kId, "--save", "logits", "--out", "gap", "--quiet"}, 6);
    EXPECT_THAT(ran.err, HasSubstr("arrays not saved"));
    EXPECT_THAT(files_below(root_ / "gap/arrays"), IsEmpty());
}

TEST_F(Reuse, AnImageThatCannotBeReadIsLeftOutAsEver) {
    std::string list;
    for (const std::string& name : files_below(root_ / "images/id")) list += "images/id/" + name + " 0\n";
    write(root_ / "list.txt", list + "images/id/missing.png 0\n");
    score({"--id", "gap=list:list.txt", "--methods", "msp", "--reuse", "saved", "--out", "gap"}, 6);
    EXPECT_EQ(results("gap")["sets"][0]["failures"][0]["path"], "images/id/missing.png");
    EXPECT_EQ(results("gap")["sets"][0]["scored"], 30);
    EXPECT_NE(results("gap")["run"]["images_per_second"], 0);
}

TEST_F(Reuse, SavedLogitsAreTheScoresOwn) {
    const WeightFile arrays = read_weights(root_ / "saved/arrays/figures.safetensors");
    EXPECT_EQ(arrays.metadata.at("schema"), "gradscore/arrays/1");
    const std::vector<float> logits = to_float32(*arrays.find("logits"));
    const ScoreTable t = table("saved", "figures");
    for (size_t n = 0; n < t.rows.size(); ++n)
        EXPECT_EQ(std::max_element(&logits[10 * n], &logits[10 * n] + 10) - &logits[10 * n],
                  *t.rows[n].prediction);
}

// What the weights cannot tell and --arch gives makes another net of them.
TEST_F(Reuse, AnotherArchitectureOfTheSameWeightsIsAnotherNet) {
    write(root_ / "five.json", R"({"pool_window": 5})");
    const Words sets{"--id", kId, "--ood", kShapes, "--quiet"};
    const auto with = [&](const Words& more) {
        Words words = sets;
        words.insert(words.end(), more.begin(), more.end());
        return words;
    };
    score(with({"--methods", "msp", "--arch", "five.json", "--save", "logits,features", "--out", "five"}));
    EXPECT_EQ(results("five")["run"]["net"], "resnet8-cifar (pool_window 5)");
    score(with({"--methods", "msp", "--out", "plain"}));
    EXPECT_NE(csv("plain", "figures"), csv("five", "figures"));

    score(with({"--methods", "msp", "--reuse", "five", "--out", "again"}));
    EXPECT_EQ(csv("again", "figures"), csv("plain", "figures"));
    EXPECT_NE(results("again")["run"]["images_per_second"], 0) << "the net was run";
    score(with({"--methods", "msp", "--arch", "five.json", "--reuse", "five", "--out", "reused"}));
    EXPECT_EQ(csv("reused", "figures"), csv("five", "figures"));
    EXPECT_EQ(results("reused")["run"]["images_per_second"], 0);

    ASSERT_EQ(run({"threshold", "five", "--method", "msp", "--out", "t.json"}).code, 0);
    expect_refusal({"score", "--threshold", "t.json", "--weights", demo_weights(), "--image",
                    "images/id/cross/0000.png"},
                   2, {"net 'resnet8-cifar' is not that of t.json", "(pool_window 5)", "--arch"});
    ASSERT_EQ(run({"fit", "--weights", demo_weights(), "--arch", "five.json", "--id", kTextures, "--methods",
                   "klm:by=predicted", "--out", "s.safetensors", "--quiet"})
                  .code,
              0);
    expect_refusal({"score", "--weights", demo_weights(), "--id", kId, "--methods", "klm:by=predicted",
                    "--stats", "s.safetensors", "--out", "fitted", "--quiet"},
                   2, {"fitted with the net 'resnet8-cifar (pool_window 5)', this run's is 'resnet8-cifar'"});
}

}  // namespace
}  // namespace gs::test
