// gradscore search --resume: what a search finds that was stopped is what one finds that was not, byte for
// byte.
#include "core/file_lock.h"
#include "tests/tools/resumed_runs.h"

namespace gs::test {
namespace {

using testing::HasSubstr;

class ResumedSearches : public ResumedRuns {
  protected:
    void SetUp() override {
        GS_SKIP_WITHOUT_FAULTS();
        demo::draw_demo(root_ / "train", {.seed = 4, .id_per_class = 12, .ood = 1});
        demo::draw_demo(root_ / "val", {.seed = 5, .id_per_class = 3, .ood = 12});
        ASSERT_EQ(run({"fit", "--weights", demo_weights(), "--id", "train=folder:train/id", "--methods",
                       "nac:images=40,mahalanobis", "--out", "s.safetensors", "--quiet"})
                      .code,
                  0);
    }
    Words search(const std::string& method, const std::string& out, const Words& more = {}) const {
        return with({"search", "--weights", demo_weights(), "--stats", "s.safetensors", "--id",
                     "val=folder:val/id", "--ood", "shapes=folder:val/ood-shapes", "--methods", method,
                     "--batch", "8", "--threads", "1", "--quiet", "--out", out},
                    more);
    }
    Ran stop(int n, const Words& words) const {
        return run(words, with_fault({{"CALL", "write"}, {"NTH", std::to_string(n)}, {"PATH", ".journal"}}));
    }
    std::string file(const std::string& name) const { return content(root_ / name); }

