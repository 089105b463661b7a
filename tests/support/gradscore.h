// The command under test, on data that the test makes in a folder of its own.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "report/scores_csv.h"
#include "tests/support/command.h"
#include "tests/support/json.h"

namespace gs::test {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

std::string content(const fs::path& path);
void write(const fs::path& path, const std::string& text);
// Relative paths of all files below a folder, sorted.
std::vector<std::string> files_below(const fs::path& folder);

class GradscoreTest : public testing::Test {
  protected:
    GradscoreTest();
    ~GradscoreTest() override;

    // Flags in place of those of the same name, or behind.
    static Words with(Words all, const Words& more);

    // Runs in root_, so that messages hold short paths.
    Ran run(const Words& arguments) const { return run(arguments, options_); }
    Ran run(const Words& arguments, const RunOptions& options) const;

    // `gradscore score` with the demo's net unless the words name weights; expects `code`.
    Ran score(const Words& words, int code = 0) const;

    // Expects a refusal: the exit code, nothing on stdout, one line on stderr that has each of the parts.
    void expect_refusal(const Words& words, int code, const std::vector<std::string>& parts) const {
        expect_refusal(words, code, parts, options_);
    }
    void expect_refusal(const Words& words, int code, const std::vector<std::string>& parts,
                        const RunOptions& options) const;

    // The program's calls fail as tests/faults/faults.cpp says; `fault` holds its variables without
    // GS_FAULT_.
    RunOptions with_fault(const std::vector<std::pair<std::string, std::string>>& fault) const;

    std::string csv(const std::string& run, const std::string& set) const;
    ScoreTable table(const std::string& run, const std::string& set) const;
    nlohmann::json results(const std::string& run) const;

    static std::string demo_weights();

    std::string command_ = GS_COMMAND;
    fs::path root_;
    RunOptions options_;
};

}  // namespace gs::test

// For the top of a test that makes calls fail.
#define GS_SKIP_WITHOUT_FAULTS() \
    if (*::gs::test::faults_library() == '\0') GTEST_SKIP() << "nothing can be preloaded in this build"
