// gradscore train --resume: a run that was stopped leaves what one leaves that was not.
#include <chrono>
#include <fstream>
#include <functional>
#include <random>

#include "core/file_lock.h"
#include "tests/tools/training_test.h"

namespace gs::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class ResumedTraining : public TrainingTest {
  protected:
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

TEST_F(ResumedTraining, KilledAnywhereAndResumedItEndsWithTheSameBytes) {
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

TEST_F(ResumedTraining, InterruptedItKeepsTheStepAndGoesOn) {
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

TEST_F(ResumedTraining, ACheckpointKnowsTheTimeSinceTheLogsLastLine) {
    const auto stepped = [&] {
        const fs::path file = root_ / "run/checkpoint.safetensors";
        return fs::exists(file) && metadata(file).at("state/step") != "0";
    };
    const Words many{"--batch", "1", "--log-every", "1000", "--checkpoint-minutes", "1e-6", "--quiet"};
    EXPECT_EQ(stop_after(stepped, "run", many, SIGKILL, 0).signal, SIGKILL);
    EXPECT_EQ(content(root_ / "run/log.jsonl"), "");
    EXPECT_GT(std::stod(metadata(root_ / "run/checkpoint.safetensors").at("state/seconds")), 0);
}

TEST_F(ResumedTraining, StoppedDuringValidationItKeepsTheEpoch) {
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
TEST_F(ResumedTraining, StoppedBetweenAnyTwoFilesItEndsWithTheSame) {
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

TEST_F(ResumedTraining, OnlyTheSameRunIsResumed) {
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

TEST_F(ResumedTraining, ResumingNothingBegins) {
    EXPECT_THAT(train("run", {"--resume", "--quiet"}).err,
                HasSubstr("nothing to go on with in run; beginning"));
    train("whole");
    EXPECT_EQ(weights("run"), weights("whole"));
    EXPECT_EQ(log("run"), log("whole"));
}

TEST_F(ResumedTraining, OneProcessAtATimeInAFolder) {
    train("run", {"--quiet"});
    const FileLock held(root_ / "run/lock", "gradscore train (process 7)");
    for (const char* flag : {"--resume", "--force", "--strict"})
        expect_refusal(words("run", {flag}), 2, {"run/lock: held by gradscore train (process 7)"});
}

TEST_F(ResumedTraining, AFullDiskLeavesTheLastCheckpoint) {
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

}  // namespace
}  // namespace gs::test
