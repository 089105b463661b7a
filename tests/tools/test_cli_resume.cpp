// --resume: killed, interrupted and failed runs go on and end with the same bytes; other runs do not.
#include "core/file_lock.h"
#include "tests/tools/resumed_runs.h"

namespace gs::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Calls that write take longer, so that moments are spread over the whole run.
constexpr const char* kSlow = "3000";  // microseconds

TEST_F(ResumedRuns, Case12_KilledAtAHundredMomentsAndResumedEveryFileHasTheSameBytes) {
    GS_SKIP_WITHOUT_FAULTS();
    ASSERT_EQ(run(words(), in("whole")).code, 0);
    const RunOptions slow = with_fault({{"CALL", "write"}, {"DELAY", kSlow}});
    std::mt19937 random(12);
    int killed = 0, runs = 0, in_a_row = 0;
    double longest = 0.2;  // of what is left to do: adapts to the machine
    while (killed < 100) {
        const std::string folder = "run" + std::to_string(runs);
        const double after = longest * std::uniform_real_distribution<>(0.02, 1)(random);
        // A tenth try in a row is left to end.
        if (in_a_row < 9 && kill_after(after, words(), in(folder, slow))) {
            ++killed;
            ++in_a_row;
            continue;
        }
        longest *= in_a_row == 9 ? 1.1 : 0.9;
        const Ran last = run(words(), in(folder));
        ASSERT_EQ(last.code, 0) << last.err;
        expect_same_run(folder + "/run", "whole/run");
        ASSERT_FALSE(HasFailure()) << "after " << killed << " kills";
        fs::remove_all(root_ / folder);
        ++runs;
        in_a_row = 0;
    }
    EXPECT_GT(runs, 5);
}

// A disk that fails once, at the n-th write into the journal: deterministic, and the program ends by itself.
class StoppedRuns : public ResumedRuns {
  protected:
    Ran stop(int n, const Words& command, const std::string& folder, const std::string& path = "/journal") {
        return run(command, in(folder, with_fault({{"CALL", "write"},
                                                   {"NTH", std::to_string(n)},
                                                   {"PATH", path},
                                                   {"ERRNO", std::to_string(EIO)}})));
    }
    // Stopped at the n-th record, once more two records on, and then to the end.
    void expect_resumed(int n, const Words& command, const std::string& folder, int code = 0) {
        for (const int at : {n, 3}) {
            const Ran stopped = stop(at, command, folder);
            EXPECT_EQ(stopped.code, 1) << stopped.err;
            EXPECT_THAT(stopped.err, HasSubstr("/journal: cannot write: Input/output error"));
        }
        const Ran last = run(command, in(folder));
        EXPECT_EQ(last.code, code) << last.err;
    }
    void SetUp() override { GS_SKIP_WITHOUT_FAULTS(); }
};

TEST_F(StoppedRuns, GoOnWithImagesThatCannotBeUsed) {
    fs::resize_file(root_ / "images/id/disc/0001.png", 100);
    write(root_ / "images/ood-shapes/0003.jpg", "<html>404</html>");
    ASSERT_EQ(run(words(), in("whole")).code, 6);
    for (const int n : {4, 6, 14}) {
        const std::string folder = "at" + std::to_string(n);
        expect_resumed(n, words(), folder, 6);
        expect_same_run(folder + "/run", "whole/run");
    }
}

// Images of several sizes: several batches of one group, which is done again from its beginning.
TEST_F(StoppedRuns, GoOnWithImagesOfManySizes) {
    const Words command{"score",
                        "--weights",
                        demo_weights(),
                        "--id",
                        "figures=folder:../images/id",
                        "--ood",
                        "shapes=folder:../images/ood-shapes",
                        "--methods",
                        "msp",
                        "--resize",
                        "none",
                        "--crop",
                        "none",
                        "--batch",
                        "5",
                        "--threads",
                        "2",
                        "--quiet",
                        "--resume",
                        "--out",
                        "run"};
    ASSERT_EQ(run(command, in("whole")).code, 0);
    for (const int n : {3, 5, 9}) {
        const std::string folder = "at" + std::to_string(n);
        expect_resumed(n, command, folder);
        expect_same_run(folder + "/run", "whole/run");
    }
}

TEST_F(StoppedRuns, ShardsGoOnAndMergeToTheWhole) {
    ASSERT_EQ(run(words(), in("whole")).code, 0);
    Words merge{"merge", "run", "--quiet"};
    for (const std::string shard : {"0", "1"}) {
        const Words part = words({"--shard", shard + "/2", "--out", "shard" + shard});
        expect_resumed(3, part, "parts");
        merge.push_back("shard" + shard);
    }
    ASSERT_EQ(run(merge, in("parts")).code, 0);
    for (const char* set : {"figures", "noise", "shapes"}) {
        EXPECT_EQ(csv("parts/run", set), csv("whole/run", set));
        const std::string arrays = std::string("run/arrays/") + set + ".safetensors";
        EXPECT_EQ(content(root_ / "parts" / arrays), content(root_ / "whole" / arrays));
    }
    EXPECT_EQ(results("parts/run")["metrics"], results("whole/run")["metrics"]);
}

