// gradscore score, end to end: what a run leaves behind, and what its flags do.
#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/tools/demo_images.h"

namespace gs::test {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

class Score : public DemoImages {};

TEST_F(Score, ARunHoldsScoresResultsAndTheTable) {
    const Ran ran =
        score({"--id", kId, "--ood", kTextures, "--ood", kShapes, "--methods", kMethods, "--out", "run"});
    EXPECT_THAT(files_below(root_ / "run"),
                ElementsAre("config.toml", "results.json", "results.md", "scores/figures.csv",
                            "scores/shapes.csv", "scores/textures.csv"));
    const nlohmann::json json = results("run");
    EXPECT_EQ(json["schema"], "gradscore/results/1");
    EXPECT_EQ(json["comparable"], true);
    EXPECT_EQ(json["run"]["net"], "resnet8-cifar");
    EXPECT_THAT(json["run"]["weights"]["sha256"].get<std::string>(), SizeIs(64));
    EXPECT_THAT(json["run"]["preprocess"].get<std::string>(), HasSubstr("short side 32"));
    ASSERT_EQ(json["sets"].size(), 3u);
    EXPECT_EQ(json["sets"][0]["role"], "id");
    EXPECT_EQ(json["sets"][0]["scored"], 30);
    EXPECT_EQ(json["methods"][3]["options"]["epsilon"], "0.0014");
    EXPECT_EQ(json["methods"][3]["options"]["form"], "prob") << "defaults are filled in";
    // The terminal's table says what the file says.
    const double auroc = json["metrics"]["gradnorm"]["textures"]["auroc"];
    EXPECT_GT(auroc, 0.5) << "the demo's net tells textures from figures";
    char percent[16];
    std::snprintf(percent, sizeof percent, "%.2f", 100 * auroc);
    EXPECT_THAT(ran.out, AllOf(HasSubstr("gradnorm"), HasSubstr(percent), HasSubstr("AUROC↑"),
                               HasSubstr("accuracy"), HasSubstr("Average"), HasSubstr("run/")));
    EXPECT_THAT(content(root_ / "run/results.md"), HasSubstr(percent));
    EXPECT_THAT(ran.err, AllOf(HasSubstr("preprocessing: short side 32"), HasSubstr("figures  30 images")));
}

TEST_F(Score, LabelsAndAccuracyAreOfTheIdSetOnly) {
    score({"--id", kId, "--ood", kTextures, "--ood", "again=folder:images/id", "--out", "run", "--quiet"});
    const ScoreTable id = table("run", "figures");
    int correct = 0;
    for (const ScoreRow& row : id.rows) {
        ASSERT_TRUE(row.label && row.prediction);
        EXPECT_EQ(*row.label, row.index / 3) << "ten folders of three, in sorted order";
        correct += *row.label == *row.prediction;
    }
    EXPECT_DOUBLE_EQ(results("run")["sets"][0]["accuracy"], correct / 30.0);
    EXPECT_GE(correct, 20) << "the demo's net knows its figures";
    for (const char* ood : {"textures", "again"})
        for (const ScoreRow& row : table("run", ood).rows) EXPECT_FALSE(row.label) << ood << row.path;
    EXPECT_TRUE(results("run")["sets"][2]["accuracy"].is_null());
    EXPECT_EQ(results("run")["metrics"]["msp"]["again"]["auroc"], 0.5);
}

TEST_F(Score, WithoutAnOodSetThereAreScoresAndNoMetrics) {
    const Ran ran = score({"--id", kId, "--out", "run"});
    EXPECT_TRUE(results("run")["metrics"].empty());
    EXPECT_THAT(ran.out, HasSubstr("No out-of-distribution set"));
}

TEST_F(Score, Case18_BytesDoNotDependOnBatchNorThreads) {
    const auto bytes = [&](const std::string& name, const Words& flags) {
        Words words{"--id", kId, "--methods", kMethods, "--out", name, "--quiet"};
        words.insert(words.end(), flags.begin(), flags.end());
        score(words);
        return csv(name, "figures");
    };
    const std::string chosen = bytes("chosen", {});
    EXPECT_EQ(bytes("one", {"--batch", "1"}), chosen);
    EXPECT_EQ(bytes("seven", {"--batch", "7"}), chosen);
    EXPECT_EQ(bytes("thread", {"--threads", "1"}), chosen);
    EXPECT_EQ(bytes("threads", {"--threads", "2", "--deterministic"}), chosen);
    EXPECT_EQ(bytes("three", {"--threads", "3", "--batch", "4"}), chosen);
    EXPECT_EQ(results("seven")["run"]["batch"], 7);
    EXPECT_EQ(results("three")["run"]["threads"], 3);
}

TEST_F(Score, FusionChangesRoundingOnly) {
    score({"--id", kId, "--methods", "maxlogit,gradnorm", "--out", "fused", "--quiet"});
    score({"--id", kId, "--methods", "maxlogit,gradnorm", "--no-fuse", "--out", "plain", "--quiet"});
    const ScoreTable fused = table("fused", "figures"), plain = table("plain", "figures");
    for (size_t i = 0; i < fused.rows.size(); ++i)
        for (size_t m = 0; m < 2; ++m)
            EXPECT_NEAR(fused.rows[i].scores[m], plain.rows[i].scores[m],
                        1e-4 * std::abs(plain.rows[i].scores[m]));
}

TEST_F(Score, LimitCountsPerSetAndIsMarked) {
    const Ran ran = score({"--id", kId, "--ood", kShapes, "--limit", "5", "--out", "run"});
    EXPECT_THAT(table("run", "figures").rows, SizeIs(5));
    EXPECT_THAT(table("run", "shapes").rows, SizeIs(5));
    EXPECT_EQ(results("run")["comparable"], false);
    EXPECT_EQ(results("run")["run"]["limit"], 5);
    EXPECT_THAT(ran.out, HasSubstr("NOT COMPARABLE"));
    score({"--id", kId, "--out", "all", "--quiet"});
    EXPECT_TRUE(csv("all", "figures").starts_with(csv("run", "figures"))) << "the first ones, unchanged";
    expect_refusal({"score", "--weights", demo_weights(), "--id", kId, "--limit", "0", "--out", "x"}, 2,
                   {"--limit"});
}

TEST_F(Score, JsonIsAllThatStdoutHolds) {
    const Ran ran = score({"--id", kId, "--ood", kShapes, "--json", "--out", "run"});
    EXPECT_EQ(ran.out, content(root_ / "run/results.json"));
    EXPECT_THAT(ran.err, HasSubstr("preprocessing"));
}

TEST_F(Score, QuietSaysNothingOnStderr) {
    const Ran ran = score({"--id", kId, "--ood", kShapes, "--quiet", "--out", "run"});
    EXPECT_EQ(ran.err, "");
    EXPECT_THAT(ran.out, HasSubstr("AUROC"));
}

TEST_F(Score, TheTableIsPlainWhereTheLocaleIs) {
    options_.environment[0].second = "C";
    const Ran ran = score({"--id", kId, "--ood", kShapes, "--quiet", "--out", "run"});
    EXPECT_TRUE(std::all_of(ran.out.begin(), ran.out.end(), [](char c) { return c > 0; })) << ran.out;
}

TEST_F(Score, ForceMovesTheOldRunAside) {
    score({"--id", kId, "--out", "run", "--quiet"});
    const std::string old_results = content(root_ / "run/results.json");
    const Words again{"score", "--weights", demo_weights(), "--id", kShapes, "--out", "run", "--quiet"};
    expect_refusal(again, 2, {"--out run", "not empty", "--force"});
    EXPECT_EQ(content(root_ / "run/results.json"), old_results);
    Words forced = again;
    forced.push_back("--force");
    EXPECT_EQ(run(forced).code, 0);
    EXPECT_EQ(content(root_ / "run.old1/results.json"), old_results);
    EXPECT_THAT(table("run", "shapes").rows, SizeIs(12));
    EXPECT_FALSE(fs::exists(root_ / "run/scores/figures.csv"));
    forced.back() = "--force";
    forced[6] = "run/";  // a slash at the end changes nothing
    const Ran ran = run(forced);
    EXPECT_EQ(ran.code, 0);
    EXPECT_THAT(ran.err, HasSubstr("run.old2"));
    EXPECT_TRUE(fs::exists(root_ / "run.old2/scores/shapes.csv"));
}

// A folder of images named by mistake is not a run.
TEST_F(Score, ForceMovesNothingButRunsAside) {
    const Words words{"score", "--weights", demo_weights(), "--id", kId, "--quiet", "--force", "--out"};
    const auto to = [&](const std::string& out) { return with(words, {out}); };
    const auto before = files_below(root_);
    expect_refusal(to("images"), 2, {"--out images: holds no run", "--force moves nothing else"});
    write(root_ / "mine/notes.txt", "mine");
    write(root_ / "mine/0/notes.txt", "mine");
    expect_refusal(to("mine"), 2, {"--out mine: holds no run"});
    fs::remove_all(root_ / "mine");
    // A run it may be, but one that a set lies in.
    write(root_ / "images/results.json", "{}");
    expect_refusal(to("images"), 2, {"--out images: holds what figures is read from, images/id"});
    fs::create_directory_symlink("images", root_ / "link");
    expect_refusal(to("link/"), 2, {"--out link/: holds what figures is read from"});
    fs::remove(root_ / "link");
    fs::remove(root_ / "images/results.json");
    EXPECT_EQ(files_below(root_), before);
    // What a run leaves that ended before its first image.
    write(root_ / "begun/config.toml", "[score]\n");
    fs::create_directories(root_ / "begun/scores");
    EXPECT_EQ(run(to("begun")).code, 0);
    EXPECT_TRUE(fs::exists(root_ / "begun.old1/config.toml"));
}

TEST_F(Score, FilesNamedLikeTemporariesAreTheirOwners) {
    write(root_ / "run/notes.tmp123456", "mine");
    expect_refusal({"score", "--weights", demo_weights(), "--id", kId, "--out", "run"}, 2,
                   {"--out run: not empty"});
    EXPECT_EQ(content(root_ / "run/notes.tmp123456"), "mine");
    fs::remove(root_ / "run/notes.tmp123456");
    write(root_ / "run/results.json.gradscore-tmpaB3456", "ours, of a killed process");
    score({"--id", kId, "--out", "run", "--quiet"});
    EXPECT_FALSE(fs::exists(root_ / "run/results.json.gradscore-tmpaB3456"));
}

TEST_F(Score, NamesThatNoFileOfResultsCanHoldAreRefused) {
    fs::rename(root_ / "images/ood-shapes", root_ / "images/caf\xe9");
    const auto with_ood = [&](const std::string& ood) {
        return Words{"score", "--weights", demo_weights(), "--id", kId,
                     "--ood", ood,         "--out",        "run",  "--quiet"};
    };
    expect_refusal(with_ood("folder:images/caf\xe9"), 2,
                   {"'caf\\xe9' cannot be a set's name, it is not UTF-8; write NAME=folder:"});
    expect_refusal(with_ood("Average=" + kTextures.substr(kTextures.find('=') + 1)), 2,
                   {"set name 'Average': is what tables call the mean"});
    EXPECT_EQ(run(with_ood("cafe=folder:images/caf\xe9")).code, 0) << "a path may be anything";
    EXPECT_EQ(run({"metrics", "run"}).code, 0);
}

// Without its first class the others' labels are one too low.
TEST_F(Score, FewerFoldersThanClassesAreSaid) {
    const std::string first = files_below(root_ / "images/id").at(0);
    fs::remove_all(root_ / "images/id" / first.substr(0, first.find('/')));
    score({"--id", kId, "--out", "run", "--quiet"});
    EXPECT_THAT(results("run")["run"]["notices"].dump(),
                HasSubstr("figures: 9 class folders for a net of 10 classes: they are labels 0 to 8"));
    score({"--id", kTextures, "--ood", kId, "--out", "ood", "--quiet"});
    EXPECT_THAT(results("ood")["run"]["notices"].dump(), Not(HasSubstr("class folders")));
}

TEST_F(Score, LabelsTheNetHasNoClassesForAreSaid) {
    fs::create_directories(root_ / "images/id/zz1");
    fs::copy_file(root_ / "images/id/disc/0000.png", root_ / "images/id/zz1/0000.png");
    const Ran ran = score({"--id", kId, "--out", "run", "--quiet"});
    EXPECT_EQ(results("run")["sets"][0]["labelled_images"], 30);
    const std::string said = "figures: labels of 1 image are not below 10, the net's classes";
    EXPECT_THAT(ran.err, HasSubstr(said));
    EXPECT_THAT(results("run")["run"]["notices"].dump(), HasSubstr(said));
    score({"--id", kTextures, "--ood", kId, "--out", "ood", "--quiet"});
    EXPECT_THAT(results("ood")["run"]["notices"].dump(), Not(HasSubstr("labels of")));
}

TEST_F(Score, AFolderThatIsThereButEmptyIsUsed) {
    fs::create_directories(root_ / "empty");
    score({"--id", kId, "--out", "empty", "--quiet"});
    score({"--id", kId, "--out", "new/and/deep", "--quiet"});
    EXPECT_TRUE(fs::exists(root_ / "new/and/deep/results.json"));
}

TEST_F(Score, PreprocessingFlagsChangeWhatTheNetSees) {
    score({"--id", kId, "--out", "default", "--quiet"});
    const auto preprocess = [&](const std::string& name, const Words& flags) -> std::string {
        Words words{"--id", kId, "--out", name, "--quiet"};
        words.insert(words.end(), flags.begin(), flags.end());
        score(words);
        EXPECT_NE(csv(name, "figures"), csv("default", "figures")) << name;
        return results(name)["run"]["preprocess"];
    };
    EXPECT_THAT(preprocess("resize", {"--resize", "40"}), HasSubstr("short side 40, centre crop 32"));
    EXPECT_THAT(preprocess("size", {"--resize", "36x33", "--crop", "none"}), HasSubstr("36x33"));
    EXPECT_THAT(preprocess("crop", {"--resize", "none", "--crop", "24x20"}), HasSubstr("24x20"));
    EXPECT_THAT(preprocess("none", {"--resize", "none", "--crop", "none"}), HasSubstr("size kept"));
    EXPECT_THAT(preprocess("mean", {"--mean", ".4,.5,.6", "--std", "0.2,0.2,0.3"}),
                AllOf(HasSubstr("mean .4 .5 .6"), HasSubstr("std .2 .2 .3")));
}

// A portrait that loses many rows: some of its values round the other way (tests/data/expected.tsv).
TEST_F(Score, Pillow13sOrderOfPassesIsAFlag) {
    fs::create_directories(root_ / "tall");
    fs::copy_file(fs::path(GS_SOURCE_DIR) / "tests/data/images/jpeg_portrait.jpg", root_ / "tall/a.jpg");
    const auto preprocess = [&](const std::string& name, const Words& flags) -> std::string {
        Words words{"--id", "tall=folder:tall", "--resize", "48x48", "--crop", "none", "--out",
                    name,   "--quiet"};
        words.insert(words.end(), flags.begin(), flags.end());
        score(words);
        return results(name)["run"]["preprocess"];
    };
    EXPECT_THAT(preprocess("usual", {}), AllOf(HasSubstr("resize 48x48"), Not(HasSubstr("Pillow 13"))));
    EXPECT_THAT(preprocess("pillow13", {"--pillow13"}),
                AllOf(HasSubstr("resize 48x48"), HasSubstr("Pillow 13")));
    EXPECT_NE(csv("pillow13", "tall"), csv("usual", "tall"));
}

TEST_F(Score, OneMethodWithSeveralOptions) {
    score({"--id", kId, "--methods",
           "energy,energy:temperature=2,gradnorm:p=inf,gradnorm:p=0.5:params=all,odin,msp:form=log", "--out",
           "run", "--quiet"});
    const ScoreTable t = table("run", "figures");
    EXPECT_THAT(t.methods, ElementsAre("energy", "energy:temperature=2", "gradnorm:p=inf",
                                       "gradnorm:p=0.5:params=all", "odin", "msp:form=log"));
    for (const ScoreRow& row : t.rows) {
        EXPECT_GT(row.scores[1], row.scores[0]) << "T log sum exp(z / T) grows with T";
        EXPECT_NEAR(row.scores[4], 0.1, 0.01) << "T = 1000 is nearly uniform";
        EXPECT_LE(row.scores[5], 0);
    }
}

TEST_F(Score, SyntheticSetsFollowTheSeed) {
    score({"--id", "s=synthetic:6", "--out", "a", "--quiet"});
    score({"--id", "s=synthetic:6", "--seed", "0", "--out", "b", "--quiet"});
    score({"--id", "s=synthetic:6", "--seed", "1", "--out", "c", "--quiet"});
    EXPECT_EQ(csv("a", "s"), csv("b", "s"));
    EXPECT_NE(csv("a", "s"), csv("c", "s"));
}

// float32 [N,3,H,W] goes into the net as it is.
TEST_F(Score, NpyArraysAreUsedAsTheyAre) {
    std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 3, 32, 32), }";
    header.resize(118, ' ');
    std::string data = "\x93NUMPY\x01" + std::string(1, '\0') + '\x76' + std::string(1, '\0') + header;
    for (int i = 0; i < 4 * 3 * 32 * 32; ++i) {
        const float value = std::sin(0.37f * static_cast<float>(i % 1511));
        data.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    write(root_ / "x.npy", data);
    score({"--id", "x=npy:x.npy", "--out", "a", "--quiet"});
    score({"--id", "x=npy:x.npy", "--mean", ".1,.2,.3", "--out", "b", "--quiet"});
    EXPECT_THAT(table("a", "x").rows, SizeIs(4));
    EXPECT_EQ(csv("a", "x"), csv("b", "x")) << "normalised already";
    EXPECT_THAT(results("a")["run"]["notices"].dump(), Not(HasSubstr("float32 input")));
    EXPECT_THAT(results("b")["run"]["notices"].dump(),
                HasSubstr("x: float32 input is used as it is; --resize"));
}