    // Stopped twice, in the first set and in the second where there is one.
    void expect_the_same(const std::string& method, const std::string& ending, int code = 0) {
        ASSERT_EQ(run(search(method, "whole" + ending)).code, code);
        for (const int n : {4, 5, 6}) {
            const std::string out = "at" + std::to_string(n) + ending;
            Words words = search(method, out);
            EXPECT_EQ(stop(n, words).code, 1);
            EXPECT_FALSE(fs::exists(root_ / out));
            EXPECT_TRUE(fs::exists(root_ / (out + ".journal")));
            words.push_back("--resume");
            EXPECT_EQ(stop(2, words).code, 1);
            const Ran last = run(words);
            EXPECT_EQ(last.code, code) << last.err;
            EXPECT_TRUE(file(out) == file("whole" + ending)) << n;
            EXPECT_FALSE(fs::exists(root_ / (out + ".journal")));
            EXPECT_FALSE(fs::exists(root_ / (out + ".lock")));
            const Ran finished = run(words);
            EXPECT_THAT(finished.err, HasSubstr(out + " is finished"));
            EXPECT_EQ(finished.code, code);
        }
    }
};

constexpr const char* kNac = "nac:layers=avgpool+layer2:O=1/4+2:M=20/50:alpha=1/30+0.01/10";

TEST_F(ResumedSearches, OfOptionsFindTheSame) {
    expect_the_same(kNac, ".json");
}

TEST_F(ResumedSearches, OfTunedStatisticsFindTheSame) {
    expect_the_same("mahalanobis:eta=0/0.002", ".safetensors");
}

TEST_F(ResumedSearches, WithImagesThatCannotBeUsed) {
    fs::resize_file(root_ / "val/id" / files_below(root_ / "val/id")[3], 50);
    expect_the_same(kNac, ".json", 6);
}

// Paths are bytes; JSON is not.
TEST_F(ResumedSearches, OfPathsThatAreNoText) {
    fs::rename(root_ / "val", root_ / "v\xe9");
    const Words paths{"--id", "val=folder:v\xe9/id", "--ood", "shapes=folder:v\xe9/ood-shapes", "--json"};
    for (const auto& [method, out] :
         {std::pair<std::string, std::string>{kNac, "a.json"}, {"mahalanobis:eta=0", "a.safetensors"}}) {
        const Ran ran = run(search(method, out, paths));
        EXPECT_EQ(ran.code, 0) << ran.err;
        EXPECT_EQ(parse_json(ran.out)["sets"][0]["name"], "val");
        EXPECT_EQ(run(search(method, out, with(paths, {"--resume"}))).out, ran.out);
    }
}

TEST_F(ResumedSearches, FinishedOnesPrintWhatTheyFound) {
    for (const auto& [method, out] : {std::pair<std::string, std::string>{kNac, "a.json"},
                                      {"mahalanobis:eta=0/0.002", "a.safetensors"}}) {
        const Ran first = run(search(method, out, {"--json"}));
        ASSERT_EQ(first.code, 0) << first.err;
        const Ran again = run(search(method, out, {"--json", "--resume"}));
        EXPECT_EQ(again.code, 0) << again.err;
        EXPECT_EQ(parse_json(again.out)["results"][0]["method"].get<std::string>().substr(0, 3),
                  method.substr(0, 3));
        EXPECT_EQ(again.out, first.out);
    }
}

TEST_F(ResumedSearches, Case14_AnotherSearchIsRefusedAndForceBeginsAnew) {
    ASSERT_EQ(stop(5, search(kNac, "a.json")).code, 1);
    const std::string journal = file("a.json.journal");
    expect_refusal(search(kNac, "a.json"), 2, {"a.json.journal", "of a search", "--resume", "--force"});
    expect_refusal(search("nac:O=1", "a.json", {"--resume"}), 2, {"--methods: nac:O=1 now, "});
    const std::string statistics = file("s.safetensors");
    ASSERT_EQ(run({"fit", "--weights", demo_weights(), "--id", "train=folder:train/id", "--methods",
                   "nac:images=20", "--out", "s.safetensors", "--quiet", "--force"})
                  .code,
              0);
    expect_refusal(search(kNac, "a.json", {"--resume"}), 2, {"SHA-256 of s.safetensors: "});
    write(root_ / "s.safetensors", statistics);
    EXPECT_EQ(file("a.json.journal"), journal);
    ASSERT_EQ(run(search(kNac, "a.json", {"--force"})).code, 0);
    EXPECT_EQ(file("a.json.journal.old1"), journal);
    expect_refusal({"search", "--weights", demo_weights(), "--stats", "s.safetensors", "--id",
                    "val=folder:val/id", "--methods", kNac, "--resume"},
                   2, {"--resume", "--out"});
}

TEST_F(ResumedSearches, Case14_AFinishedOneIsNotTakenForAnother) {
    const auto refused = [&](const std::string& method, const std::string& out, const Words& more,
                             const std::vector<std::string>& parts) {
        expect_refusal(search(method, out, with(more, {"--resume"})), 2, parts);
    };
    ASSERT_EQ(run(search(kNac, "a.json", {"--limit", "20"})).code, 0);
    refused(kNac, "a.json", {}, {"--limit: none now, 20 when the run began", "images of val: 30 images"});
    refused("nac:O=1/4:M=20:alpha=1", "a.json", {"--limit", "20"}, {"--methods: nac:O=1/4:M=20:alpha=1 now"});
    refused(kNac, "a.json", {"--limit", "20", "--ood", "noise=synthetic:4:size=32"},
            {"--ood: ", "images of noise: 4 images, "});
    ASSERT_EQ(run(search("mahalanobis:eta=0", "a.safetensors")).code, 0);
    refused("mahalanobis:eta=0/0.002", "a.safetensors", {},
            {"--methods: mahalanobis:eta=0/0.002 now, mahalanobis:eta=0 when the run began"});
    std::string earlier = file("a.json");
    earlier.replace(earlier.find("started_with"), 12, "another_name");
    write(root_ / "a.json", earlier);
    refused(kNac, "a.json", {"--limit", "20"}, {"a.json: does not say what it was started with", "--force"});
}

TEST_F(ResumedSearches, Case15_OneProcessAtATime) {
    const FileLock held(root_ / "a.json.lock", "gradscore search (process 7)");
    for (const char* flag : {"--resume", "--force", "--strict"})
        expect_refusal(search(kNac, "a.json", {flag}), 2,
                       {"a.json.lock: held by gradscore search (process 7)"});
}

}  // namespace
}  // namespace gs::test
