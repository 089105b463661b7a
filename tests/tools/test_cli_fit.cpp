// gradscore fit, merge, and score with statistics.
#include <nlohmann/json.hpp>

#include "core/files.h"
#include "scores/statistics.h"
#include "tests/tools/demo_images.h"

namespace gs::test {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

// train/id: 40 other figures in the same ten folders.
class FitCommand : public DemoImages {
  protected:
    FitCommand() { demo::draw_demo(root_ / "train", {.seed = 4, .id_per_class = 4, .ood = 1}); }

    static inline const std::string kTrain = "train=folder:train/id";

    Ran fit(const std::string& out, const Words& flags = {}, int code = 0) const {
        const Ran ran = run(fit_words(out, flags));
        EXPECT_EQ(ran.code, code) << ran.err;
        return ran;
    }
    static Words fit_words(const std::string& out, const Words& flags = {}) {
        Words words{"fit", "--weights", demo_weights(), "--out", out};
        if (std::find(flags.begin(), flags.end(), "--id") == flags.end())
            words.insert(words.end(), {"--id", kTrain});
        if (std::find(flags.begin(), flags.end(), "--methods") == flags.end())
            words.insert(words.end(), {"--methods", "klm"});
        words.insert(words.end(), flags.begin(), flags.end());
        return words;
    }
    Words score_words(const Words& more) const {
        Words words{"score", "--weights", demo_weights(), "--methods", "klm", "--out", "run", "--quiet"};
        words.insert(words.end(), more.begin(), more.end());
        return words;
    }
    std::vector<ImageDigest> digests_below(const std::string& folder) const {
        std::vector<ImageDigest> digests;
        for (const std::string& file : files_below(root_ / folder))
            digests.push_back(image_digest(sha256_hex(read_file(root_ / folder / file, ErrorKind::Data))));
        std::sort(digests.begin(), digests.end());
        return digests;
    }
    std::vector<double> column(const std::string& run, const std::string& set, size_t method = 0) const {
        std::vector<double> scores;
        for (const ScoreRow& row : table(run, set).rows)
            if (row.reason.empty()) scores.push_back(row.scores.at(method));
        return scores;
    }
};

TEST_F(FitCommand, WritesWhatItSaw) {
    const Ran ran = fit("s.safetensors");
    EXPECT_THAT(ran.out, AllOf(HasSubstr("s.safetensors: klm, fitted on 40 images"), HasSubstr(kTrain)));
    const Statistics s = read_statistics(root_ / "s.safetensors");
    EXPECT_EQ(s.set, kTrain);
    EXPECT_EQ(s.total, 40);
    EXPECT_EQ(s.shards, 1);
    EXPECT_EQ(s.weights_sha256, sha256_hex(read_file(demo_weights(), ErrorKind::Data)));
    EXPECT_EQ(s.seen, digests_below("train/id"));
    ASSERT_THAT(s.states, SizeIs(1));
    EXPECT_EQ(s.states[0].array("counts").as<int64_t>(), std::vector<int64_t>(10, 4));
    double total = 0;
    for (const double v : s.states[0].array("sums").as<double>()) total += v;
    EXPECT_NEAR(total, 40, 1e-5) << "rows of softmax, float32";
}

TEST_F(FitCommand, ThenScores) {
    fit("s.safetensors");
    score({"--id", kId, "--ood", kShapes, "--ood", kTextures, "--methods", "klm,msp", "--stats",
           "s.safetensors", "--out", "run", "--quiet"});
    const nlohmann::json json = results("run");
    EXPECT_EQ(json["run"]["invalid_protocol"], nlohmann::json::array());
    EXPECT_EQ(json["methods"][0]["options"],
              (nlohmann::json{{"by", "label"}, {"stats", "s.safetensors"}, {"templates", "fit"}}));
    EXPECT_GT(json["averages"]["klm"]["auroc"], 0.5);
    for (const double s : column("run", "figures")) EXPECT_LE(s, 1e-6) << "a divergence, negated";
    EXPECT_THAT(content(root_ / "run/results.md"), Not(HasSubstr("protocol")));

    score({"--id", kId, "--methods", "klm:stats=s.safetensors", "--out", "named", "--quiet"});
    EXPECT_EQ(column("named", "figures"), column("run", "figures"));
}

// klm of the folders' first two classes, 8 images, is no fit for others: it is marked wherever it goes.
TEST_F(FitCommand, UnderALimitIsMarkedEverywhere) {
    const Words limit{"--limit", "8", "--methods", "klm:by=predicted"};
    EXPECT_THAT(fit("s.safetensors", limit).out,
                HasSubstr("under --limit: what it scores is not comparable"));
    const Statistics s = read_statistics(root_ / "s.safetensors");
    EXPECT_EQ(s.total, 40);
    EXPECT_EQ(s.limit, 8);
    EXPECT_EQ(s.seen.size(), 8u);
    for (const std::string shard : {"0", "1"}) {
        Words words = limit;
        words.insert(words.end(), {"--shard", shard + "/2"});
        fit(shard + ".safetensors", words);
    }
    ASSERT_EQ(run({"merge", "merged.safetensors", "0.safetensors", "1.safetensors"}).code, 0);
    EXPECT_EQ(read_statistics(root_ / "merged.safetensors").limit, 8);
    for (const std::string name : {"s", "merged"}) {
        const Ran ran = score({"--id", kId, "--methods", "klm,msp", "--stats", name + ".safetensors", "--out",
                               name, "--quiet"});
        const std::string reason = name + ".safetensors was fitted or searched under --limit 8";
        EXPECT_THAT(ran.out, HasSubstr("NOT COMPARABLE: " + reason));
        EXPECT_EQ(results(name)["comparable"], false);
        EXPECT_EQ(results(name)["run"]["limited_fits"], (nlohmann::json{{name + ".safetensors", 8}}));
        EXPECT_THAT(content(root_ / name / "results.md"), HasSubstr("**Not comparable:** " + reason));
        EXPECT_THAT(run({"threshold", name, "--method", "klm", "--out", name + ".json"}).err,
                    HasSubstr(reason + ": the threshold is for trials only"));
        EXPECT_EQ(read_json(root_ / (name + ".json"))["comparable"], false);
    }
}

TEST_F(FitCommand, ShardsMergedAreTheWhole) {
    fit("whole.safetensors");
    for (const char* shard : {"0", "1", "2"})
        fit(std::string("part") + shard + ".safetensors", {"--shard", std::string(shard) + "/3", "--quiet"});
    const Ran merged =
        run({"merge", "all.safetensors", "part2.safetensors", "part0.safetensors", "part1.safetensors"});
    ASSERT_EQ(merged.code, 0) << merged.err;
    EXPECT_THAT(merged.out, HasSubstr("3 shards, fitted on 40 images"));
    const Statistics whole = read_statistics(root_ / "whole.safetensors");
    const Statistics all = read_statistics(root_ / "all.safetensors");
    EXPECT_EQ(read_statistics(root_ / "part1.safetensors").seen.size(), 13u) << "images 13 to 25";
    EXPECT_EQ(all.seen, whole.seen);
    EXPECT_EQ(all.states[0].array("counts").values, whole.states[0].array("counts").values);
    const auto& a = all.states[0].array("sums").as<double>();
    const auto& w = whole.states[0].array("sums").as<double>();
    for (size_t i = 0; i < w.size(); ++i) EXPECT_NEAR(a[i], w[i], 1e-14) << "sums of a few float64";
}

TEST_F(FitCommand, Case21_ImagesOfTheFitAreNotScored) {
    fit("s.safetensors");
    const Words words =
        score_words({"--id", kId, "--ood", "seen=folder:train/id", "--stats", "s.safetensors"});
    expect_refusal(
        words, 4,
        {"seen: ", ".png: s.safetensors was fitted (or searched) on this very image", "--allow-fit-on-test"});
    EXPECT_FALSE(fs::exists(root_ / "run/scores/seen.csv"));
    EXPECT_EQ(results("run")["sets"].size(), 1u) << "what was scored before stays";

    expect_refusal({"score", "--weights", demo_weights(), "--id", kTrain, "--methods", "klm", "--stats",
                    "s.safetensors", "--out", "id", "--quiet"},
                   4, {"train: ", "--allow-fit-on-test"});
    EXPECT_FALSE(fs::exists(root_ / "id/results.json"));

    const Words msp{"--id",          kTrain,  "--methods", "msp",    "--stats",
                    "s.safetensors", "--out", "msp",       "--quiet"};
    const std::string unread = "--stats s.safetensors: no method of this run reads it";
    EXPECT_THAT(score(msp).err, HasSubstr("notice: " + unread));
    EXPECT_THAT(results("msp")["run"]["notices"].dump(), HasSubstr(unread));
}

TEST_F(FitCommand, OneImageIsEnough) {
    fit("s.safetensors");
    const std::string image = files_below(root_ / "train/id").at(17);
    fs::copy_file(root_ / "train/id" / image, root_ / "images/ood-shapes/zz.png");
    expect_refusal(score_words({"--id", kId, "--ood", kShapes, "--stats", "s.safetensors"}), 4,
                   {"shapes: zz.png: "});
}

TEST_F(FitCommand, SavedArraysAreCheckedToo) {
    fit("s.safetensors");
    score({"--id", kTrain, "--methods", "msp", "--save", "logits,features", "--out", "saved", "--quiet"});
    const Ran ran = run(score_words({"--id", kTrain, "--reuse", "saved", "--stats", "s.safetensors"}));
    EXPECT_EQ(ran.code, 4);
    EXPECT_THAT(ran.err, AllOf(HasSubstr("the net was not run"), HasSubstr("--allow-fit-on-test")));
}

TEST_F(FitCommand, Case21_AllowedItIsMarkedEverywhere) {
    fit("s.safetensors");
    fs::copy_file(root_ / "train/id" / files_below(root_ / "train/id").at(0),
                  root_ / "images/ood-shapes/zz.png");
    const Ran ran = score({"--id", kId, "--ood", kShapes, "--ood", kTextures, "--methods", "klm", "--stats",
                           "s.safetensors", "--allow-fit-on-test", "--out", "run", "--quiet"});
    const std::string reason = "s.safetensors was fitted on 1 of the 13 images of shapes";
    EXPECT_THAT(results("run")["run"]["invalid_protocol"][0], HasSubstr(reason));
    EXPECT_THAT(results("run")["run"]["invalid_protocol"], SizeIs(1));
    EXPECT_THAT(content(root_ / "run/results.md"), HasSubstr("**Invalid protocol:** " + reason));
    EXPECT_THAT(ran.out, HasSubstr("INVALID PROTOCOL: " + reason));
    EXPECT_EQ(parse_json(run({"metrics", "run", "--json"}).out), results("run"));
    const Ran threshold = run({"threshold", "run", "--out", "t.json"});
    EXPECT_THAT(threshold.err, AllOf(HasSubstr(reason), HasSubstr("for trials only")));
    EXPECT_EQ(read_json(root_ / "t.json")["comparable"], false);
}

TEST_F(FitCommand, OtherWeightsOrPreprocessingAreRefused) {
    fit("s.safetensors");
    expect_refusal(score_words({"--id", kId, "--stats", "s.safetensors", "--mean", ".4,.5,.6"}), 2,
                   {"s.safetensors: fitted with another preprocessing", "mean"});
    ASSERT_EQ(run({"convert", demo_weights(), "other.safetensors", "--quiet"}).code, 0);
    expect_refusal({"score", "--weights", "other.safetensors", "--id", kId, "--methods", "klm", "--stats",
                    "s.safetensors", "--out", "run", "--quiet"},
                   2, {"s.safetensors: fitted with other weights"});
    EXPECT_FALSE(fs::exists(root_ / "run"));
}

TEST_F(FitCommand, RefusalsComeBeforeTheWork) {
    expect_refusal(score_words({"--id", kId}), 2, {"'klm' needs a fit", "gradscore fit"});
    expect_refusal({"score", "--weights", demo_weights(), "--id", kId, "--methods", "msp", "--stats", "none",
                    "--out", "run", "--quiet"},
                   4, {"none: cannot open"});
    expect_refusal(fit_words("s.safetensors", {"--methods", "msp"}), 2, {"'msp' needs no fit"});
    expect_refusal(fit_words("s.safetensors", {"--methods", "klm:templates=id-test"}), 2, {"id-test"});
    expect_refusal(fit_words("s.bin"), 2, {"must end in .safetensors"});
    expect_refusal(fit_words("away/s.safetensors"), 2, {"away/s.safetensors: there is no folder away"});
    fs::create_directory(root_ / "folder.safetensors");
    expect_refusal(fit_words("folder.safetensors"), 2, {"folder.safetensors: is a folder"});
    for (const char* shard : {"3/3", "-1/3", "1", "1/", "/2", "a/b", "0/0", "1/2/3"})
        expect_refusal(fit_words("s.safetensors", {"--shard", shard}), 2, {"--shard", "I/N"});
    write(root_ / "old.safetensors", "mine");
    expect_refusal(fit_words("old.safetensors"), 2,
                   {"old.safetensors: exists; choose another name, or --force replaces it"});
    expect_refusal({"merge", "old.safetensors", "old.safetensors"}, 2, {"old.safetensors: exists"});
    expect_refusal({"merge", "runs/out", "old.safetensors", "typo"}, 4, {"typo: is not there"});
    expect_refusal(with(fit_words("own.safetensors", {"--force"}), {"--weights", "own.safetensors"}), 2,
                   {"--out own.safetensors: is --weights itself"});
    EXPECT_EQ(content(root_ / "old.safetensors"), "mine");
    expect_refusal({"merge", "new.safetensors", "old.safetensors"}, 4, {"old.safetensors"});
    expect_refusal({"merge", "old.safetensors", "old.safetensors", "--force"}, 2,
                   {"is the shard old.safetensors"});
    const Ran many = run(fit_words("s.safetensors", {"--shard", "0/41"}));
    EXPECT_EQ(many.code, 2);
    EXPECT_THAT(many.err, HasSubstr("41 shards of 40 images"));
    EXPECT_FALSE(fs::exists(root_ / "s.safetensors"));
    fit("old.safetensors", {"--force"});
}

TEST_F(FitCommand, ForceKeepsTheOldFitAside) {
    fit("s.safetensors");
    const std::string old = content(root_ / "s.safetensors");
    const Ran ran = fit("s.safetensors", {"--force", "--methods", "klm:by=predicted"});
    EXPECT_THAT(ran.err, HasSubstr("moved the old s.safetensors to s.safetensors.old1"));
    EXPECT_NE(content(root_ / "s.safetensors"), old);
    EXPECT_EQ(content(root_ / "s.safetensors.old1"), old);
    fit("0.safetensors", {"--shard", "0/2"});
    fit("1.safetensors", {"--shard", "1/2"});
    ASSERT_EQ(run({"merge", "s.safetensors", "0.safetensors", "1.safetensors", "--force"}).code, 0);
    EXPECT_TRUE(fs::exists(root_ / "s.safetensors.old2"));
}

// What --force would move away under the run's feet.
TEST_F(FitCommand, WhatARunReadsDoesNotLieInItsFolder) {
    score({"--id", kId, "--methods", "msp", "--out", "run", "--quiet"});
    fit("run/s.safetensors");
    fs::copy_file(demo_weights(), root_ / "run/w.safetensors");
    write(root_ / "run/groups.txt", "5 3");
    const Words words{"score", "--id", kId, "--out", "run", "--force", "--quiet"};
    const auto refused = [&](const Words& more, const std::string& what) {
        expect_refusal(with(words, more), 2, {what + ": lies in --out, which --force moves aside"});
    };
    refused({"--weights", "run/w.safetensors", "--methods", "msp"}, "--weights run/w.safetensors");
    refused({"--weights", demo_weights(), "--methods", "klm", "--stats", "run/s.safetensors"},
            "--stats run/s.safetensors");
    refused({"--weights", demo_weights(), "--methods", "klm:stats=run/s.safetensors"}, "run/s.safetensors");
    refused({"--weights", demo_weights(), "--methods", "mos:groups=run/groups.txt"}, "run/groups.txt");
    EXPECT_TRUE(fs::exists(root_ / "run/results.json"));
    EXPECT_FALSE(fs::exists(root_ / "run.old1"));
}

TEST_F(FitCommand, AnEmptyArchIsNoArch) {
    write(root_ / "e.json", "");
    expect_refusal(score_words({"--id", kId, "--arch", "e.json"}), 2, {"e.json: is empty"});
}

TEST_F(FitCommand, CorruptImagesAreLeftOut) {
    const std::string bad = files_below(root_ / "train/id").at(3);
    write(root_ / "train/id" / bad, "no image");
    const Ran ran = fit("s.safetensors", {}, 6);
    EXPECT_THAT(ran.err, AllOf(HasSubstr("train: " + bad), HasSubstr("1 image could not be used")));
    EXPECT_EQ(read_statistics(root_ / "s.safetensors").seen.size(), 39u);
    fit("strict.safetensors", {"--strict"}, 4);
    EXPECT_FALSE(fs::exists(root_ / "strict.safetensors"));
}

TEST_F(FitCommand, LabelsAreNeededWhereTheyAre) {
    write(root_ / "plain.txt", "train/id/" + files_below(root_ / "train/id").at(0) + "\n");
    const Ran ran = fit("s.safetensors", {"--id", "list:plain.txt"}, 4);
    EXPECT_THAT(ran.err, HasSubstr("klm:by=predicted"));
    EXPECT_FALSE(fs::exists(root_ / "s.safetensors"));
    fit("s.safetensors", {"--id", "list:plain.txt", "--methods", "klm:by=predicted"});
    score({"--id", kId, "--methods", "klm", "--stats", "s.safetensors", "--out", "run", "--quiet"});
    EXPECT_EQ(results("run")["methods"][0]["options"]["by"], "predicted");
    write(root_ / "beyond.txt", "train/id/" + files_below(root_ / "train/id").at(0) + " 10\n");
    EXPECT_THAT(fit("b.safetensors", {"--id", "list:beyond.txt"}, 4).err, HasSubstr("label 10"));
}

// Hours of computing are not lost to the last line of a list.
TEST_F(FitCommand, ALabelThatNoClassHasIsNamedBeforeAnythingIsComputed) {
    std::string list, last;
    for (const std::string& file : files_below(root_ / "train/id"))
        list +=
            "train/id/" + (last = file) + (file == files_below(root_ / "train/id").back() ? " 10\n" : " 1\n");
    write(root_ / "list.txt", list);
    const auto words = [&](const std::string& methods) {
        return fit_words("s.safetensors", {"--id", "t=list:list.txt", "--methods", methods, "--quiet"});
    };
    for (const char* methods : {"klm", "mahalanobis", "nac", "nac:images=0,klm"})
        expect_refusal(words(methods), 4, {"t: train/id/" + last + ": ", "label 10"});
    EXPECT_FALSE(fs::exists(root_ / "s.safetensors.journal"));
    fit("s.safetensors", {"--id", "t=list:list.txt", "--methods", "klm:by=predicted,nac:images=0"});
}

TEST_F(FitCommand, NacSaysWhatItLearnsFromAndWhatItDoesNotKeep) {
    const auto notices = [&](const std::string& method) {
        return fit("s.safetensors", {"--methods", method, "--force"}).err;
    };
    EXPECT_THAT(notices("nac:images=40"), Not(HasSubstr("notice: nac")));
    EXPECT_THAT(notices("nac:images=0"), Not(HasSubstr("notice: nac")));
    EXPECT_THAT(notices("nac:images=40:M=8:alpha=3"), HasSubstr("nac: M, alpha are chosen when scoring"));
    EXPECT_THAT(notices("nac:images=40:M=8:keep=histogram"), Not(HasSubstr("when scoring")));
    const std::string first = files_below(root_ / "train/id").front();
    fs::remove(root_ / "train/id" / first);
    EXPECT_THAT(notices("nac:images=40"),
                HasSubstr("nac: learns from 30 images, not 40: class 0 has only 3"));
}

TEST_F(FitCommand, AShardWithoutAnImageThatCanBeUsedIsMergedAsNone) {
    const std::vector<std::string> files = files_below(root_ / "train/id");
    for (size_t i = 0; i < 20; ++i) write(root_ / "train/id" / files[i], "no image");
    fit("0.safetensors", {"--shard", "0/2", "--methods", "klm,nac,mahalanobis"}, 6);
    fit("1.safetensors", {"--shard", "1/2", "--methods", "klm,nac,mahalanobis"});
    const Ran merged = run({"merge", "both.safetensors", "0.safetensors", "1.safetensors"});
    EXPECT_EQ(merged.code, 6) << merged.err;
    EXPECT_EQ(read_statistics(root_ / "both.safetensors").seen.size(), 20u);
    fit("whole.safetensors", {"--methods", "klm,nac,mahalanobis"}, 6);
    for (const char* stats : {"both", "whole"})
        score({"--id", kId, "--methods", "klm,nac,mahalanobis", "--stats",
               stats + std::string(".safetensors"), "--out", stats, "--quiet"});
    EXPECT_EQ(column("both", "figures", 1), column("whole", "figures", 1)) << "nac keeps what it saw";
}

TEST_F(FitCommand, InterruptedItLeavesAJournalOnly) {
    bool sent = false;
    options_.meanwhile = [&](pid_t child) {
        if (!sent && fs::exists(root_ / "s.safetensors.journal")) sent = ::kill(child, SIGINT) == 0;
    };
    const Ran ran = run(fit_words("s.safetensors", {"--id", "big=synthetic:1000000:size=64", "--methods",
                                                    "klm:by=predicted", "--quiet"}));
    EXPECT_EQ(ran.code, 130) << ran.err;
    EXPECT_THAT(ran.err,
                HasSubstr("interrupted: nothing was written but s.safetensors.journal; --resume goes"));
    for (const auto& entry : fs::directory_iterator(root_)) {
        const std::string name = entry.path().filename().string();
        EXPECT_THAT(name, AnyOf("s.safetensors.journal", Not(HasSubstr("s.safetensors"))));
    }
}

// The published protocol: templates of the test images themselves.
TEST_F(FitCommand, TemplatesOfTheIdSetItselfAreMarked) {
    const std::string method = "klm:templates=id-test";
    const Ran ran =
        score({"--id", kId, "--ood", kShapes, "--methods", method + ",msp", "--out", "run", "--quiet"});
    const std::string reason = method + " is fitted on figures, whose images it scores";
    EXPECT_THAT(results("run")["run"]["invalid_protocol"][0], HasSubstr(reason));
    EXPECT_THAT(ran.out, HasSubstr("INVALID PROTOCOL: " + reason));

    expect_refusal({"threshold", "run", "--method", method, "--out", "t.json"}, 2,
                   {method, "fitted on the run's own images"});
    expect_refusal({"score", "--weights", demo_weights(), "--id", kId, "--methods", method + ",nac", "--out",
                    "early", "--quiet"},
                   2, {"'nac' needs a fit"});
    EXPECT_FALSE(fs::exists(root_ / "early")) << "told before anything was computed";

    fit("same.safetensors", {"--id", kId});
    score({"--id", kId, "--ood", kShapes, "--methods", "klm", "--stats", "same.safetensors",
           "--allow-fit-on-test", "--out", "other", "--quiet"});
    for (const char* set : {"figures", "shapes"}) EXPECT_EQ(column("run", set), column("other", set));
    expect_refusal({"score", "--weights", demo_weights(), "--id", kId, "--methods",
                    method + ":stats=same.safetensors", "--out", "x", "--quiet"},
                   2, {"stats=same.safetensors"});
}

}  // namespace
}  // namespace gs::test
