// gradscore merge: shards of a run are the run that one process would have made.
#include <nlohmann/json.hpp>

#include "tests/tools/demo_images.h"

namespace gs::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class MergeRuns : public DemoImages {
  protected:
    // The common flags of the whole run and its shards.
    Words flags_{"--id",   kId, "--ood", kTextures, "--ood", kShapes, "--methods", "msp,energy,gradnorm",
                 "--quiet"};

    void whole(int code = 0) { scored("whole", {}, code); }
    void scored(const std::string& out, const Words& more, int code = 0) {
        Words words = flags_;
        words.insert(words.end(), {"--out", out});
        words.insert(words.end(), more.begin(), more.end());
        score(words, code);
    }
    // Folders PREFIX0, PREFIX1, …, each shard with another number of threads and images at a time.
    Words shards(int count, const std::string& prefix = "s", int code = 0) {
        Words folders;
        for (int i = 0; i < count; ++i) {
            folders.push_back(prefix + std::to_string(i));
            Words words = flags_;
            words.insert(words.end(), {"--shard", std::to_string(i) + "/" + std::to_string(count),
                                       "--threads", std::to_string(1 + i % 3), "--batch",
                                       std::to_string(i % 4), "--out", folders.back()});
            Words all{"score", "--weights", demo_weights()};
            all.insert(all.end(), words.begin(), words.end());
            const Ran ran = run(all);
            EXPECT_TRUE(ran.code == 0 || ran.code == code) << ran.err;
        }
        return folders;
    }
    Ran merge(const std::string& out, const Words& folders, int code = 0) {
        Words words{"merge", out};
        words.insert(words.end(), folders.begin(), folders.end());
        Ran ran = run(words);
        EXPECT_EQ(ran.code, code) << ran.err;
        return ran;
    }
    void refuse(const Words& folders, int code, const std::vector<std::string>& parts) {
        Words words{"merge", "refused"};
        words.insert(words.end(), folders.begin(), folders.end());
        expect_refusal(words, code, parts);
        EXPECT_FALSE(fs::exists(root_ / "refused")) << "nothing is written";
    }
    // results.json without times, command and what belongs to a machine.
    nlohmann::json facts(const std::string& run) const {
        nlohmann::json json = results(run);
        for (const char* key :
             {"command", "started", "wall_seconds", "images_per_second", "threads", "batch", "plan"})
            EXPECT_EQ(json["run"].erase(key), 1u) << key;
        for (const char* flag : {"--threads", "--batch"})
            EXPECT_EQ(json["run"]["started_with"].erase(flag), 1u) << flag;
        json["run"]["libraries"].erase("backend");
        return json;
    }
    void expect_the_whole(const std::string& merged) const {
        EXPECT_EQ(files_below(root_ / merged), files_below(root_ / "whole"));
        for (const std::string& file : files_below(root_ / "whole")) {
            if (!file.ends_with(".csv") && !file.ends_with(".safetensors")) continue;
            EXPECT_EQ(content(root_ / merged / file), content(root_ / "whole" / file)) << merged << file;
        }
        EXPECT_EQ(facts(merged), facts("whole"));
    }
};

TEST_F(MergeRuns, Case18_AnyNumberOfShardsIsTheWholeRun) {
    flags_.insert(flags_.end(), {"--save", "logits,features,taps"});
    whole();
    for (const int count : {1, 2, 5, 13}) {
        SCOPED_TRACE(count);  // 13: some hold nothing of the sets of 12 images
        const std::string prefix = "n" + std::to_string(count) + "_", out = "merged" + std::to_string(count);
        Words folders = shards(count, prefix);
        std::reverse(folders.begin(), folders.end());  // the order does not matter
        const Ran ran = merge(out, folders);
        expect_the_whole(out);
        EXPECT_THAT(ran.out, HasSubstr("AUROC"));
        EXPECT_THAT(ran.out, Not(HasSubstr("NOT COMPARABLE")));
    }
    EXPECT_EQ(parse_json(run({"metrics", "merged5", "--json"}).out), results("merged5"));

    // What was merged is a run like any other: its arrays and its flags can be used.
    score({"--id", kId, "--methods", "gradnorm", "--reuse", "merged5", "--out", "reused", "--quiet"});
    EXPECT_EQ(results("reused")["run"]["images_per_second"], 0);
    score({"--config", "merged5/config.toml", "--out", "again", "--quiet"});
    EXPECT_EQ(csv("again", "figures"), csv("whole", "figures"));
    EXPECT_THAT(content(root_ / "merged5/config.toml"), HasSubstr("out = \"merged5\""));
}

TEST_F(MergeRuns, MoreShardsThanImages) {
    flags_.insert(flags_.end(), {"--limit", "3"});
    whole();
    merge("merged", shards(4));
    expect_the_whole("merged");
    EXPECT_EQ(results("merged")["comparable"], false) << "--limit";
    EXPECT_EQ(results("merged")["complete"], true);
}

