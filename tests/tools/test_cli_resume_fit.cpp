// gradscore fit --resume: the statistics of a fit that was stopped are those of one that was not, byte for
// byte.
#include "core/file_lock.h"
#include "scores/statistics.h"
#include "tests/tools/resumed_runs.h"

namespace gs::test {
namespace {

using testing::HasSubstr;

class ResumedFits : public ResumedRuns {
  protected:
    void SetUp() override {
        GS_SKIP_WITHOUT_FAULTS();
        demo::draw_demo(root_ / "train", {.seed = 4, .id_per_class = 12, .ood = 1});
    }
    Words fit(const std::string& methods, const std::string& out, const Words& more = {}) const {
        return with({"fit", "--weights", demo_weights(), "--id", "train=folder:train/id", "--methods",
                     methods, "--batch", "8", "--threads", "1", "--quiet", "--out", out + ".safetensors"},
                    more);
    }
    Ran stop(int n, const Words& words) const {
        return run(words, with_fault({{"CALL", "write"}, {"NTH", std::to_string(n)}, {"PATH", ".journal"}}));
    }
    std::string statistics(const std::string& name) const { return content(root_ / (name + ".safetensors")); }
};

// Methods that learn from other images of the set take passes of their own: nac its balanced subset.
TEST_F(ResumedFits, EndWithTheSameBytesWhereverTheyWereStopped) {
    const std::string all =
        "klm:by=predicted,mahalanobis,nac:images=40,track:form=original_single:detector=cosine";
    ASSERT_EQ(run(fit(all, "whole")).code, 0);
    for (const int n : {3, 5, 16, 20}) {
        const std::string out = "at" + std::to_string(n);
        Words words = fit(all, out);
        EXPECT_EQ(stop(n, words).code, 1);
        words.push_back("--resume");
        EXPECT_EQ(stop(3, words).code, 1);
        const Ran last = run(words);
        EXPECT_EQ(last.code, 0) << last.err;
        EXPECT_TRUE(statistics(out) == statistics("whole")) << n;
        EXPECT_FALSE(fs::exists(root_ / (out + ".safetensors.journal")));
        EXPECT_FALSE(fs::exists(root_ / (out + ".safetensors.lock")));
    }
}

TEST_F(ResumedFits, OfAShardAndWithImagesThatCannotBeUsed) {
    const std::vector<std::string> files = files_below(root_ / "train/id");
    fs::resize_file(root_ / "train/id" / files[3], 50);
    const Words shard{"--shard", "0/2"};
    ASSERT_EQ(run(fit("klm", "whole", shard)).code, 6);
    Words words = fit("klm", "again", shard);
    EXPECT_EQ(stop(6, words).code, 1);
    words.push_back("--resume");
    EXPECT_EQ(run(words).code, 6);
    EXPECT_TRUE(statistics("again") == statistics("whole"));
    const Ran finished = run(words);
    EXPECT_EQ(finished.code, 6) << "as when it was made";
    EXPECT_THAT(finished.err, HasSubstr("1 image could not be used"));
    ASSERT_EQ(run(fit("klm", "other", {"--shard", "1/2"})).code, 0);
    const Ran merged = run({"merge", "all.safetensors", "other.safetensors", "again.safetensors", "--json"});
    EXPECT_EQ(parse_json(merged.out)["excluded"], 1);
    EXPECT_EQ(merged.code, 6);
    EXPECT_EQ(run(fit("klm", "all", {"--resume"})).code, 6);
}

TEST_F(ResumedFits, Case14_AnotherFitIsRefusedAndForceBeginsAnew) {
    ASSERT_EQ(stop(6, fit("klm", "a")).code, 1);
    const std::string journal = content(root_ / "a.safetensors.journal");
    expect_refusal(fit("klm", "a"), 2, {"a.safetensors.journal", "--resume", "--force"});
    Words other = fit("klm:by=predicted", "a", {"--resume"});
    expect_refusal(other, 2, {"--methods: klm:by=predicted now, klm when the run began"});
    fs::remove(root_ / "train/id" / files_below(root_ / "train/id").front());
    expect_refusal(fit("klm", "a", {"--resume"}), 2, {"images of train: 119 images, ", "120 images, "});
    EXPECT_EQ(content(root_ / "a.safetensors.journal"), journal);
    ASSERT_EQ(run(fit("klm", "a", {"--force"})).code, 0);
    EXPECT_EQ(content(root_ / "a.safetensors.journal.old1"), journal);
    const std::string done = statistics("a");
    EXPECT_THAT(run(fit("klm", "a", {"--resume"})).err, HasSubstr("a.safetensors is finished"));
    EXPECT_EQ(statistics("a"), done);
}

TEST_F(ResumedFits, Case14_AFinishedOneIsNotTakenForAnother) {
    ASSERT_EQ(run(fit("klm", "a", {"--limit", "60"})).code, 0);
    const std::string done = statistics("a");
    const auto refused = [&](const std::string& method, const Words& more,
                             const std::vector<std::string>& parts) {
        expect_refusal(fit(method, "a", with(more, {"--resume"})), 2, parts);
    };
    refused("klm", {}, {"--limit: none now, 60 when the run began", "images of train: 120 images, "});
    refused("klm:by=predicted", {"--limit", "60"}, {"--methods: klm:by=predicted now, klm when"});
    refused("mahalanobis", {"--limit", "60"}, {"--methods: mahalanobis now, klm when"});
    fs::rename(root_ / "train/id/cross", root_ / "train/id/a cross");  // other labels
    refused("klm", {"--limit", "60"}, {"images of train: 60 images, "});
    EXPECT_EQ(statistics("a"), done);

    Statistics earlier = read_statistics(root_ / "a.safetensors");
    earlier.started_with.clear();
    write_statistics(root_ / "a.safetensors", earlier);
    refused("klm", {"--limit", "60"}, {"a.safetensors: does not say what it was started with", "--force"});
}

TEST_F(ResumedFits, MergedOnesAreThoseOfTheWholeSet) {
    for (const std::string shard : {"0", "1"})
        ASSERT_EQ(run(fit("klm", shard, {"--shard", shard + "/2"})).code, 0);
    const Ran merged = run({"merge", "all.safetensors", "0.safetensors", "1.safetensors", "--json"});
    ASSERT_EQ(merged.code, 0);
    const nlohmann::json facts = parse_json(merged.out);
    EXPECT_EQ(facts["statistics"], "all.safetensors");
    EXPECT_EQ(facts["shards"], 2);
    EXPECT_EQ(facts["images"], 120);
    EXPECT_EQ(facts["methods"][0]["method"], "klm");
    EXPECT_THAT(run(fit("klm", "all", {"--resume"})).err, HasSubstr("all.safetensors is finished"));
    expect_refusal(fit("klm", "1", {"--resume"}), 2, {"--shard: none now, 1/2 when the run began"});
}

TEST_F(ResumedFits, Case14_ARunGoesOnWithItsStatisticsAlone) {
    const Words small{"--resize", "16x16", "--crop", "none"};  // as words()
    ASSERT_EQ(run(fit("klm", "s", small)).code, 0);
    const Words command = words(
        {"--weights", demo_weights(), "--methods", "klm", "--stats", "../s.safetensors", "--save", "logits"});
    const auto fault = with_fault({{"CALL", "write"}, {"NTH", "4"}, {"PATH", "/journal"}});
    ASSERT_EQ(run(command, in("a", fault)).code, 1);
    ASSERT_EQ(run(fit("klm", "s", with(small, {"--force", "--limit", "60"}))).code, 0);
    expect_refusal(command, 2, {"SHA-256 of ../s.safetensors: ", " when the run began"}, in("a"));
    ASSERT_EQ(run(fit("klm", "s", with(small, {"--force"}))).code, 0);
    EXPECT_EQ(run(command, in("a")).code, 0);
    ASSERT_EQ(run(fit("klm", "s", with(small, {"--force", "--limit", "60"}))).code, 0);
    expect_refusal(command, 2, {"SHA-256 of ../s.safetensors: ", " when the run began"}, in("a"));
}

TEST_F(ResumedFits, Case15_OneProcessAtATime) {
    const FileLock held(root_ / "a.safetensors.lock", "gradscore fit (process 7)");
    for (const char* flag : {"--resume", "--force", "--strict"})
        expect_refusal(fit("klm", "a", {flag}), 2, {"a.safetensors.lock: held by gradscore fit (process 7)"});
}

}  // namespace
}  // namespace gs::test