TEST_F(Score, WrongUsageIsOneLineBeforeAnythingIsWritten) {
    const auto refuse = [&](const Words& flags, const std::vector<std::string>& parts, int code = 2) {
        Words words{"score", "--weights", demo_weights(), "--out", "out"};
        words.insert(words.end(), flags.begin(), flags.end());
        expect_refusal(words, code, parts);
        EXPECT_FALSE(fs::exists(root_ / "out"));
    };
    refuse({}, {"--id is required"});
    refuse({"--id", kId, "--bogus"}, {"--bogus", "gradscore score --help"});
    refuse({"--id", kId, "--ood", "figures=folder:images/ood-shapes"}, {"two sets", "'figures'"});
    refuse({"--id", "a/b=folder:images/id"}, {"'a/b' cannot be"});
    refuse({"--id", "x=foldr:images/id"}, {"no kind 'foldr'", "tiny-images"});
    refuse({"--id", "images/id"}, {"KIND:PATH"});
    refuse({"--id", kId, "--methods", "msp,mps"}, {"no method 'mps'", "gradnorm"});
    refuse({"--id", kId, "--methods", "msp,,energy"}, {"empty name"});
    refuse({"--id", kId, "--methods", "msp,msp"}, {"'msp' twice"});
    refuse({"--id", kId, "--methods", "energy:temprature=2"}, {"no option 'temprature'", "temperature"});
    refuse({"--id", kId, "--methods", "energy:temperature"}, {"KEY=VALUE"});
    refuse({"--id", kId, "--methods", "energy:temperature=hot"}, {"temperature=hot is not a number"});
    refuse({"--id", kId, "--methods", "odin:epsilon=-1"}, {"epsilon=-1"});
    refuse({"--id", kId, "--save", "logits,fetures"}, {"fetures"});
    refuse({"--id", kId, "--net", "resnet20-cfar"}, {"no such net", "resnet20-cifar"});
    refuse({"--id", kId, "--device", "tpu"}, {"--device tpu"});
    refuse({"--id", kId, "--precision", "f16"}, {"--precision f16"});
    refuse({"--id", kId, "--threads", "-1"}, {"--threads"});
    refuse({"--id", kId, "--threads", "1000000"}, {"--threads"});
    refuse({"--id", kId, "--batch", "-1"}, {"--batch"});
    refuse({"--id", kId, "--resize", "tall"}, {"--resize"});
    refuse({"--id", kId, "--crop", "0"}, {"--crop"});
    refuse({"--id", kId, "--mean", "1,2"}, {"--mean"});
    refuse({"--id", kId, "--mean", "125.3,123.0,113.9"},
           {"--mean 125.3,123.0,113.9: each value must be from 0 to 1", "by 255: 0.4914,0.4824,0.4467"});
    refuse({"--id", kId, "--mean", "-.1,0,0"}, {"--mean"});
    refuse({"--id", kId, "--mean", "nan,0,0"}, {"--mean"});
    refuse({"--id", kId, "--std", "63,62.1,66.7"}, {"--std", "divide", "0.2471,0.2435,0.2616"});
    refuse({"--id", kId, "--std", "1,0,1"}, {"--std 1,0,1: each value must be above 0"});
    refuse({"--id", kId, "--reuse", "images"}, {"--reuse images", "--save"});
    refuse({"--id", kId, "--arch", "none.json"}, {"none.json"});
    refuse({"--id", kId, "--net", "resnet20-cifar"}, {"holds resnet8-cifar, not resnet20-cifar"}, 3);
    refuse({"--id", "x=folder:nowhere"}, {"nowhere"}, 4);
    refuse({"--id", "x=list:nowhere.txt"}, {"nowhere.txt"}, 4);
    refuse({"--id", "x=cifar10:nowhere.bin"}, {"nowhere.bin"}, 4);
    refuse({"--id", kId, "--ood", "x=npy:nowhere.npy"}, {"nowhere.npy"}, 4);
    refuse({"--id", kId, "--device", "cuda:99"}, {"cuda:99"}, 5);
    expect_refusal({"score", "--weights", demo_weights(), "--id", kId, "--out", ""}, 2, {"--out"});
    expect_refusal({"score", "--weights", "none.pth", "--id", kId, "--out", "out"}, 3, {"none.pth"});
    expect_refusal({"score", "--id", kId, "--out", "out"}, 2, {"--weights is required"});
}

}  // namespace
}  // namespace gs::test
