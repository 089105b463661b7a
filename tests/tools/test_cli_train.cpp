// gradscore train: what it leaves, and what it refuses.
#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/tools/training_test.h"
#include "tools/encode_image.h"

namespace gs::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class Train : public TrainingTest {
  protected:
    // Energy margins, from what train("first", …) left.
    Ran tune(const Words& more) {
        Words words{"train",     "energy",
                    "--net",     "wrn-10-1",
                    "--classes", "3",
                    "--weights", "first/last.safetensors",
                    "--id",      "cifar10:train.bin"};
        words.insert(words.end(), more.begin(), more.end());
        return run(words);
    }
};

TEST_F(Train, LeavesWeightsLogAndCurves) {
    const Ran ran = train("run", {"--pth"});
    EXPECT_THAT(files_below(root_ / "run"),
                ElementsAre("best.pth", "best.safetensors", "checkpoint.safetensors", "curves.svg",
                            "last.pth", "last.safetensors", "log.jsonl", "recipe.toml"));
    EXPECT_THAT(ran.out, AllOf(HasSubstr("run/last.safetensors: weights after 18 steps"),
                               HasSubstr("run/best.safetensors: of epoch ")));
    EXPECT_THAT(ran.err,
                AllOf(HasSubstr("wrn-10-1 (3 classes) on cpu"), HasSubstr("90 images, 18 steps of 16"),
                      HasSubstr("training images: 4 black pixels around, random crop 32x32, random flip"),
                      HasSubstr("epoch 3/3: loss ")));
    const std::vector<Json> lines = log("run");
    ASSERT_EQ(lines.size(), 12u);  // three of two steps and one of the epoch, three times
    EXPECT_EQ(lines[0]["kind"], "step");
    EXPECT_EQ(lines[0]["step"], 2);
    EXPECT_EQ(lines[11]["kind"], "epoch");
    EXPECT_EQ(lines[11]["epoch"], 3);
    EXPECT_EQ(lines[11]["step"], 18);
    EXPECT_LT(lines[11]["loss"], lines[3]["loss"]);
    EXPECT_GT(lines[11]["validation_accuracy"], 0.6) << "a third is chance";
    EXPECT_NEAR(lines[11]["learning_rate"], 1e-6 + (0.1 - 1e-6) * (1 + std::cos(M_PI * 17 / 18)) / 2, 1e-12);
    EXPECT_THAT(content(root_ / "run/curves.svg"), AllOf(HasSubstr("<svg"), HasSubstr("validation")));

    const WeightFile last = read_weights(root_ / "run/last.safetensors"),
                     pth = read_weights(root_ / "run/last.pth");
    EXPECT_EQ(last.metadata.at("net"), "wrn-10-1");
    ASSERT_EQ(pth.tensors.size(), last.tensors.size());
    for (const StoredTensor& tensor : last.tensors) {
        ASSERT_NE(pth.find(tensor.name), nullptr) << tensor.name;
        EXPECT_EQ(to_float32(tensor), to_float32(*pth.find(tensor.name)));
    }
}

// What the run evaluated is what anybody gets from its file.
TEST_F(Train, WeightsScoreAsTheyWereEvaluated) {
    train("run");
    score({"--weights", "run/last.safetensors", "--id", "t=cifar10:test.bin", "--methods", "msp", "--out",
           "scored"});
    EXPECT_EQ(results("scored")["sets"][0]["accuracy"], log("run").back()["validation_accuracy"]);
}