TEST_F(MergeRuns, ImagesThatCouldNotBeUsed) {
    flags_.insert(flags_.end(), {"--save", "logits"});
    for (const char* image : {"id/cross/0000.png", "id/disc/0001.png", "ood-shapes/0010.png"})
        fs::resize_file(root_ / "images" / image, 60);
    whole(6);
    const Words folders = shards(3, "s", 6);
    const Ran ran = merge("merged", folders, 6);
    EXPECT_THAT(ran.err, HasSubstr("3 images could not be used: listed in merged/results.json"));
    expect_the_whole("merged");
    EXPECT_THAT(results("merged")["run"]["notices"].dump(), HasSubstr("arrays not saved"));
    EXPECT_TRUE(fs::exists(root_ / "merged/arrays/textures.safetensors"));
    EXPECT_FALSE(fs::exists(root_ / "merged/arrays/shapes.safetensors"));
}

TEST_F(MergeRuns, ASetWithoutAUsableImage) {
    fs::create_directories(root_ / "bad");
    for (const char* name : {"a.png", "b.png"}) write(root_ / "bad" / name, "no image");
    flags_ = {"--id", kId, "--ood", "b=folder:bad", "--methods", "msp", "--quiet"};
    refuse(shards(2, "s", 6), 4, {"b: none of its 2 images", "a.png"});
}

TEST_F(MergeRuns, JsonAndAnOldFolder) {
    const Words folders = shards(2);
    merge("merged", folders);
    const std::string before = content(root_ / "merged/results.json");
    Words again{"merge", "merged", "s0", "s1"};
    expect_refusal(again, 2, {"OUT merged: not empty; choose another folder, or --force to move it aside"});
    again.insert(again.end(), {"--force", "--json"});
    const Ran ran = run(again);
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.out, content(root_ / "merged/results.json"));
    EXPECT_EQ(content(root_ / "merged.old1/results.json"), before);
    EXPECT_EQ(results("merged")["run"]["command"].get<std::string>().find(std::string(GS_COMMAND) +
                                                                          " merge merged s0 s1"),
              0u);
    Words onto_itself{"merge", "s0", "s0", "s1"};
    expect_refusal(onto_itself, 2, {"OUT s0: the shard s0 lies there"});
    onto_itself.push_back("--force");
    expect_refusal(onto_itself, 2, {"OUT s0: the shard s0 lies there"});
    fs::create_directories(root_ / "both");
    fs::rename(root_ / "s1", root_ / "both/s1");
    expect_refusal({"merge", "both/", "s0", "./both/../both/s1", "--force"}, 2,
                   {"OUT both/: the shard", "lies there"});
    EXPECT_TRUE(fs::exists(root_ / "s0/results.json") && fs::exists(root_ / "both/s1/results.json"));
}

TEST_F(MergeRuns, WhatIsMissingOrThereTwiceIsTold) {
    Words folders = shards(4);
    fs::copy(root_ / "s1", root_ / "copy", fs::copy_options::recursive);
    refuse({"s0", "s1", "s3"}, 2, {"shard 2 of 4 is missing"});
    refuse({"s3"}, 2, {"shards 0, 1, 2 of 4 are missing"});
    refuse({"s0", "s1", "s2", "copy", "s3"}, 2, {"shard 1/4 is there twice: s1 and copy"});
    refuse({"s0", "s0"}, 2, {"shard 0/4 is there twice"});
    whole();
    refuse({"s0", "whole"}, 2, {"whole: a whole run, not a shard"});
    refuse({"s0", "nowhere"}, 4, {"nowhere: is not there"});
    write(root_ / "file", "statistics, perhaps");
    refuse({"s0", "file"}, 2, {"s0: a folder beside files"});
    expect_refusal({"merge", "refused"}, 2, {"in is required"});
}

TEST_F(MergeRuns, WhatDiffersIsTold) {
    shards(2);
    const auto other = [&](const std::string& name, const Words& flags,
                           const std::vector<std::string>& parts) {
        Words words = flags_;
        words.insert(words.end(), {"--shard", "1/2", "--out", name});
        for (size_t i = 0; i < flags.size(); i += 2) {
            const auto at = std::find(words.begin(), words.end(), flags[i]);
            if (at == words.end())
                words.insert(words.end(), {flags[i], flags[i + 1]});
            else
                *(at + 1) = flags[i + 1];
        }
        score(words);
        std::vector<std::string> all{name + ": not of the same run as s0"};
        all.insert(all.end(), parts.begin(), parts.end());
        refuse({"s0", name}, 2, all);
    };
    other("count", {"--shard", "1/3"}, {"number of shards is '3', there '2'"});
    other("methods", {"--methods", "msp,gradnorm"}, {"list of methods is 'msp,gradnorm'"});
    other("preprocess", {"--mean", ".4,.5,.6"}, {"preprocessing", "mean .4 .5 .6"});
    other("limit", {"--limit", "9"}, {"limit is '9', there 'none'"});
    other("seed", {"--seed", "3"}, {"seed is '3', there '0'"});
    other("source", {"--id", "figures=folder:images/ood-shapes"},
          {"source of figures is 'folder:images/ood-shapes'"});
    other("name", {"--id", "figs=folder:images/id"}, {"list of sets is 'figs, textures, shapes'"});
    other("save", {"--save", "logits"}, {"flag --save is 'logits', there ''"});
    other("pixels", {"--max-pixels", "1000000"}, {"flag --max-pixels is '1000000'"});
    ASSERT_EQ(run({"convert", demo_weights(), "w.safetensors"}).code, 0);
    other("weights", {"--weights", "w.safetensors"}, {"weights' SHA-256"});
    Words fewer = flags_;
    fewer.insert(fewer.end(), {"--shard", "1/2", "--out", "fuse", "--no-fuse"});
    score(fewer);
    refuse({"s0", "fuse"}, 2, {"flag --no-fuse is 'true', there 'false'"});
}

