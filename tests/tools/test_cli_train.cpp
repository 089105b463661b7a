// gradscore train with a tiny net on images whose class is their colour.
#include <sys/file.h>

#include <chrono>
#include <random>

#include "core/file_lock.h"
#include "tests/support/gradscore.h"
#include "tests/support/random.h"
#include "tests/tools/net_files.h"
#include "weights/weight_file.h"

namespace gs::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using Json = nlohmann::json;

constexpr int kImages = 90, kClasses = 3;

class Train : public GradscoreTest {
  protected:
    Train() {
        write(root_ / "train.bin", coloured(kImages, 1));
        write(root_ / "test.bin", coloured(45, 2));
    }

    // CIFAR-10's binary layout: noise, and the class's channel brighter.
    static std::string coloured(int count, uint64_t seed, int classes = kClasses) {
        SplitMix64 random(seed);
        std::string bytes;
        for (int i = 0; i < count; ++i) {
            const int label = i % classes;
            bytes += static_cast<char>(label);
            for (int p = 0; p < 3072; ++p)
                bytes += static_cast<char>(random.integer(0, 127) + (p / 1024 == label ? 100 : 0));
        }
        return bytes;
    }

    // 3 epochs of 6 steps, the last of them with 10 images.
    Words words(const std::string& out, const Words& more = {}) const {
        Words all{"train",       "resnet20-cifar",
                  "--net",       "wrn-10-1",
                  "--classes",   "3",
                  "--epochs",    "3",
                  "--batch",     "16",
                  "--id",        "cifar10:train.bin",
                  "--validate",  "cifar10:test.bin",
                  "--threads",   "1",
                  "--log-every", "2",
                  "--out",       out};
        for (size_t i = 0; i < more.size(); ++i) {  // in place of those above, or behind
            const auto same =
                more[i].starts_with("--") ? std::find(all.begin(), all.end(), more[i]) : all.end();
            if (same != all.end() && i + 1 < more.size())
                *std::next(same) = more[++i];
            else
                all.push_back(more[i]);
        }
        return all;
    }
    Ran train(const std::string& out, const Words& more = {}, int code = 0) const {
        Ran ran = run(words(out, more));
        EXPECT_EQ(ran.code, code) << ran.err;
        return ran;
    }
    std::string weights(const std::string& out) const { return content(root_ / out / "last.safetensors"); }
    std::string checkpoint(const std::string& out) const {
        return content(root_ / out / "checkpoint.safetensors");
    }

    // The log's lines without what depends on the clock.
    std::vector<Json> log(const std::string& out) const {
        std::istringstream stream(content(root_ / out / "log.jsonl"));
        std::vector<Json> lines;
        for (std::string line; std::getline(stream, line);) {
            Json json = Json::parse(line);
            json.erase("seconds");
            json.erase("images_per_second");
            lines.push_back(std::move(json));
        }
        return lines;
    }
    static std::map<std::string, std::string> metadata(const fs::path& file) {
        return read_weights(file).metadata;
    }

    // Sends the signal so many milliseconds after the run's first checkpoint.
    Ran stop(const std::string& out, const Words& more, int signal, int milliseconds) {
        const auto begun = [&] { return fs::exists(root_ / out / "checkpoint.safetensors"); };
        return stop_after(begun, out, more, signal, milliseconds);
    }
    Ran stop_after(const std::function<bool()>& moment, const std::string& out, const Words& more, int signal,
                   int milliseconds) {
        using Clock = std::chrono::steady_clock;
        std::optional<Clock::time_point> when;
        bool sent = false;
        RunOptions options = options_;
        options.meanwhile = [&](pid_t child) {
            if (!when && moment()) when = Clock::now() + std::chrono::milliseconds(milliseconds);
            if (!when || Clock::now() < *when || sent) return;
            sent = true;
            ::kill(child, signal);
        };
        return run(words(out, more), options);
    }