// Preprocessing that is not the net's own goes with the weights, into scores and into further training.
TEST_F(Train, WeightsBringTheirPreprocessing) {
    const std::string flags = "--mean 0.5,0.5,0.5 --std 0.3,0.25,0.1",
                      described = "mean .5 .5 .5, std .3 .25 .1";
    const Ran ran = train("run", {"--mean", "0.5,0.5,0.5", "--std", "0.3,0.25,0.1", "--pth"});
    EXPECT_THAT(ran.out, HasSubstr("images are prepared with " + flags + ": the .safetensors bring that"));
    const auto scored = [&](const std::string& out, const Words& more) {
        Words all{"--id", "t=cifar10:test.bin", "--methods", "msp", "--out", out};
        all.insert(all.end(), more.begin(), more.end());
        return score(all);
    };
    const Ran bare = scored("scored", {"--weights", "run/last.safetensors"});
    EXPECT_THAT(bare.err, AllOf(HasSubstr("notice: the weights say what they were trained with: " + flags),
                                HasSubstr(described)));
    EXPECT_EQ(results("scored")["sets"][0]["accuracy"], log("run").back()["validation_accuracy"]);
    scored("pth", {"--weights", "run/last.pth", "--mean", "0.5,0.5,0.5", "--std", "0.3,0.25,0.1"});
    EXPECT_EQ(csv("pth", "t"), csv("scored", "t")) << "the line's flags";
    EXPECT_THAT(scored("other", {"--weights", "run/last.safetensors", "--std", "0.2,0.2,0.2"}).err,
                HasSubstr("mean .5 .5 .5, std .2 .2 .2"))
        << "flags come first";
    EXPECT_THAT(run({"inspect", "run/last.safetensors"}).out, HasSubstr(described));
    EXPECT_THAT(train("more", {"--init", "weights", "--weights", "run/last.safetensors"}).err,
                HasSubstr(described));
    EXPECT_THAT(train("usual", {"--quiet"}).out, testing::Not(HasSubstr("images are prepared")));
}

TEST_F(Train, TheRecipeOfARunIsARecipe) {
    train("run");
    Words again{"train",       "run/recipe.toml",
                "--id",        "cifar10:train.bin",
                "--validate",  "cifar10:test.bin",
                "--threads",   "1",
                "--log-every", "2",
                "--out",       "again",
                "--quiet"};
    const Ran ran = run(again);
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.err, "");
    EXPECT_EQ(to_float32(read_weights(root_ / "again/last.safetensors").tensors[0]),
              to_float32(read_weights(root_ / "run/last.safetensors").tensors[0]));
    EXPECT_EQ(log("again"), log("run"));
    *std::find(again.begin(), again.end(), "again") = "more";
    again.insert(again.end(), {"--epochs", "4"});
    ASSERT_EQ(run(again).code, 0);
    EXPECT_EQ(log("more").size(), 16u) << "it says epochs, not how many steps they came to";
}

TEST_F(Train, ARecipeFileOfAnyName) {
    train("run", {"--epochs", "1"});
    fs::copy_file(root_ / "run/recipe.toml", root_ / "caf\xe9.toml");
    const Ran ran =
        run({"train", "caf\xe9.toml", "--id", "cifar10:train.bin", "--threads", "1", "--out", "again"});
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(metadata(root_ / "again/last.safetensors").at("recipe"), "caf\\xe9");
}

TEST_F(Train, AnotherSeedIsAnotherRun) {
    train("one");
    train("two", {"--seed", "1"});
    EXPECT_NE(log("one"), log("two"));
}

// One batch is 79 MB.
TEST_F(Train, ValidationFindsTheMemoryOfTheEpochsBatchesFree) {
    GS_SKIP_WITHOUT_FAULTS();  // sanitizers keep what is freed
    write(root_ / "train.bin", coloured(400, 1));
    Words all =
        words("run", {"--epochs", "1", "--batch", "400", "--validate", "cifar10:train.bin", "--open-blocks",
                      "0", "--resize", "128", "--crop", "128", "--pad", "0", "--quiet"});
    const Ran validated = run(all);
    EXPECT_EQ(validated.code, 0) << validated.err;
    const auto flag = std::find(all.begin(), all.end(), "--validate");
    all.erase(flag, flag + 2);
    *std::find(all.begin(), all.end(), "run") = "other";
    const Ran plain = run(all);
    EXPECT_EQ(plain.code, 0) << plain.err;
    EXPECT_LT(validated.peak_mib, plain.peak_mib + 60);
}