// klm is fitted on the ID set first; then the process ends.
TEST_F(StoppedRuns, GoOnWithTheFitOfTheIdSet) {
    const Words command = words({"--methods", "msp,klm:templates=id-test:by=predicted"});
    ASSERT_EQ(run(command, in("whole")).code, 0);
    for (const int n : {2, 3, 8}) {
        const std::string folder = "at" + std::to_string(n);
        expect_resumed(n, command, folder);
        expect_same_run(folder + "/run", "whole/run");
    }
}

TEST_F(StoppedRuns, GoOnWithGradientTracking) {
    Words command{"track",
                  "--weights",
                  demo_weights(),
                  "--id",
                  "figures=folder:../images/id",
                  "--ood",
                  "n=synthetic:20:size=32",
                  "--batch",
                  "8",
                  "--threads",
                  "1",
                  "--quiet",
                  "--resume",
                  "--out",
                  "run"};
    ASSERT_EQ(run(command, in("whole")).code, 0);
    expect_resumed(4, command, "again");
    expect_same_run("again/run", "whole/run");
}

TEST_F(StoppedRuns, GoOnUnderStrictWhenTheImageIsMended) {
    ASSERT_EQ(run(words({"--strict"}), in("whole")).code, 0);
    const fs::path image = root_ / "images/id/disc/0001.png";
    const std::string good = content(image);
    write(image, "no image");
    EXPECT_EQ(run(words({"--strict"}), in("again")).code, 4);
    write(image, good);
    EXPECT_EQ(run(words({"--strict"}), in("again")).code, 0);
    expect_same_run("again/run", "whole/run");
}

// Whatever a power cut has left of the journal.
TEST_F(StoppedRuns, GoOnFromADamagedJournal) {
    ASSERT_EQ(run(words(), in("whole")).code, 0);
    stop(9, words(), "stopped");
    const std::string journal = content(root_ / "stopped/run/journal");
    std::mt19937 random(5);
    int copies = 0;
    for (int round = 0; round < 6; ++round) {
        const std::string folder = "again" + std::to_string(round);
        fs::copy(root_ / "stopped", root_ / folder, fs::copy_options::recursive);
        const size_t at = 25 + random() % (journal.size() - 25);
        std::string damaged = journal.substr(0, at);
        if (round % 3 == 1) damaged += std::string(4096, '\0');
        if (round % 3 == 2) damaged = damaged + static_cast<char>(journal[at] ^ 4) + journal.substr(at + 1);
        write(root_ / folder / "run/journal", damaged);
        const Ran last = run(words(), in(folder));
        ASSERT_EQ(last.code, 0) << last.err;
        const fs::path copy = root_ / folder / "run/journal.damaged";
        EXPECT_TRUE(round % 3 == 2 || !fs::exists(copy)) << "nothing whole was behind the end";
        if (fs::exists(copy)) {
            EXPECT_THAT(last.err, HasSubstr("run/journal.damaged"));
            EXPECT_TRUE(content(copy) == damaged);
            fs::remove(copy);
            ++copies;
        }
        expect_same_run(folder + "/run", "whole/run");
    }
    EXPECT_GT(copies, 0);
    write(root_ / "stopped/run/journal", "gradscore journal 7\n");
    expect_refusal(words(), 4, {"run/journal: cannot be resumed", "this version", "--force"}, in("stopped"));
}

TEST_F(StoppedRuns, Case14_OtherWeightsListsFlagsAreRefusedWithBothValues) {
    write(root_ / "w.safetensors", content(demo_weights()));
    const auto now = [&](const Words& more) { return with(words({"--weights", "../w.safetensors"}), more); };
    Words begin = now({});
    std::erase(begin, "--resume");
    ASSERT_EQ(stop(6, begin, "a").code, 1);
    const std::string journal = content(root_ / "a/run/journal");
    const auto refused = [&](const Words& more, const std::vector<std::string>& parts) {
        expect_refusal(now(more), 2, parts, in("a"));
        EXPECT_EQ(content(root_ / "a/run/journal"), journal) << "what was done stays";
    };
    const std::string began = " when the run began";
    refused({"--methods", "msp,energy"}, {"--resume run: not the run that began there",
                                          "--methods: msp,energy now, msp,gradnorm" + began});
    refused({"--limit", "20"}, {"--limit: 20 now, none" + began, "images of figures: 20 images"});
    refused({"--seed", "7", "--max-pixels", "99999"},
            {"--seed: 7 now, 0" + began, "--max-pixels: 99999 now, 178956970" + began});
    refused({"--mean", ".5,.5,.5"}, {"--mean: .5,.5,.5 now, none" + began, "preprocessing: "});
    fs::copy_file(root_ / "images/id/disc/0001.png", root_ / "images/id/disc/0004.png");
    refused({}, {"images of figures: 31 images, ", " now, 30 images, "});
    fs::rename(root_ / "images/id/disc/0004.png", root_ / "images/id/disc/0001.png");
    fs::rename(root_ / "images/id/disc", root_ / "images/id/plate");  // another label, the same images
    refused({}, {"images of figures: 30 images, ", " now, 30 images, "});
    fs::rename(root_ / "images/id/plate", root_ / "images/id/disc");
    std::string other = content(demo_weights());
    other.back() = static_cast<char>(other.back() ^ 1);
    write(root_ / "w.safetensors", other);
    refused({}, {"weights' SHA-256: ", " now, "});
    expect_refusal(now({"--force"}), 2, {"--resume and --force exclude each other"}, in("a"));
    // Without --resume it is a folder that is not empty.
    Words fresh = begin;
    expect_refusal(fresh, 2, {"--out run: not empty", "--resume", "--force"}, in("a"));
    // And --force begins anew and keeps what was there.
    fresh.push_back("--force");
    EXPECT_EQ(run(fresh, in("a")).code, 0);
    EXPECT_EQ(content(root_ / "a/run.old1/journal"), journal);
    EXPECT_EQ(files_below(root_ / "a/run.old1").front(), "config.toml") << "no lock among them";
}

