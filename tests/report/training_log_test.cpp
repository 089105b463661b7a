#include "report/training_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <regex>

#include "core/error.h"
#include "tests/support/failure.h"

namespace gs {
namespace {

using testing::HasSubstr;

TrainingLine step_line(int64_t step, double loss) {
    return {.epoch_end = false,
            .epoch = 1 + (step - 1) / 10,
            .step = step,
            .loss = loss,
            .accuracy = 0.25,
            .learning_rate = 0.1,
            .images_per_second = 1234.5,
            .seconds = 2};
}

TrainingLine epoch_line(int64_t step, double validation_accuracy) {
    TrainingLine line = step_line(step, 1);
    line.epoch_end = true;
    line.validation_accuracy = validation_accuracy;
    line.validation_loss = 1.5;
    return line;
}

TEST(TrainingLog, ReadsBackWhatWasWritten) {
    const std::string text = training_line_to_json(step_line(5, 0.1 + 0.2)) + "\n" +
                             training_line_to_json(step_line(10, NAN)) + "\n" +
                             training_line_to_json(epoch_line(10, 2.0 / 3)) + "\n";
    const auto lines = training_log_from_json(text, "log.jsonl");
    ASSERT_EQ(lines.size(), 3u);
    EXPECT_FALSE(lines[0].epoch_end);
    EXPECT_EQ(lines[0].step, 5);
    EXPECT_EQ(lines[0].loss, 0.1 + 0.2);
    EXPECT_EQ(lines[0].images_per_second, 1234.5);
    EXPECT_FALSE(lines[0].validation_accuracy);
    EXPECT_TRUE(std::isnan(lines[1].loss));
    EXPECT_TRUE(lines[2].epoch_end);
    EXPECT_EQ(lines[2].epoch, 1);
    EXPECT_EQ(lines[2].validation_accuracy, 2.0 / 3);
    EXPECT_EQ(lines[2].validation_loss, 1.5);
}

TEST(TrainingLog, FaultsNameTheirLine) {
    const auto error = [](const std::string& text) -> std::string {
        return test::failure_of(ErrorKind::Data, [&] { training_log_from_json(text, "log.jsonl"); });
    };
    const std::string good = training_line_to_json(step_line(1, 1)) + "\n";
    EXPECT_EQ(error(good), "no error");
    EXPECT_THAT(error(good + good.substr(0, 20)), HasSubstr("log.jsonl:2: not JSON"));
    EXPECT_THAT(error(good + "\n" + good), HasSubstr("log.jsonl:2: "));
    EXPECT_THAT(error("{\"kind\":\"walk\"}"), HasSubstr("log.jsonl:1: kind is neither"));
    EXPECT_THAT(error("{\"kind\":\"step\"}"), HasSubstr("epoch is missing"));
}

// Coordinates in the order of the file: those of the path with this colour.
std::vector<double> path_of(const std::string& svg, const std::string& colour, size_t which) {
    const std::regex path("stroke=\"" + colour + "\" d=\"([^\"]*)\"");
    auto found = std::sregex_iterator(svg.begin(), svg.end(), path);
    std::advance(found, static_cast<std::ptrdiff_t>(which));
    std::string text = (*found)[1];
    std::replace_if(
        text.begin(), text.end(), [](char c) { return c == 'M' || c == 'L'; }, ' ');
    std::istringstream stream(text);
    return {std::istream_iterator<double>(stream), {}};
}

TEST(TrainingCurves, PlacesEveryPoint) {
    const std::string svg = training_curves_svg(
        {step_line(5, 4), step_line(10, 2), epoch_line(10, 0.5), step_line(20, 0), epoch_line(20, 0.75)},
        "resnet <20> & co", 10);
    EXPECT_THAT(svg, HasSubstr("<title>resnet &lt;20&gt; &amp; co</title>"));
    // Two epochs over 780 columns from 64 on; losses from 0 to 4 over 190 rows from 48 on, panels 246 apart.
    EXPECT_EQ(path_of(svg, "#1f6fb4", 0), (std::vector<double>{259, 48, 454, 143, 844, 238}));
    EXPECT_EQ(path_of(svg, "#d9730d", 0), (std::vector<double>{454, 166.8, 844, 166.8}));  // 1.5 of 4
    EXPECT_EQ(path_of(svg, "#d9730d", 1), (std::vector<double>{454, 389, 844, 294}));  // 50 and 75 of 25..75
    EXPECT_EQ(svg.find("http://www.w3.org/2000/svg"), svg.rfind("http"));  // nothing else is referred to
}

std::vector<double> matches(const std::string& svg, const std::string& pattern) {
    const std::regex regex(pattern);
    std::vector<double> found;
    for (auto at = std::sregex_iterator(svg.begin(), svg.end(), regex); at != std::sregex_iterator(); ++at)
        found.push_back(std::stod((*at)[1]));
    return found;
}

TEST(TrainingCurves, PanelsLeaveRoomForTheLabelsBetweenThem) {
    const std::string svg = training_curves_svg({step_line(5, 4), step_line(10, 2)}, "t", 10);
    const auto words = matches(svg, "y=\"([0-9.]+)\"[^>]*>epoch<");
    const auto titles = matches(svg, "y=\"([0-9.]+)\"[^>]*font-weight=\"bold\"");
    ASSERT_EQ(words.size(), 3u);
    ASSERT_EQ(titles.size(), 3u);
    for (size_t k = 0; k + 1 < 3; ++k) EXPECT_GE(titles[k + 1] - words[k], 18) << "lines of 12 units touch";
    EXPECT_LE(words[2], matches(svg, "viewBox=\"0 0 860 ([0-9.]+)\"")[0] - 12) << "cut off at the bottom";
}

TEST(TrainingCurves, ASinglePointIsADot) {
    const std::string svg = training_curves_svg({step_line(10, 2)}, "t", 10);
    EXPECT_EQ(matches(svg, "<circle[^>]*fill=\"#1f6fb4\" cx=\"([0-9.]+)\""),
              (std::vector<double>{844, 844, 844}));
    EXPECT_TRUE(
        matches(training_curves_svg({step_line(5, 4), step_line(10, 2)}, "t", 10), "<circle (r)=").empty());
}

// What stays the same runs through the middle of its panel, not along its frame.
TEST(TrainingCurves, AConstantHasRoom) {
    for (const double loss : {3.0, -3.0, 0.0, 1e-30, 5e-324, 1e29}) {
        const std::string svg = training_curves_svg({step_line(5, loss), step_line(10, loss)}, "t", 10);
        EXPECT_EQ(path_of(svg, "#1f6fb4", 0), (std::vector<double>{454, 143, 844, 143})) << loss;
        for (const char* never : {"nan", "inf"}) EXPECT_EQ(svg.find(never), svg.npos) << loss << never;
    }
}

TEST(TrainingCurves, OfLittle) {
    const TrainingLine broken = step_line(1, NAN);
    for (const auto& lines : {std::vector<TrainingLine>{}, {step_line(1, 1)}, {broken}, {epoch_line(1, 0)}}) {
        const std::string svg = training_curves_svg(lines, "t", 1);
        EXPECT_TRUE(svg.ends_with("</svg>\n"));
        for (const char* never : {"nan", "inf"}) EXPECT_EQ(svg.find(never), svg.npos) << never;
    }
}

}  // namespace
}  // namespace gs