TEST_F(Train, WeightsThatHaveBecomeInfiniteAreNotLeftBehind) {
    Words all = words("run", {"--learning-rate", "1e30", "--weight-decay", "1e30", "--epochs", "1", "--batch",
                              "90", "--quiet"});
    for (const bool validates : {true, false}) {
        if (!validates) {
            const auto flag = std::find(all.begin(), all.end(), "--validate");
            all.erase(flag, flag + 2);
            *std::find(all.begin(), all.end(), "run") = "other";
        }
        const std::string out = validates ? "run" : "other";
        const Ran ran = run(all);
        EXPECT_EQ(ran.code, 1);
        EXPECT_THAT(ran.err, AllOf(HasSubstr("has become NaN or infinite"), HasSubstr("is of step 0")));
        EXPECT_THAT(files_below(root_ / out),
                    ElementsAre("checkpoint.safetensors", "log.jsonl", "recipe.toml"));
    }
}

TEST_F(Train, AValidationLossThatIsNoNumberEndsTheRun) {
    const Ran ran = train("run", {"--learning-rate", "3e38", "--epochs", "1", "--batch", "90", "--quiet"}, 4);
    EXPECT_THAT(ran.err, AllOf(HasSubstr("the validation loss of epoch 1 is not finite"),
                               HasSubstr("run/checkpoint.safetensors is of step 1")));
    EXPECT_FALSE(fs::exists(root_ / "run/best.safetensors"));
}

TEST_F(Train, ALossThatIsNoNumberEndsTheRunAndNotTheCheckpoint) {
    const Ran ran = train("run", {"--learning-rate", "1e30", "--quiet"}, 4);
    EXPECT_EQ(ran.error_lines().size(), 1u) << ran.err;
    EXPECT_THAT(ran.err, AllOf(HasSubstr("loss"), HasSubstr("run/checkpoint.safetensors is of step ")));
    for (const StoredTensor& tensor : read_weights(root_ / "run/checkpoint.safetensors").tensors)
        for (const float value : to_float32(tensor)) ASSERT_TRUE(std::isfinite(value)) << tensor.name;
}

// Whatever has become of the checkpoint.
TEST_F(Train, AnErrorIsToldThoughTheCheckpointCannotBeRead) {
    GS_SKIP_WITHOUT_FAULTS();
    const RunOptions unreadable =  // the first one is how it is written
        with_fault({{"CALL", "open"}, {"PATH", "run/checkpoint.safetensors"}, {"NTH", "2"}});
    const Ran ran = run(words("run", {"--learning-rate", "1e30", "--quiet"}), unreadable);
    EXPECT_EQ(ran.code, 4) << ran.err;
    EXPECT_THAT(ran.err, AllOf(HasSubstr("the loss of step "), HasSubstr("is not finite"),
                               HasSubstr("run/checkpoint.safetensors is of step 0")));
}

