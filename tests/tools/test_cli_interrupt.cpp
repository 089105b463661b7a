// Ctrl-C in the middle of a set.
#include <nlohmann/json.hpp>

#include "tests/tools/demo_images.h"

namespace gs::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Clock = std::chrono::steady_clock;

class Interrupt : public DemoImages {
  protected:
    // Sends the signals, the given seconds apart, once the set's file is open and time for some images has
    // passed.
    Ran interrupt(const Words& words, const std::string& set, const std::vector<int>& signals) {
        std::optional<Clock::time_point> next;
        size_t sent = 0;
        options_.meanwhile = [&, next, sent](pid_t child) mutable {
            if (!next && is_open(set)) next = Clock::now() + std::chrono::milliseconds(400);
            if (!next || Clock::now() < *next || sent == signals.size()) return;
            ::kill(child, signals[sent++]);
            last_signal_ = Clock::now();
            next = *last_signal_ + std::chrono::milliseconds(200);
        };
        Ran ran = run(words);
        EXPECT_TRUE(last_signal_) << "it never came to " << set << ": " << ran.err;
        if (last_signal_)
            seconds_after_ = std::chrono::duration<double>(Clock::now() - *last_signal_).count();
        return ran;
    }

    double seconds_after_ = 1e9;

  private:
    std::optional<Clock::time_point> last_signal_;

    // Under its temporary name: NAME.csv.XXXXXX.
    bool is_open(const std::string& set) const {
        std::error_code error;
        for (const auto& entry : fs::directory_iterator(root_ / "run/scores", error))
            if (entry.path().filename().string().starts_with(set + ".csv.")) return true;
        return false;
    }
};

TEST_F(Interrupt, WhatWasDoneIsAWholeRun) {
    const Ran ran = interrupt({"score", "--weights", demo_weights(), "--id", kId, "--ood", kShapes, "--ood",
                               "big=synthetic:1000000:size=64", "--ood", kTextures, "--methods",
                               "msp,gradnorm", "--save", "logits", "--out", "run"},
                              "big", {SIGINT});
    EXPECT_EQ(ran.code, 130) << ran.err;
    EXPECT_THAT(ran.err, HasSubstr("interrupted: what was done is in run"));
    EXPECT_THAT(files_below(root_ / "run"),
                ElementsAre("arrays/figures.safetensors", "arrays/shapes.safetensors", "config.toml",
                            "journal", "results.json", "results.md", "scores/big.csv", "scores/figures.csv",
                            "scores/shapes.csv"))
        << "arrays of half a set, sets after it and temporaries are not there";
    const nlohmann::json json = results("run");
    EXPECT_THAT(json["run"]["notices"].dump(), HasSubstr("interrupted"));
    ASSERT_EQ(json["sets"].size(), 3u);
    const ScoreTable big = table("run", "big");
    EXPECT_EQ(json["sets"][2]["total"], 1000000);
    EXPECT_EQ(json["sets"][2]["scored"], big.rows.size());
    EXPECT_GT(big.rows.size(), 0u);
    EXPECT_LT(big.rows.size(), 1000000u);
    for (size_t i = 0; i < big.rows.size(); ++i) ASSERT_EQ(big.rows[i].index, static_cast<int64_t>(i));

    options_.meanwhile = nullptr;
    const Ran metrics = run({"metrics", "run", "--json"});
    EXPECT_EQ(metrics.code, 0) << metrics.err;
    EXPECT_EQ(parse_json(metrics.out), json);
}

TEST_F(Interrupt, TheIdSetItself) {
    const Ran ran = interrupt({"score", "--weights", demo_weights(), "--id", "big=synthetic:1000000:size=64",
                               "--ood", kShapes, "--quiet", "--json", "--out", "run"},
                              "big", {SIGTERM});
    EXPECT_EQ(ran.code, 130) << ran.err;
    EXPECT_THAT(ran.error_lines(),
                ElementsAre("interrupted: what was done is in run; --resume goes on from there"));
    EXPECT_EQ(ran.out, content(root_ / "run/results.json"));
    options_.meanwhile = nullptr;
    EXPECT_EQ(run({"metrics", "run"}).code, 0);
}

// Images so large that one batch takes seconds: the first signal waits for it, the second does not.
TEST_F(Interrupt, ASecondOneEndsAtOnce) {
    const Ran ran =
        interrupt({"score", "--weights", demo_weights(), "--id", "huge=synthetic:64:size=1800", "--resize",
                   "none", "--crop", "none", "--threads", "1", "--quiet", "--out", "run"},
                  "huge", {SIGINT, SIGINT});
    EXPECT_EQ(ran.signal, SIGINT) << ran.code << ran.err;
    EXPECT_LT(seconds_after_, 2);
    EXPECT_FALSE(fs::exists(root_ / "run/scores/huge.csv")) << "nothing half-written under its final name";
    EXPECT_FALSE(fs::exists(root_ / "run/results.json"));
}

}  // namespace
}  // namespace gs::test
