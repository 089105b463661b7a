// The file of choices: what is written, what is read again, and that no content of it is fatal.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "core/files.h"
#include "cuda/plans/selector.h"

namespace gs::cuda {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace fs = std::filesystem;

class ChoiceFiles : public testing::Test {
  protected:
    ChoiceFiles() {
        std::string pattern = (fs::temp_directory_path() / "gs_choices_XXXXXX").string();
        folder_ = ::mkdtemp(pattern.data());
        path_ = folder_ / "plans";
    }
    ~ChoiceFiles() override { fs::remove_all(folder_); }

    ChoiceFile open(const std::string& device = "NVIDIA H200", const std::string& version = "cuDNN 9.19.0") {
        return {path_, device, version, [this](const std::string& notice) { notices_.push_back(notice); }};
    }
    std::string content() const {
        const auto bytes = read_file(path_, ErrorKind::Data);
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }

    fs::path folder_, path_;
    std::vector<std::string> notices_;
};

ConvProblem problem(int64_t batch, Precision precision = Precision::TF32) {
    return {.spec = {.in_channels = 4, .out_channels = 8}, .x = {batch, 5, 5, 4}, .precision = precision};
}

TEST_F(ChoiceFiles, AreReadAgain) {
    ChoiceFile first = open();
    EXPECT_EQ(first.find(problem(1)), "");
    first.store(problem(1), "engine 3: 2=1", 0.25);
    first.store(problem(2), "engine 4:", 0.5);
    first.store(problem(2), "engine 5:", 0.4);
    EXPECT_EQ(first.find(problem(1)), "engine 3: 2=1");
    const ChoiceFile second = open();
    EXPECT_EQ(second.find(problem(1)), "engine 3: 2=1");
    EXPECT_EQ(second.find(problem(2)), "engine 5:");
    EXPECT_EQ(second.find(problem(1, Precision::F32)), "");
    EXPECT_THAT(notices_, IsEmpty());
    EXPECT_EQ(
        content(),
        "gradscore convolution plans 1\n"
        "NVIDIA H200\tcuDNN 9.19.0\tforward 1x1 stride 1 pad 0, 1x5x5x4 to 1x5x5x8, tf32\tengine 3: "
        "2=1\t0.25\n"
        "NVIDIA H200\tcuDNN 9.19.0\tforward 1x1 stride 1 pad 0, 2x5x5x4 to 2x5x5x8, tf32\tengine 5:\t0.4\n");
}

TEST_F(ChoiceFiles, AreOfOneDeviceAndVersionAndKeepTheOthers) {
    open().store(problem(1), "hopper's", 1);
    open("NVIDIA\tA100\n").store(problem(1), "ampere's", 1);
    open("NVIDIA H200", "cuDNN 9.20.0").store(problem(1), "newer", 1);
    EXPECT_EQ(open().find(problem(1)), "hopper's");
    EXPECT_EQ(open("NVIDIA\tA100\n").find(problem(1)), "ampere's");
    EXPECT_EQ(open("NVIDIA H200", "cuDNN 9.20.0").find(problem(1)), "newer");
    EXPECT_EQ(open("NVIDIA L4").find(problem(1)), "");
}

TEST_F(ChoiceFiles, TakeWhatAnotherProcessWroteMeanwhile) {
    ChoiceFile mine = open(), theirs = open();
    mine.store(problem(1), "mine", 1);
    theirs.store(problem(2), "theirs", 1);
    EXPECT_EQ(open().find(problem(1)), "mine");
    EXPECT_EQ(open().find(problem(2)), "theirs");
}

TEST_F(ChoiceFiles, LoseDamagedLinesOnly) {
    open().store(problem(1), "good", 1);
    write_file_atomically(path_, content() + "NVIDIA H200\tcuDNN 9.19.0\thalf a li");
    ChoiceFile damaged = open();
    EXPECT_EQ(damaged.find(problem(1)), "good");
    EXPECT_THAT(notices_, ElementsAre(HasSubstr("1 damaged line")));
    damaged.store(problem(2), "new", 1);
    notices_.clear();
    EXPECT_EQ(open().find(problem(2)), "new");
    EXPECT_THAT(notices_, IsEmpty());
}

TEST_F(ChoiceFiles, OfSomebodyElseStayAsTheyAre) {
    write_file_atomically(path_, "PK\x03\x04 somebody's weights");
    ChoiceFile wrong = open();
    EXPECT_THAT(notices_, ElementsAre(HasSubstr("left as it is")));
    wrong.store(problem(1), "a", 1);
    EXPECT_EQ(wrong.find(problem(1)), "a");  // as long as the process lives
    EXPECT_EQ(content(), "PK\x03\x04 somebody's weights");
}

TEST_F(ChoiceFiles, ThatCannotBeWrittenAreANotice) {
    path_ = folder_ / "no such folder" / "plans";
    ChoiceFile file = open();
    file.store(problem(1), "a", 1);
    file.store(problem(2), "b", 1);
    EXPECT_EQ(notices_.size(), 1u);
    EXPECT_EQ(file.find(problem(2)), "b");
    path_ = folder_;  // a folder
    open().store(problem(1), "a", 1);
    EXPECT_EQ(notices_.size(), 2u);
}

TEST(ParseChoices, RefusesLinesThatAreNotWhatTheySay) {
    const std::string first = "gradscore convolution plans 1\n";
    EXPECT_FALSE(parse_choices("something else\n").is_ours);
    EXPECT_FALSE(parse_choices("gradscore convolution plans 2\n").is_ours);
    EXPECT_TRUE(parse_choices("").is_ours);
    EXPECT_EQ(parse_choices(first + "d\tv\tp\tplan\t1.5\n").choices.at(0).milliseconds, 1.5);
    for (const char* line : {"d\tv\tp\tplan", "d\tv\tp\tplan\t1\t2", "d\tv\t\tplan\t1", "d\tv\tp\tplan\t",
                             "d\tv\tp\tplan\tnan", "d\tv\tp\tplan\tinf", "d\tv\tp\tplan\t-1",
                             "d\tv\tp\tplan\t1x", "d\tv\tp\tplan\t1e999", "\t\t\t\t"}) {
        const ParsedChoices parsed = parse_choices(first + line + "\n");
        EXPECT_EQ(parsed.damaged_lines, 1) << line;
        EXPECT_TRUE(parsed.choices.empty()) << line;
    }
}

// Every seed of the fuzz target, cut and changed anywhere: read, and what was read is written and read the
// same.
TEST(ParseChoices, CutAndChangedAnywhere) {
    size_t seeds = 0;
    for (const auto& entry :
         fs::directory_iterator(std::string(GS_SOURCE_DIR) + "/tests/fuzz/corpus/plan_choices")) {
        const auto bytes = read_file(entry.path(), ErrorKind::Data);
        const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        const auto replay = [](const std::string& changed) {
            const ParsedChoices parsed = parse_choices(changed);
            const ParsedChoices again = parse_choices(format_choices(parsed.choices));
            ASSERT_EQ(again.choices.size(), parsed.choices.size());
            ASSERT_EQ(again.damaged_lines, 0);
        };
        ++seeds;
        for (size_t i = 0; i < text.size(); ++i) {
            replay(text.substr(0, i));
            for (const int flip : {0x01, 0x80, 0xff}) {
                std::string changed = text;
                changed[i] = static_cast<char>(changed[i] ^ flip);
                replay(changed);
            }
        }
    }
    EXPECT_GE(seeds, 2u);
}

// With a selector: a remembered plan is run once and not timed; one that is gone, or that fails, is chosen
// anew.
class OneRun final : public PlanTrial {
  public:
    explicit OneRun(std::vector<std::string> names, std::string broken = {})
        : names_(std::move(names)), broken_(std::move(broken)) {}
    std::vector<std::string> names() const override { return names_; }
    double run(size_t i) override {
        ++runs;
        if (names_[i] == broken_) throw Error(ErrorKind::Internal, "broken");
        return static_cast<double>(i + 1);
    }
    bool keeps_zeros(size_t) override { return true; }
    bool keeps_nan(size_t) override { return true; }
    int runs = 0;

  private:
    std::vector<std::string> names_;
    std::string broken_;
};

TEST_F(ChoiceFiles, SpareTheTiming) {
    open().store(problem(1), "b", 1);
    OneRun known({"a", "b", "c"});
    EXPECT_EQ(PlanSelector(open(), true).select(problem(1), known), 1u);
    EXPECT_EQ(known.runs, 1);
    OneRun untimed({"a", "b", "c"});
    EXPECT_EQ(PlanSelector(open(), false).select(problem(1), untimed), 0u);  // whatever was measured once
    OneRun gone({"a", "c"});
    EXPECT_EQ(PlanSelector(open(), true).select(problem(1), gone), 0u);
    EXPECT_EQ(open().find(problem(1)), "a");
    OneRun broken({"a", "c"}, "a");
    EXPECT_EQ(PlanSelector(open(), true).select(problem(1), broken), 1u);
    EXPECT_EQ(open().find(problem(1)), "c");
}

}  // namespace
}  // namespace gs::cuda