TEST_F(Train, WhatCannotBeTrainedIsRefusedBeforeAnythingIsWritten) {
    const auto refused = [&](const Words& more, int code, const std::vector<std::string>& parts) {
        expect_refusal(words("run", more), code, parts);
        EXPECT_FALSE(fs::exists(root_ / "run"));
    };
    refused({"--classes", "5"}, 4, {"train", "no image of classes 3, 4, of 5"});
    refused({"--classes", "1000000000"}, 2, {"'classes' is 1000000000, more than 1000000"});
    refused({"--classes", "2"}, 4, {"label 2 is none of the recipe's 2 classes"});
    refused({"--init", "weights"}, 2, {"--weights FILE"});
    refused({"--weights", demo_weights()}, 2, {"--init weights"});
    refused({"--init", "weights", "--weights", demo_weights()}, 3, {"resnet8_shapes", "10 outputs"});
    refused({"--init", "weights", "--zero-head", "true", "--weights", demo_weights()}, 3,
            {"resnet8_shapes.safetensors", "wrn-10-1"});
    refused({"--init", "weights", "--weights", "none.pth"}, 3, {"none.pth"});
    refused({"--net", "resnet-9000"}, 2, {"resnet-9000"});
    refused({"--net", "resnet18", "--batch", "89"}, 4,
            {"a batch of one image of 32x32 gives layer4.0.bn1 one value a channel", "choose a 'batch'"});
    for (const Words& more : {Words{}, {"--open-blocks", "0"}, {"--open-blocks", "0", "--cache-features"}}) {
        Words large{"--net", "resnet18-cifar", "--crop", "64"};
        large.insert(large.end(), more.begin(), more.end());
        refused(large, 4, {"images of 64x64 do not fit resnet18-cifar", "choose another --resize or --crop"});
    }
    refused({"--crop", "41"}, 2,
            {"'crop' is larger than the net's images with their padding (short side 32"});
    refused({"--auxiliary", "synthetic:4"}, 2, {"takes no unlabelled images"});
    refused({"--batch", "0"}, 2, {"--batch: 'batch': '0' is not a whole number from 1 on"});
    refused({"--groups", "2+1"}, 2, {"'groups' are for"});
    refused({"--steps", "7"}, 2, {"--epochs: 'epochs' is for recipes whose 'steps' is 0"});
    refused({"--margin-in", "-23"}, 2, {"--margin-in: 'margin-in' is for"});
    refused({"--net", "resnet20-cifar", "--dropout", "0.3"}, 2, {"'dropout' is for WideResNets"});
    refused({"--resume", "--force"}, 2, {"exclude each other"});
    expect_refusal({"train", "nothing", "--id", "cifar10:train.bin", "--out", "run"}, 2,
                   {"recipe 'nothing'", "resnet20-cifar"});
    expect_refusal({"train"}, 2, {"--list-recipes"});
    expect_refusal({"train", "resnet20-cifar", "--out", "run"}, 2, {"--id is required"});
    expect_refusal({"train", "bce", "--id", "synthetic:4", "--out", "run"}, 4, {"index 0: has no label"});
    EXPECT_FALSE(fs::exists(root_ / "run"));
}

TEST_F(Train, HelpNamesTheKindsThatHaveLabels) {
    write(root_ / "raw.npy", npy_of({"", {1, 3, 1, 1}, {1, 2, 3}}));
    expect_refusal(
        {"train", "bce", "--id", "npy:raw.npy", "--out", "run"}, 4,
        {"has no label; training needs a folder for each class, a list, cifar10, cifar100 or svhn"});
    const std::string help = run({"train", "--help"}).out;
    EXPECT_THAT(help, AllOf(testing::Not(HasSubstr("npy")), HasSubstr("with probability 1/2")));
}

TEST_F(Train, ListsItsRecipes) {
    const Ran ran = run({"train", "--list-recipes"});
    EXPECT_EQ(ran.code, 0);
    for (const char* name : {"bce\n", "bit-flat\n", "bit-group\n", "energy\n", "resnet20-cifar\n",
                             "resnet34-cifar\n", "wrn-40-2\n"})
        EXPECT_THAT(ran.out, HasSubstr(name));
}

