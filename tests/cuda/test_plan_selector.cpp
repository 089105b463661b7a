// Which algorithm is chosen, with made-up candidates in place of a device.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <map>

#include "cuda/plans/selector.h"
#include "tests/support/failure.h"

namespace gs::cuda {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

ConvProblem some_problem(Direction direction = Direction::Forward) {
    return {.direction = direction,
            .spec = {.in_channels = 4, .out_channels = 8, .kernel_h = 3, .kernel_w = 3, .pad = 1},
            .x = {2, 5, 5, 4}};
}

// A candidate takes the times one after the other, then the last again.
struct Candidate {
    std::string name;
    std::deque<double> milliseconds{1.0};
    bool zeros = true, nan = true;  // are kept
    bool fails = false, out_of_memory = false;
};

class MadeUpTrial final : public PlanTrial {
  public:
    explicit MadeUpTrial(std::vector<Candidate> candidates) : candidates_(std::move(candidates)) {}

    std::vector<std::string> names() const override {
        std::vector<std::string> names;
        for (const Candidate& candidate : candidates_) names.push_back(candidate.name);
        return names;
    }
    double run(size_t i) override {
        Candidate& candidate = candidates_[i];
        ++runs[candidate.name];
        if (candidate.out_of_memory) throw Error(ErrorKind::Device, "4.0 MiB asked for, 1.0 MiB free");
        if (candidate.fails) throw Error(ErrorKind::Internal, "CUDNN_STATUS_EXECUTION_FAILED");
        const double taken = candidate.milliseconds.front();
        if (candidate.milliseconds.size() > 1) candidate.milliseconds.pop_front();
        return taken;
    }
    bool keeps_zeros(size_t i) override {
        zero_tested.push_back(candidates_[i].name);
        return candidates_[i].zeros;
    }

    bool keeps_nan(size_t i) override {
        nan_tested.push_back(candidates_[i].name);
        return candidates_[i].nan;
    }

    std::map<std::string, int> runs;
    std::vector<std::string> zero_tested, nan_tested;

