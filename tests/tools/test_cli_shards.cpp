// A set scored in parts (score --shard I/N).
#include <nlohmann/json.hpp>

#include "tests/tools/demo_images.h"
#include "tools/arrays.h"
#include "tools/run_folder.h"

namespace gs::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::SizeIs;

class Shards : public DemoImages {
  protected:
    Ran part(const std::string& shard, const std::string& out, const Words& flags = {}, int code = 0) {
        Words words{"--id",         kId,       "--ood", kShapes, "--methods",
                    "msp,gradnorm", "--shard", shard,   "--out", out};
        words.insert(words.end(), flags.begin(), flags.end());
        return score(words, code);
    }
};

TEST_F(Shards, ScoreTheirPartUnderTheSetsIndices) {
    score({"--id", kId, "--ood", kShapes, "--methods", "msp,gradnorm", "--out", "all", "--quiet"});
    const ScoreTable all = table("all", "figures");
    const Ran ran = part("1/4", "one");
    const ScoreTable one = table("one", "figures");
    ASSERT_THAT(one.rows, SizeIs(8)) << "[30 / 4, 60 / 4)";
    for (size_t i = 0; i < one.rows.size(); ++i)
        EXPECT_EQ(scores_csv_line(one.rows[i], 2), scores_csv_line(all.rows[7 + i], 2));
    EXPECT_THAT(table("one", "shapes").rows, SizeIs(3));
    EXPECT_THAT(ran.err, HasSubstr("figures  8 images"));

    const nlohmann::json json = results("one");
    EXPECT_EQ(json["run"]["shard"], 1);
    EXPECT_EQ(json["run"]["shards"], 4);
    EXPECT_EQ(json["complete"], false);
    EXPECT_EQ(json["comparable"], false);
    EXPECT_EQ(json["sets"][0]["total"], 30);
    EXPECT_EQ(json["sets"][0]["scored"], 8);
    EXPECT_EQ(results("all")["complete"], true);
    EXPECT_TRUE(results("all")["run"]["shard"].is_null());
    const std::string why = "NOT COMPARABLE: only shard 1/4";
    EXPECT_THAT(ran.out, AllOf(HasSubstr(why), HasSubstr("gradscore merge")));
    EXPECT_THAT(run({"metrics", "one"}).out, HasSubstr(why));
    EXPECT_EQ(parse_json(run({"metrics", "one", "--json"}).out), json);

    const auto digests = read_digests(root_ / "one/scores/figures.sha256");
    EXPECT_THAT(digests, SizeIs(8));
    EXPECT_EQ(json["sets"][0]["digest"], combine_digests(digests));
    EXPECT_FALSE(fs::exists(root_ / "all/scores/figures.sha256"));
}

TEST_F(Shards, CountAfterTheLimit) {
    part("2/3", "two", {"--limit", "9", "--quiet"});
    const ScoreTable two = table("two", "figures");
    ASSERT_THAT(two.rows, SizeIs(3));
    EXPECT_EQ(two.rows.front().index, 6);
    EXPECT_EQ(results("two")["sets"][0]["total"], 9);
    EXPECT_THAT(run({"metrics", "two"}).out,
                AllOf(HasSubstr("only shard 2/3"), HasSubstr("at most 9 images of each set")));
}

TEST_F(Shards, MayHoldNothing) {
    const Ran ran = part("0/100", "none", {"--save", "logits"});
    EXPECT_THAT(table("none", "figures").rows, SizeIs(0));
    EXPECT_EQ(results("none")["sets"][1]["scored"], 0);
    EXPECT_FALSE(fs::exists(root_ / "none/arrays/figures.safetensors"));
    EXPECT_THAT(ran.out, HasSubstr("0 of 30 images"));
    EXPECT_EQ(run({"metrics", "none"}).code, 0);
}

// An image that cannot be used is the whole's matter: there may be others.
TEST_F(Shards, MayHoldNothingUsable) {
    fs::resize_file(root_ / "images/id/checks/0000.png", 100);
    part("0/30", "bad", {"--quiet"}, 6);
    EXPECT_EQ(results("bad")["sets"][0]["excluded"], 1);
    EXPECT_EQ(content(root_ / "bad/scores/figures.sha256"), "");
}

TEST_F(Shards, ReuseArraysOfTheSameShard) {
    part("1/3", "saved", {"--save", "logits,features", "--quiet"});
    part("1/3", "again", {"--reuse", "saved", "--quiet"});
    EXPECT_EQ(results("again")["run"]["images_per_second"], 0) << "the net was not run";
    EXPECT_EQ(csv("again", "figures"), csv("saved", "figures"));
    EXPECT_EQ(content(root_ / "again/scores/figures.sha256"), content(root_ / "saved/scores/figures.sha256"));
    part("2/3", "other", {"--reuse", "saved", "--quiet"});
    EXPECT_NE(results("other")["run"]["images_per_second"], 0);
}

TEST_F(Shards, BadNumbersAreRefused) {
    for (const char* shard : {"3/3", "1", "a/b", "-1/2", "1/0"})
        expect_refusal({"score", "--weights", demo_weights(), "--id", kId, "--out", "x", "--shard", shard}, 2,
                       {"--shard", shard});
    EXPECT_FALSE(fs::exists(root_ / "x"));
}

}  // namespace
}  // namespace gs::test