TEST_F(Train, FineTunesWithEnergyMarginsOnSetsWithoutLabels) {
    train("first", {"--quiet", "--seed", "5"});
    write(root_ / "tiny", std::string(7 * 3072, '\x40'));
    write(root_ / "skip", "1\n3\n");
    const Ran ran =
        tune({"--auxiliary", "tiny-images:tiny:skip=skip", "--auxiliary", "synthetic:9:size=32", "--epochs",
              "1", "--batch", "16", "--auxiliary-batch", "8", "--threads", "1", "--out", "tuned"});
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_THAT(ran.err, AllOf(HasSubstr("2 listed images skipped"),
                               HasSubstr("steps of 16 and 8 of 14 auxiliary"), HasSubstr("no --validate")));
    EXPECT_FALSE(fs::exists(root_ / "tuned/best.safetensors"));
    EXPECT_NE(weights("tuned"), weights("first"));
    write(root_ / "raw.npy", npy_of({"", {2, 3, 32, 32}, std::vector<float>(2 * 3 * 32 * 32, 0.5f)}));
    const Ran raw = tune({"--auxiliary", "npy:raw.npy", "--epochs", "1", "--threads", "1", "--out", "raw"});
    ASSERT_EQ(raw.code, 0) << raw.err;
    EXPECT_THAT(raw.err, HasSubstr("notice: auxiliary images are float32 arrays, used as they are"));
    write(root_ / "small.npy", npy_of({"", {2, 3, 16, 16}, std::vector<float>(2 * 3 * 16 * 16, 0.5f)}));
    const Ran small =
        tune({"--auxiliary", "npy:small.npy", "--epochs", "1", "--threads", "1", "--out", "small"});
    EXPECT_EQ(small.code, 4);
    EXPECT_THAT(small.err, HasSubstr("small: auxiliary images are 16x16, the labelled ones 32x32"));
    EXPECT_FALSE(fs::exists(root_ / "small"));
    expect_refusal(
        {"train", "energy", "--weights", "first/last.safetensors", "--id", "cifar10:train.bin", "--out", "x"},
        2, {"--auxiliary NAME=KIND:PATH"});
}

TEST_F(Train, AuxiliaryImagesThatCannotBeUsedEndTheRun) {
    train("first", {"--quiet", "--epochs", "1"});
    for (int i = 0; i < 4; ++i) write(root_ / "others" / (std::to_string(i) + ".jpg"), "no image");
    const Ran ran = tune({"--auxiliary", "folder:others", "--auxiliary-batch", "40", "--batch", "16",
                          "--epochs", "1", "--threads", "1", "--out", "tuned", "--quiet"});
    EXPECT_EQ(ran.code, 4) << ran.err;
    EXPECT_THAT(ran.err, HasSubstr("others: none of the last 120 images could be used"));
}

TEST_F(Train, GroupsOfClasses) {
    const Ran ran = train("run", {"--loss", "group-softmax", "--groups", "2+1", "--quiet"});
    const WeightFile last = read_weights(root_ / "run/last.safetensors");
    EXPECT_EQ(last.find("fc.weight")->shape[0], 5);
    EXPECT_GT(log("run").back()["validation_accuracy"], 0.5) << "a third is chance";
    score({"--weights", "run/last.safetensors", "--id", "t=cifar10:test.bin", "--methods", "mos:groups=2+1",
           "--out", "scored"});
    EXPECT_THAT(ran.err, Not(HasSubstr("number their labels by name")));
    for (const char* name : {"a", "b", "c"}) write(root_ / "folders" / name / "0.png", "no image");
    EXPECT_THAT(
        train("named", {"--loss", "group-softmax", "--groups", "2+1", "--id", "folder:folders", "--quiet"}, 4)
            .err,
        HasSubstr("notice: folders: folders number their labels by name"));
}