  private:
    std::vector<Candidate> candidates_;
};

ChoiceFile no_file() {
    return {{}, "device", "1", [](const std::string& notice) { FAIL() << notice; }};
}

size_t select(MadeUpTrial& trial, bool timed, const ConvProblem& problem = some_problem()) {
    return PlanSelector(no_file(), timed).select(problem, trial);
}

std::string error_of(MadeUpTrial& trial, ErrorKind kind, const ConvProblem& problem = some_problem()) {
    return test::failure_of(kind, [&] { select(trial, true, problem); });
}

TEST(PlanSelector, TakesTheFastest) {
    MadeUpTrial trial({{"a", {3}}, {"b", {1}}, {"c", {2}}});
    EXPECT_EQ(select(trial, true), 1u);
}

TEST(PlanSelector, TheFirstRunDoesNotCountAndTheMedianOfTheOthersDoes) {
    // Loading code makes b's first run slow, and one of a's is disturbed.
    MadeUpTrial trial({{"a", {2, 2, 2, 9, 2, 2}}, {"b", {50, 1, 1, 9, 1, 1}}});
    EXPECT_EQ(select(trial, true), 1u);
    MadeUpTrial once({{"a", {2}}, {"b", {5, 0.5, 3, 3, 3, 3}}});  // one lucky run is not the median
    EXPECT_EQ(select(once, true), 0u);
}

TEST(PlanSelector, RunsAClearlySlowCandidateTwiceOnly) {
    MadeUpTrial trial({{"fast", {1}}, {"slow", {100}}});
    EXPECT_EQ(select(trial, true), 0u);
    EXPECT_EQ(trial.runs["fast"], 6);
    EXPECT_EQ(trial.runs["slow"], 2);
}

TEST(PlanSelector, EqualTimesKeepTheHeuristicOrder) {
    MadeUpTrial trial({{"a", {1}}, {"b", {1}}});
    EXPECT_EQ(select(trial, true), 0u);
}

TEST(PlanSelector, WithoutTimingTheFirstThatRuns) {
    MadeUpTrial trial({{.name = "a", .fails = true}, {"b", {9}}, {"c", {1}}});
    EXPECT_EQ(select(trial, false), 1u);
    EXPECT_EQ(trial.runs["b"], 1);
    EXPECT_EQ(trial.runs["c"], 0);
}

TEST(PlanSelector, FailuresAndWorkspacesThatDoNotFitGoToTheNext) {
    MadeUpTrial trial(
        {{.name = "large", .out_of_memory = true}, {.name = "broken", .fails = true}, {"c", {7}}});
    EXPECT_EQ(select(trial, true), 2u);
    EXPECT_EQ(trial.runs["large"], 1);
}

TEST(PlanSelector, DataGradientsMustKeepZeros) {
    const ConvProblem data = some_problem(Direction::Data);
    MadeUpTrial trial(
        {{"slow", {3}}, {.name = "winograd", .milliseconds = {1}, .zeros = false}, {"direct", {2}}});
    EXPECT_EQ(select(trial, true, data), 2u);
    EXPECT_THAT(trial.zero_tested, ElementsAre("winograd", "direct"));  // the fastest first, and no others
    MadeUpTrial first({{.name = "winograd", .zeros = false}, {"direct", {2}}});
    EXPECT_EQ(select(first, false, data), 1u);
    MadeUpTrial forward({{.name = "winograd", .zeros = false}});
    EXPECT_EQ(select(forward, true), 0u);
    EXPECT_TRUE(forward.zero_tested.empty());
}

TEST(PlanSelector, ActivationsMustKeepNaN) {
    ConvProblem activated = some_problem();
    activated.bias = activated.relu = true;
    MadeUpTrial trial({{"slow", {3}}, {.name = "fused", .milliseconds = {1}, .nan = false}, {"apart", {2}}});
    EXPECT_EQ(select(trial, true, activated), 2u);
    EXPECT_THAT(trial.nan_tested, ElementsAre("fused", "apart"));
    MadeUpTrial first({{.name = "fused", .nan = false}, {"apart", {2}}});
    EXPECT_EQ(select(first, false, activated), 1u);
    MadeUpTrial plain({{.name = "plain", .nan = false}});  // nothing there that could lose it
    EXPECT_EQ(select(plain, true), 0u);
    EXPECT_TRUE(plain.nan_tested.empty());
    MadeUpTrial none({{.name = "fused", .nan = false}});
    EXPECT_THAT(error_of(none, ErrorKind::Internal, activated), HasSubstr("fused: makes numbers of NaN"));
}

TEST(PlanSelector, WhereAllFailTheErrorNamesProblemAndReason) {
    MadeUpTrial broken({{.name = "engine 7:", .fails = true}});
    EXPECT_THAT(error_of(broken, ErrorKind::Internal),
                AllOf(HasSubstr("forward 3x3 stride 1 pad 1, 2x5x5x4 to 2x5x5x8, f32"),
                      HasSubstr("engine 7:: CUDNN_STATUS_EXECUTION_FAILED")));
    MadeUpTrial none({});
    EXPECT_THAT(error_of(none, ErrorKind::Internal), HasSubstr("none"));
    MadeUpTrial untrue({{.name = "a", .zeros = false}});
    EXPECT_THAT(error_of(untrue, ErrorKind::Internal, some_problem(Direction::Data)),
                AllOf(HasSubstr("data gradient"), HasSubstr("where zeros belong")));
}

// The caller then tries a smaller batch.
TEST(PlanSelector, WhereMemoryWasTheReasonTheErrorIsTheDevices) {
    MadeUpTrial trial({{.name = "a", .out_of_memory = true}, {.name = "b", .fails = true}});
    error_of(trial, ErrorKind::Device);
}

}  // namespace
}  // namespace gs::cuda
