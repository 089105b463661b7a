// What a machine does now and then: a disk that fails or is full, memory that runs out, threads that die.
// Wherever it strikes, the program ends in one line, files are whole, and --resume ends with the bytes of an
// undisturbed run.
#include <nlohmann/json.hpp>

#include "tests/tools/resumed_runs.h"

namespace gs::test {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::SizeIs;

class Faults : public ResumedRuns {
  protected:
    using Fault = std::vector<std::pair<std::string, std::string>>;

    void SetUp() override {
        GS_SKIP_WITHOUT_FAULTS();
        ASSERT_EQ(run(command(), in("whole")).code, 0);
        // Every folder begins with a finished run of other methods in FOLDER/run.
        ASSERT_EQ(run(with(command(), {"--methods", "energy"}), in("old")).code, 0);
    }
    // Few images, many files.
    Words command(const Words& more = {}) const {
        Words all = words({"--limit", "10"});
        std::erase(all, "--resume");
        return with(all, more);
    }
    static Fault nth(const std::string& call, int n, int error, const Fault& more = {}) {
        Fault fault{{"CALL", call}, {"NTH", std::to_string(n)}, {"ERRNO", std::to_string(error)}};
        fault.insert(fault.end(), more.begin(), more.end());
        return fault;
    }
    // --force over an old run with this fault; whether it struck. What must hold in any case.
    bool survives(const std::string& folder, Fault fault, const std::vector<int>& codes,
                  const std::string& message) {
        fs::copy(root_ / "old", root_ / folder, fs::copy_options::recursive);
        fault.emplace_back("MARK", (root_ / folder / "struck").string());
        const Ran ran = run(command({"--force"}), in(folder, with_fault(fault)));
        const bool struck = fs::remove(root_ / folder / "struck");
        EXPECT_EQ(ran.signal, 0) << ran.err;
        if (ran.code != 0) {
            EXPECT_NE(std::find(codes.begin(), codes.end(), ran.code), codes.end()) << ran.code << ran.err;
            EXPECT_THAT(ran.err, HasSubstr(message));
            expect_files_whole(folder);
        }
        const bool moved = fs::exists(root_ / folder / "run.old1");
        if (moved) expect_same_run(folder + "/run.old1", "old/run");
        // Where the old run has not been moved yet, it is what is found.
        Words again = command({moved ? "--resume" : "--force"});
        EXPECT_EQ(run(again, in(folder)).code, 0);
        expect_same_run(folder + "/run", "whole/run", true);
        EXPECT_TRUE(struck || ran.code == 0) << ran.err;
        if (!HasFailure()) fs::remove_all(root_ / folder);
        return struck;
    }
    // No temporary, no lock, and what has a final name can be read to its end.
    void expect_files_whole(const std::string& folder) const {
        for (const std::string& file : files_below(root_ / folder)) {
            const fs::path path = root_ / folder / file;
            EXPECT_THAT(path.extension().string(), AnyOf(".csv", ".json", ".md", ".toml", ".safetensors", ""))
                << file;
            if (path.extension() == ".csv") {
                EXPECT_THAT(read_scores_csv(path).rows, SizeIs(10)) << file;
            } else if (path.extension() == ".json") {
                EXPECT_FALSE(parse_json(content(path)).empty()) << file;
            } else if (path.extension() == "") {
                EXPECT_EQ(path.filename(), "journal") << file;
            }
        }
    }
    // Every n from 1 until one is beyond the run's calls.
    int sweep(const std::string& call, int error, const std::string& message, const Fault& more = {}) {
        int n = 1;
        while (n < 1000 && !HasFailure() &&
               survives(call + std::to_string(n), nth(call, n, error, more), {1}, message))
            ++n;
        EXPECT_FALSE(HasFailure()) << "the " << n << "th " << call;
        return n - 1;
    }
};

// Of calls for the run's files.
const std::vector<std::pair<std::string, std::string>> kRun{{"PATH", "run"}};

TEST_F(Faults, Case13_AnErrorOfAnyWriteLeavesTheOldResultAndARunThatGoesOn) {
    EXPECT_GT(sweep("write", EIO, "cannot write: Input/output error", kRun), 15);
}

TEST_F(Faults, Case13_ADiskThatIsFullFromAnyWriteOn) {
    Fault full = kRun;
    full.emplace_back("LASTING", "1");
    EXPECT_GT(sweep("write", ENOSPC, "cannot write: No space left on device", full), 15);
}

TEST_F(Faults, Case13_AnErrorOfAnySync) {
    EXPECT_GT(sweep("fsync", EIO, "cannot write: Input/output error", kRun), 15);
}

TEST_F(Faults, Case13_AnErrorOfAnyRename) {
    EXPECT_GT(sweep("rename", EIO, "Input/output error", kRun), 8);
}

TEST_F(Faults, Case13_AFileThatCannotBeOpenedOrMade) {
    EXPECT_GT(sweep("open", EACCES, "Permission denied", {{"PATH", "run/"}}), 10);
}

// The n-th allocation of the program's own code, of some sixteen thousand.
TEST_F(Faults, MemoryThatRunsOutAnywhere) {
    int struck = 0;
    for (double n = 1; n < 200'000 && !HasFailure(); n = n * 1.45 + 1)
        struck += survives("m" + std::to_string(static_cast<int>(n)), nth("new", static_cast<int>(n), ENOMEM),
                           {1, 5}, "");
    EXPECT_GT(struck, 10);
}

// In a thread that reads images: no image's fault, so the run ends.
TEST_F(Faults, AReaderThatDies) {
    int struck = 0;
    for (int n = 1; n < 400 && !HasFailure(); n = n * 2 + 1)
        struck += survives("r" + std::to_string(n), nth("malloc", n, ENOMEM, {{"READERS", "1"}}), {5},
                           "out of memory");
    EXPECT_GT(struck, 3);
    EXPECT_TRUE(survives("none", nth("thread", 1, EAGAIN), {1}, "Resource temporarily unavailable"));
}

// A read that ends early or fails costs that image.
TEST_F(Faults, ReadsOfImagesThatFail) {
    for (const int error : {0, EIO})
        for (const int n : {1, 7}) {
            const std::string folder = "read" + std::to_string(n) + "-" + std::to_string(error);
            const Ran ran =
                run(command(), in(folder, with_fault(nth("read", n, error, {{"PATH", "images/"}}))));
            EXPECT_EQ(ran.code, 6) << ran.err;
            const nlohmann::json failures = results(folder + "/run")["sets"][0]["failures"];
            ASSERT_EQ(failures.size(), 1u);
            EXPECT_THAT(failures[0]["reason"].get<std::string>(),
                        error == 0 ? HasSubstr("empty") : HasSubstr("cannot read: Input/output error"));
        }
}

}  // namespace
}  // namespace gs::test