TEST_F(StoppedRuns, Case15_ASecondProcessIsToldWhoIsAtWork) {
    Words begin = words();
    std::erase(begin, "--resume");
    bool asked = false;
    RunOptions slow = in("a", with_fault({{"CALL", "write"}, {"DELAY", "100000"}}));
    slow.meanwhile = [&](pid_t first) {
        if (asked || !fs::exists(root_ / "a/run/journal")) return;
        asked = true;
        for (const char* flag : {"--resume", "--force", "--strict"}) {
            Words second = begin;
            second.push_back(flag);
            expect_refusal(second, 2,
                           {"run/lock: held by gradscore score (process " + std::to_string(first) + " on ",
                            ", since 20"},
                           in("a"));
        }
    };
    ASSERT_EQ(run(begin, slow).code, 0);
    EXPECT_TRUE(asked);
    ASSERT_EQ(run(begin, in("whole")).code, 0);
    expect_same_run("a/run", "whole/run");
}

TEST_F(StoppedRuns, AFinishedRunIsLeftAsItIs) {
    ASSERT_EQ(run(words(), in("a")).code, 0);
    const auto before = files_below(root_ / "a");
    const std::string json = content(root_ / "a/run/results.json");
    const Ran again = run(words({"--json"}), in("a"));
    EXPECT_EQ(again.code, 0);
    EXPECT_EQ(parse_json(again.out), parse_json(json));
    EXPECT_THAT(again.err, HasSubstr("the run in run is finished"));
    EXPECT_EQ(files_below(root_ / "a"), before);
    EXPECT_EQ(content(root_ / "a/run/results.json"), json);
}

TEST_F(StoppedRuns, Case14_AFinishedRunIsNotTakenForAnother) {
    ASSERT_EQ(run(words(), in("a")).code, 0);
    const std::string json = content(root_ / "a/run/results.json");
    const auto refused = [&](const Words& more, const std::vector<std::string>& parts) {
        expect_refusal(words(more), 2, parts, in("a"));
        EXPECT_EQ(content(root_ / "a/run/results.json"), json);
    };
    refused({"--methods", "energy"}, {"--methods: energy now, msp,gradnorm when"});
    fs::rename(root_ / "images/id/disc", root_ / "images/id/plate");  // another label, the same images
    refused({}, {"images of figures: 30 images, ", " now, 30 images, "});
    fs::rename(root_ / "images/id/plate", root_ / "images/id/disc");
    std::string earlier = json;
    earlier.replace(earlier.find("started_with"), 12, "another_name");
    write(root_ / "a/run/results.json", earlier);
    expect_refusal(words(), 2, {"run: does not say what it was started with", "--force"}, in("a"));
}

TEST_F(StoppedRuns, MergedShardsAreTheWholeRun) {
    Words merge{"merge", "run", "--quiet"};
    for (const std::string shard : {"0", "1"}) {
        merge.push_back("shard" + shard);
        ASSERT_EQ(run(words({"--shard", shard + "/2", "--out", merge.back()}), in("parts")).code, 0);
    }
    ASSERT_EQ(run(merge, in("parts")).code, 0);
    EXPECT_THAT(run(words(), in("parts")).err, HasSubstr("the run in run is finished"));
}

TEST_F(StoppedRuns, FoldersOfOtherThingsAreNotTouched) {
    write(root_ / "a/run/photo.png", "mine");
    write(root_ / "a/run/notes.tmpabcdef", "mine");
    expect_refusal(words(), 2, {"--resume run: neither a journal nor results"}, in("a"));
    EXPECT_EQ(files_below(root_ / "a"), (std::vector<std::string>{"run/notes.tmpabcdef", "run/photo.png"}));
}

}  // namespace
}  // namespace gs::test