    // Everything that a run leaves but for times.
    void expect_same_run(const std::string& got, const std::string& want) const {
        EXPECT_EQ(files_below(root_ / got), files_below(root_ / want));
        EXPECT_EQ(weights(got), weights(want));
        EXPECT_EQ(content(root_ / got / "best.safetensors"), content(root_ / want / "best.safetensors"));
        EXPECT_EQ(content(root_ / got / "curves.svg"), content(root_ / want / "curves.svg"));
        EXPECT_EQ(log(got), log(want));
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

TEST_F(Train, KilledAnywhereAndResumedItEndsWithTheSameBytes) {
    train("whole");
    std::mt19937 random(7);
    int killed = 0;
    for (int round = 0; round < 4; ++round) {
        const std::string out = "killed" + std::to_string(round);
        // A checkpoint after every step, so that most kills hit the middle of an epoch, and of a checkpoint.
        Words more{"--checkpoint-minutes", "1e-6"};
        Ran ran = stop(out, more, SIGKILL, static_cast<int>(random() % 120));
        more.push_back("--resume");
        for (int again = 0; again < 3 && ran.signal == SIGKILL; ++again, ++killed)
            ran = stop(out, more, again < 2 ? SIGKILL : 0, static_cast<int>(random() % 120));
        ASSERT_EQ(ran.code, 0) << ran.err;
        expect_same_run(out, "whole");
    }
    EXPECT_GT(killed, 1) << "the signals came too late";
}

TEST_F(Train, InterruptedItKeepsTheStepAndGoesOn) {
    train("whole");
    Ran ran = stop("run", {"--quiet"}, SIGINT, 60);
    if (ran.code == 0) ran = stop("run", {"--quiet", "--force"}, SIGINT, 0);
    ASSERT_EQ(ran.code, 130) << ran.err;
    EXPECT_THAT(ran.err, AllOf(HasSubstr("interrupted after step "), HasSubstr("--resume goes on")));
    EXPECT_EQ(metadata(root_ / "run/last.safetensors").at("step"),
              metadata(root_ / "run/checkpoint.safetensors").at("state/step"));
    train("run", {"--resume"});
    EXPECT_EQ(weights("run"), weights("whole"));
    EXPECT_EQ(log("run"), log("whole"));
    // Once more: there is nothing left to do, and nothing changes.
    EXPECT_THAT(train("run", {"--resume"}).out, HasSubstr("weights after 18 steps"));
    EXPECT_EQ(weights("run"), weights("whole"));
    EXPECT_EQ(log("run"), log("whole"));
}

TEST_F(Train, ACheckpointKnowsTheTimeSinceTheLogsLastLine) {
    const auto stepped = [&] {
        const fs::path file = root_ / "run/checkpoint.safetensors";
        return fs::exists(file) && metadata(file).at("state/step") != "0";
    };
    const Words many{"--batch", "1", "--log-every", "1000", "--checkpoint-minutes", "1e-6", "--quiet"};
    EXPECT_EQ(stop_after(stepped, "run", many, SIGKILL, 0).signal, SIGKILL);
    EXPECT_EQ(content(root_ / "run/log.jsonl"), "");
    EXPECT_GT(std::stod(metadata(root_ / "run/checkpoint.safetensors").at("state/seconds")), 0);
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

TEST_F(Train, StoppedDuringValidationItKeepsTheEpoch) {
    write(root_ / "test.bin", coloured(3000, 2));
    train("whole", {"--quiet"});
    for (const int signal : {SIGINT, SIGKILL}) {
        const std::string out = "run" + std::to_string(signal);
        const auto validating = [&] {  // the checkpoint of the epoch's end stands, its line does not
            std::ifstream file(root_ / out / "checkpoint.safetensors");
            return std::string(std::istreambuf_iterator<char>(file), {}).find("\"state/step\":\"6\"") !=
                   std::string::npos;
        };
        const Ran ran = stop_after(validating, out, {"--quiet"}, signal, 30);
        EXPECT_EQ(signal == SIGINT ? ran.code : ran.signal, signal == SIGINT ? 130 : SIGKILL) << ran.err;
        EXPECT_EQ(metadata(root_ / out / "checkpoint.safetensors").at("state/step"), "6");
        EXPECT_EQ(log(out).size(), 3u) << "the validation was not waited for";
        train(out, {"--resume", "--quiet"});
        expect_same_run(out, "whole");
    }
}

// Calls that fail stand for a process that ends there.
TEST_F(Train, StoppedBetweenAnyTwoFilesItEndsWithTheSame) {
    GS_SKIP_WITHOUT_FAULTS();
    const Words two{"--epochs", "2", "--quiet"}, again{"--epochs", "2", "--quiet", "--resume"};
    train("whole", two);
    for (int nth = 1;; ++nth) {
        SCOPED_TRACE(nth);
        const std::string out = "run" + std::to_string(nth);
        const Ran ran = run(words(out, two), with_fault({{"CALL", "rename"}, {"NTH", std::to_string(nth)}}));
        if (ran.code == 0) {
            EXPECT_GT(nth, 8) << "they are a recipe, checkpoints, weights and curves";
            break;
        }
        ASSERT_EQ(ran.code, 1) << ran.err;
        // What is there is never of steps that are taken again.
        for (const char* name : {"last.safetensors", "best.safetensors"})
            if (fs::exists(root_ / out / name)) {
                EXPECT_LE(std::stoi(metadata(root_ / out / name).at("step")),
                          std::stoi(metadata(root_ / out / "checkpoint.safetensors").at("state/step")))
                    << name;
            }
        train(out, again);
        expect_same_run(out, "whole");
    }
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

TEST_F(Train, OnlyTheSameRunIsResumed) {
    train("run", {"--quiet"});
    const std::string before = checkpoint("run");
    const auto refused = [&](const Words& more, const std::vector<std::string>& parts) {
        Words all = words("run", {"--resume"});
        all.insert(all.end(), more.begin(), more.end());
        expect_refusal(all, 2, parts);
        EXPECT_EQ(checkpoint("run"), before);
    };
    refused({"--learning-rate", "0.05"}, {"--resume run", "learning-rate: 0.05 now, 0.1 when the run began"});
    refused({"--seed", "3"}, {"seed: 3 now, 0 when the run began"});
    refused({"--pth"}, {"pth: true now, none when the run began"});
    refused({"--max-pixels", "1000"}, {"max-pixels: 1000 now, none when the run began"});
    refused({"--limit", "60"}, {"images of --id: 60 images", "90 images"});
    write(root_ / "train.bin", coloured(kImages, 3));
    refused({}, {"images of --id: 90 images"});
    write(root_ / "elsewhere/notes.txt", "mine");
    expect_refusal(words("elsewhere", {"--resume"}), 2,
                   {"--resume elsewhere: not a folder of gradscore train"});
    expect_refusal(words("run"), 2, {"--out run: not empty", "--force"});
    write(root_ / "run/checkpoint.safetensors", before.substr(0, before.size() - 10));
    expect_refusal(words("run", {"--resume"}), 3, {"run/checkpoint.safetensors"});
    std::string beyond = before;
    beyond.replace(beyond.find("\"state/step\":\"18"), 16, "\"state/step\":\"99");
    write(root_ / "run/checkpoint.safetensors", beyond);
    write(root_ / "train.bin", coloured(kImages, 1));
    expect_refusal(words("run", {"--resume"}), 3,
                   {"run/checkpoint.safetensors: is of step 99, and the run has 18"});
}

TEST_F(Train, ResumingNothingBegins) {
    EXPECT_THAT(train("run", {"--resume", "--quiet"}).err,
                HasSubstr("nothing to go on with in run; beginning"));
    train("whole");
    EXPECT_EQ(weights("run"), weights("whole"));
    EXPECT_EQ(log("run"), log("whole"));
}

TEST_F(Train, OneProcessAtATimeInAFolder) {
    train("run", {"--quiet"});
    const FileLock held(root_ / "run/lock", "gradscore train (process 7)");
    for (const char* flag : {"--resume", "--force", "--strict"})
        expect_refusal(words("run", {flag}), 2, {"run/lock: held by gradscore train (process 7)"});
}

TEST_F(Train, ALossThatIsNoNumberEndsTheRunAndNotTheCheckpoint) {
    const Ran ran = train("run", {"--learning-rate", "1e30", "--quiet"}, 4);
    EXPECT_EQ(ran.error_lines().size(), 1u) << ran.err;
    EXPECT_THAT(ran.err, AllOf(HasSubstr("loss"), HasSubstr("run/checkpoint.safetensors is of step ")));
    for (const StoredTensor& tensor : read_weights(root_ / "run/checkpoint.safetensors").tensors)
        for (const float value : to_float32(tensor)) ASSERT_TRUE(std::isfinite(value)) << tensor.name;
}

TEST_F(Train, AFullDiskLeavesTheLastCheckpoint) {
    ASSERT_EQ(stop("run", {"--quiet"}, SIGINT, 0).code, 130);
    const std::string before = checkpoint("run");
    const std::vector<std::string> files = files_below(root_ / "run");
    RunOptions options = options_;
    options.largest_file = before.size() / 2;
    const Ran full = run(words("run", {"--resume", "--quiet"}), options);
    EXPECT_EQ(full.code, 1);
    EXPECT_EQ(full.error_lines().size(), 1u) << full.err;
    EXPECT_THAT(full.err,
                AllOf(HasSubstr("cannot write"), HasSubstr("run/checkpoint.safetensors is of step")));
    EXPECT_EQ(checkpoint("run"), before);
    EXPECT_EQ(files_below(root_ / "run"), files) << "no temporaries";
    train("run", {"--resume", "--quiet"});
    train("whole", {"--quiet"});
    EXPECT_EQ(weights("run"), weights("whole"));
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
    const Ran ran = run({"train",
                         "energy",
                         "--net",
                         "wrn-10-1",
                         "--classes",
                         "3",
                         "--weights",
                         "first/last.safetensors",
                         "--id",
                         "cifar10:train.bin",
                         "--auxiliary",
                         "tiny-images:tiny:skip=skip",
                         "--auxiliary",
                         "synthetic:9:size=32",
                         "--epochs",
                         "1",
                         "--batch",
                         "16",
                         "--auxiliary-batch",
                         "8",
                         "--threads",
                         "1",
                         "--out",
                         "tuned"});
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_THAT(ran.err, AllOf(HasSubstr("2 listed images skipped"),
                               HasSubstr("steps of 16 and 8 of 14 auxiliary"), HasSubstr("no --validate")));
    EXPECT_FALSE(fs::exists(root_ / "tuned/best.safetensors"));
    EXPECT_NE(weights("tuned"), weights("first"));
    write(root_ / "raw.npy", npy_of({"", {2, 3, 32, 32}, std::vector<float>(2 * 3 * 32 * 32, 0.5f)}));
    const Ran raw = run({"train", "energy", "--net", "wrn-10-1", "--classes", "3", "--weights",
                         "first/last.safetensors", "--id", "cifar10:train.bin", "--auxiliary", "npy:raw.npy",
                         "--epochs", "1", "--threads", "1", "--out", "raw"});
    ASSERT_EQ(raw.code, 0) << raw.err;
    EXPECT_THAT(raw.err, HasSubstr("notice: auxiliary images are float32 arrays, used as they are"));
    expect_refusal(
        {"train", "energy", "--weights", "first/last.safetensors", "--id", "cifar10:train.bin", "--out", "x"},
        2, {"--auxiliary NAME=KIND:PATH"});
}

TEST_F(Train, GroupsOfClasses) {
    const Ran ran = train("run", {"--loss", "group-softmax", "--groups", "2+1", "--quiet"});
    const WeightFile last = read_weights(root_ / "run/last.safetensors");
    EXPECT_EQ(last.find("fc.weight")->shape[0], 5);
    EXPECT_GT(log("run").back()["validation_accuracy"], 0.5) << "a third is chance";
    score({"--weights", "run/last.safetensors", "--id", "t=cifar10:test.bin", "--methods", "mos:groups=2+1",
           "--out", "scored"});
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

}  // namespace
}  // namespace gs::test