// Without augmentation the net says the same of an image every time: the head learns the same, to the bit.
TEST_F(Train, AHeadLearnsTheSameFromCachedFeatures) {
    train("first", {"--quiet"});
    const Words head{"--init",      "weights", "--weights",     "first/last.safetensors",
                     "--zero-head", "true",    "--open-blocks", "0",
                     "--flip",      "false",   "--pad",         "0",
                     "--crop",      "none",    "--quiet"};
    Words cached = head;
    cached.push_back("--cache-features");
    train("head", head);
    train("cached", cached);
    EXPECT_EQ(log("cached"), log("head"));
    EXPECT_EQ(weights("cached"), weights("head"));
    EXPECT_NE(weights("cached"), weights("first"));
    EXPECT_GT(log("cached").back()["validation_accuracy"], 0.6);
    cached.push_back("--resume");
    std::erase(cached, "--quiet");
    EXPECT_THAT(train("cached", cached).err, testing::Not(HasSubstr("features  90 images")))
        << "a finished run needs none";
    expect_refusal(words("x", {"--cache-features"}), 2, {"--cache-features: needs --open-blocks 0"});
    expect_refusal(words("x", {"--cache-features", "--init", "weights", "--weights", "first/last.safetensors",
                               "--open-blocks", "0", "--flip", "true"}),
                   2, {"--flip: --cache-features trains on images as they are evaluated"});
    expect_refusal(words("x", {"--cache-features", "--init", "weights", "--weights", "first/last.safetensors",
                               "--open-blocks", "0", "--resize", "40x40"}),
                   2, {"--resize: --cache-features trains on images as they are evaluated"});
    Words resized = head;  // without a crop, as it is evaluated
    resized.insert(resized.end(), {"--cache-features", "--resize", "40x40", "--epochs", "1"});
    train("resized", resized);
    expect_refusal({"train", "energy", "--net", "wrn-10-1", "--classes", "3", "--dropout", "0",
                    "--open-blocks", "0", "--cache-features", "--weights", "first/last.safetensors", "--id",
                    "cifar10:train.bin", "--auxiliary", "synthetic:9:size=32", "--out", "x"},
                   2, {"--cache-features: keeps features of labelled images only"});
    Words other = head;
    other.push_back("--resume");
    EXPECT_THAT(train("cached", other, 2).err,
                HasSubstr("cache-features: none now, true when the run began"));
}

TEST_F(Train, BrokenImagesAreLeftOutAndNamed) {
    const std::string good = content(std::string(GS_SOURCE_DIR) + "/tests/data/images/jpeg_plain.jpg");
    for (int i = 0; i < 8; ++i) {
        const std::string name = std::to_string(i % 2) + "/" + std::to_string(i) + ".jpg";
        write(root_ / "photos" / name, i == 3 ? good.substr(0, 200) : good);
    }
    const Words all{"train",    "resnet20-cifar", "--net",     "wrn-10-1", "--classes", "0",
                    "--resize", "32x32",          "--batch",   "4",        "--epochs",  "2",
                    "--id",     "folder:photos",  "--threads", "1",        "--out"};
    Words lenient = all, strict = all;
    lenient.push_back("run");
    strict.insert(strict.end(), {"strict", "--strict", "--quiet"});
    const Ran ran = run(lenient);
    EXPECT_EQ(ran.code, 6) << ran.err;
    EXPECT_THAT(ran.err,
                AllOf(HasSubstr("notice: photos: 1/3.jpg: "), HasSubstr("1 image could not be used")));
    EXPECT_EQ(log("run").size(), 4u);
    lenient.push_back("--resume");
    EXPECT_EQ(run(lenient).code, 6) << "as it ended";
    Words alone = all;
    alone.insert(alone.end(), {"alone", "--batch", "1", "--log-every", "1", "--quiet"});
    const Ran skipped = run(alone);
    EXPECT_EQ(skipped.code, 6) << "a step of that image alone: " << skipped.err;
    const std::vector<Json> lines = log("alone");
    ASSERT_EQ(lines.size(), 18u);
    EXPECT_EQ(
        std::count_if(lines.begin(), lines.end(), [](const Json& line) { return line["loss"].is_null(); }),
        2);
    EXPECT_THAT(content(root_ / "alone/curves.svg"), testing::Not(HasSubstr("nan")));
    const Ran stopped = run(strict);
    EXPECT_EQ(stopped.code, 4) << stopped.err;
    EXPECT_THAT(stopped.err, AllOf(HasSubstr("photos: 1/3.jpg: "), HasSubstr("(--strict)")));
    for (int i = 0; i < 8; ++i)
        write(root_ / "photos" / std::to_string(i % 2) / (std::to_string(i) + ".jpg"), good.substr(0, 200));
    Words none = all;
    none.insert(none.end(), {"none", "--quiet"});
    const Ran useless = run(none);
    EXPECT_EQ(useless.code, 4);
    EXPECT_THAT(useless.err, HasSubstr("photos: none of the images of epoch 1 could be used"));
}