TEST_F(MergeRuns, ImagesThatWereAddedInBetween) {
    scored("s0", {"--shard", "0/2"});
    fs::copy_file(root_ / "images/id/cross/0000.png", root_ / "images/id/cross/0007.png");
    scored("s1", {"--shard", "1/2"});
    refuse({"s0", "s1"}, 2, {"number of images of figures is '31', there '30'"});
}

// As many as before, and not the same: one would be lost, and one be there that is gone.
TEST_F(MergeRuns, ImagesThatWereExchangedInBetween) {
    scored("s0", {"--shard", "0/2"});
    fs::rename(root_ / "images/id/cross/0000.png", root_ / "images/id/square/9999.png");
    scored("s1", {"--shard", "1/2"});
    refuse({"s0", "s1"}, 2, {"list of images of figures is '30"});
}

TEST_F(MergeRuns, FittedOnTestIsSaidOfAllShardsTogether) {
    ASSERT_EQ(run({"fit", "--weights", demo_weights(), "--id", "f=folder:images/ood-textures", "--methods",
                   "klm:by=predicted", "--out", "s.safetensors", "--quiet"})
                  .code,
              0);
    flags_ = {"--id",
              kId,
              "--ood",
              kTextures,
              "--ood",
              kShapes,
              "--methods",
              "msp,klm:by=predicted",
              "--stats",
              "s.safetensors",
              "--allow-fit-on-test",
              "--quiet"};
    whole();
    ASSERT_THAT(results("whole")["run"]["invalid_protocol"].dump(),
                HasSubstr("fitted on 12 of the 12 images of textures"));
    merge("merged", shards(5));
    expect_the_whole("merged");
}

TEST_F(MergeRuns, DamagedFoldersAreRefused) {
    flags_.insert(flags_.end(), {"--save", "logits"});
    shards(2);
    const auto with = [&](const std::string& file, const std::string& text,
                          const std::vector<std::string>& parts, int code = 4) {
        const std::string good = content(root_ / file);
        write(root_ / file, text);
        refuse({"s0", "s1"}, code, parts);
        write(root_ / file, good);
    };
    const std::string rows = csv("s1", "figures");
    with("s1/scores/figures.csv", rows.substr(0, rows.rfind("\n29,") + 1),
         {"figures.csv", "images 15 to 29"});
    with("s1/scores/figures.csv", csv("s0", "figures"), {"s1/scores/figures.csv", "images 15 to 29"});
    with("s1/scores/shapes.sha256", content(root_ / "s0/scores/shapes.sha256"), {"shapes.sha256", "hashes"});
    with("s1/scores/shapes.sha256", "12\n", {"shapes.sha256:1:", "not the SHA-256"});
    with("s0/arrays/shapes.safetensors", content(root_ / "s1/arrays/shapes.safetensors"),
         {"s0/arrays/shapes.safetensors", "not arrays of the weights"});
    with("s0/arrays/shapes.safetensors", "nothing", {"s0/arrays/shapes.safetensors"}, 4);
    with("s0/config.toml", "limit = = 3", {"config.toml:1:"}, 2);
    std::string json = content(root_ / "s0/results.json");
    with("s0/results.json", json.replace(json.find("\"stopped\": null"), 15, "\"stopped\": \"interrupted\""),
         {"s0: shard 0/2 is not complete: interrupted", "score it again"}, 2);
    json = content(root_ / "s0/results.json");
    with("s0/results.json", json.replace(json.find("\"scored\": 15"), 12, "\"scored\": 12"),
         {"shard 0/2 is not complete: 12 of 15 images of figures"}, 2);
    // Names become files.
    json = content(root_ / "s0/results.json");
    for (size_t at = json.find("\"textures\""); at != json.npos; at = json.find("\"textures\"", at + 1))
        json.replace(at, 10, "\"../../textures\"");
    with("s0/results.json", json, {"results.json", "'../../textures', which is no file's name"});
    merge("merged", {"s0", "s1"});
}

}  // namespace
}  // namespace gs::test