// The last maps are 1x1, so that batch norm needs two images; an epoch is a step of three and one of two.
TEST_F(Train, AStepThatBrokenImagesLeaveOneImageIsSkipped) {
    SplitMix64 random(1);
    for (int i = 0; i < 5; ++i) {
        Image noise{4, 4, std::vector<uint8_t>(4 * 4 * 3)};  // equal ones have no variance
        for (uint8_t& value : noise.rgb) value = static_cast<uint8_t>(random.integer(0, 255));
        const std::vector<std::byte> png = encode_png(noise);
        write(root_ / "photos" / std::to_string(i % 2) / (std::to_string(i) + ".png"),
              {reinterpret_cast<const char*>(png.data()), i == 3 ? png.size() / 2 : png.size()});
    }
    const Ran ran = run({"train",
                         "resnet20-cifar",
                         "--classes",
                         "0",
                         "--resize",
                         "4x4",
                         "--crop",
                         "4x4",
                         "--pad",
                         "0",
                         "--batch",
                         "3",
                         "--epochs",
                         "12",
                         "--log-every",
                         "1",
                         "--learning-rate",
                         "1e-4",
                         "--id",
                         "folder:photos",
                         "--threads",
                         "1",
                         "--out",
                         "run"});
    EXPECT_EQ(ran.code, 6) << ran.err;
    const std::string said = "leave one alone, and batch norm needs two";
    ASSERT_THAT(ran.err, HasSubstr(said));
    EXPECT_EQ(ran.err.find(said), ran.err.rfind(said)) << "once";
    int skipped = 0;
    for (const Json& line : log("run")) skipped += line["kind"] == "step" && line["loss"].is_null();
    EXPECT_GT(skipped, 1) << "two in five epochs";
    expect_refusal({"train", "resnet20-cifar", "--classes", "0", "--resize", "4x4", "--crop", "4x4", "--pad",
                    "0", "--batch", "2", "--id", "folder:photos", "--out", "alone"},
                   4, {"a batch of one image of 4x4"});
}

// Against the scores of the weights that it is of; the batches of 16, 16 and 13 images count by their images.
TEST_F(Train, TheValidationLossIsTheCrossEntropyOfTheLastWeights) {
    train("run", {"--epochs", "1", "--label-smoothing", "0.2"});
    score({"--weights", "run/last.safetensors", "--id", "test=cifar10:test.bin", "--methods", "msp", "--save",
           "logits", "--out", "scored", "--quiet"});
    const WeightFile arrays = read_weights(root_ / "scored/arrays/test.safetensors");
    const StoredTensor* stored = arrays.find("logits");
    ASSERT_NE(stored, nullptr);
    const auto* z = reinterpret_cast<const float*>(stored->storage.data());
    double loss = 0;
    const ScoreTable scored = table("scored", "test");
    ASSERT_EQ(scored.rows.size(), 45u);
    for (size_t n = 0; n < 45; ++n, z += kClasses) {
        double sum = 0;
        for (int c = 0; c < kClasses; ++c) sum += std::exp(double{z[c]});
        loss += (std::log(sum) - double{z[scored.rows[n].label.value()]}) / 45;
    }
    EXPECT_NEAR(log("run").back()["validation_loss"].get<double>(), loss, 1e-6);  // float32 logits
}

}  // namespace
}  // namespace gs::test
