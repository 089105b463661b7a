#include "report/threshold_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/files.h"
#include "tests/report/sample.h"
#include "tests/support/failure.h"
#include "tests/support/json.h"

namespace gs {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;
using testing::SizeIs;

Threshold sample() {
    return find_threshold(test::sample_results(), test::sample_sets(), 1, 0.9);
}

TEST(FindThreshold, CountsEverySet) {
    const Threshold t = sample();
    EXPECT_EQ(t.method.name, "energy:temperature=2");
    EXPECT_EQ(t.method.options.at("temperature"), "2");
    EXPECT_EQ(t.weights_sha256, "ab12");
    EXPECT_TRUE(t.comparable);
    EXPECT_EQ(t.threshold, 0.25 + 0.5 * 4) << "36 of 40 scores of steps(0.25, 0.5, 40)";
    EXPECT_EQ(t.id.name, "imagenet");
    EXPECT_EQ(t.id.counts, (Acceptance{40, 36, 0}));
    ASSERT_THAT(t.ood, SizeIs(2));
    EXPECT_EQ(t.ood[0].counts, (Acceptance{20, 5, 0})) << "2.5, 3 … 4.5 of steps(-5, 0.5, 20)";
    EXPECT_EQ(t.ood[1].counts, (Acceptance{20, 3, 0})) << "2.25, 2.5, 2.75 of steps(-2, 0.25, 20)";
}

TEST(FindThreshold, NeedsFiniteScores) {
    const auto error_with = [](const std::vector<double>& scores, double tpr) -> std::string {
        const std::vector<ScoredSet> sets{test::scored_set("id", SetRole::Id, {scores})};
        return test::failure_of(ErrorKind::Data, [&] {
            find_threshold(summarise(test::sample_run(), {{"msp", {}}}, sets), sets, 0, tpr);
        });
    };
    constexpr double kInf = std::numeric_limits<double>::infinity(), kNaN = NAN;
    EXPECT_THAT(error_with({}, 0.95), HasSubstr("id: no score of msp"));
    EXPECT_THAT(error_with({kNaN, kNaN}, 0.95), HasSubstr("id: no score of msp"));
    EXPECT_THAT(error_with({-kInf, 1}, 0.95), HasSubstr("is -inf"));
    EXPECT_EQ(error_with({-kInf, 1}, 0.5), "no error");
}

TEST(ThresholdJson, ReadsBackWhatWasWritten) {
    Threshold t = sample();
    t.threshold = 1.0 / 3;
    t.ood[1].counts = {0, 0, 20};
    const std::string text = threshold_to_json(t);
    const Threshold back = threshold_from_json(text, "t");
    EXPECT_EQ(threshold_to_json(back), text);
    EXPECT_EQ(back.threshold, 1.0 / 3);
    EXPECT_EQ(back.id.counts, t.id.counts);
    const Json j = test::parse_json(text);
    EXPECT_EQ(j.at("schema"), "gradscore/threshold/1");
    EXPECT_EQ(j.at("tpr"), 0.9);
    EXPECT_EQ(j.at("id").at("tpr"), 0.9);
    EXPECT_EQ(j.at("ood").at(0).at("fpr"), 0.25);
    EXPECT_TRUE(j.at("ood").at(1).at("fpr").is_null());
    EXPECT_EQ(j.at("method").at("options").at("temperature"), "2");
}

std::string error_of(const std::string& text) {
    return test::failure_of(ErrorKind::Data, [&] { threshold_from_json(text, "t.json"); });
}

std::string error_after(const std::function<void(Json&)>& change) {
    Json j = test::parse_json(threshold_to_json(sample()));
    change(j);
    return error_of(j.dump());
}

TEST(ThresholdJson, ErrorsNameThePlace) {
    EXPECT_THAT(error_of(""), HasSubstr("t.json: not JSON"));
    EXPECT_THAT(error_of("{}"), HasSubstr("schema is missing"));
    EXPECT_THAT(error_after([](Json& j) { j["schema"] = "gradscore/results/1"; }),
                HasSubstr("schema 'gradscore/results/1', this version reads 'gradscore/threshold/1'"));
    EXPECT_THAT(error_after([](Json& j) { j["threshold"] = nullptr; }),
                HasSubstr("threshold is not a number"));
    EXPECT_THAT(error_after([](Json& j) { j["threshold"] = "1"; }), HasSubstr("threshold is not a number"));
    EXPECT_THAT(error_after([](Json& j) { j["tpr"] = 0; }), HasSubstr("tpr is not above 0"));
    EXPECT_THAT(error_after([](Json& j) { j["tpr"] = 1.5; }), HasSubstr("tpr is not above 0"));
    EXPECT_THAT(error_after([](Json& j) { j["id"]["accepted"] = 41; }),
                HasSubstr("id.accepted is more than scores"));
    EXPECT_THAT(error_after([](Json& j) { j["ood"][1].erase("nan"); }), HasSubstr("ood[1].nan is missing"));
    EXPECT_THAT(error_after([](Json& j) { j["method"]["options"] = 1; }),
                HasSubstr("method.options is not an object"));
    EXPECT_THAT(error_after([](Json& j) { j["weights"].erase("sha256"); }),
                HasSubstr("weights.sha256 is missing"));
    EXPECT_EQ(error_after([](Json& j) { j["later"] = 1; }), "no error");
}

TEST(ThresholdJson, DamagedFilesAreRefusedOrReadNeverWorse) {
    const std::string text = test::parse_json(threshold_to_json(sample())).dump();
    for (size_t k = 0; k < text.size(); ++k) EXPECT_NE(error_of(text.substr(0, k)), "no error") << k;
    int refused = 0;
    for (size_t k = 0; k < text.size(); ++k)
        for (char flip : {'\x01', '\x20', '\x80'}) {
            std::string damaged = text;
            damaged[k] = char(damaged[k] ^ flip);
            refused += error_of(damaged) != "no error";
        }
    EXPECT_GT(refused, int(text.size()));  // the rest changed a digit or a letter of a free text
}

TEST(ThresholdJson, FileIsNamedInErrors) {
    test::TemporaryFolder folder("threshold_json");
    const auto path = folder / "t.json";
    write_file_atomically(path, threshold_to_json(sample()));
    EXPECT_EQ(threshold_to_json(read_threshold(path)), threshold_to_json(sample()));
    write_file_atomically(path, "[]");
    try {
        read_threshold(path);
        FAIL();
    } catch (const Error& e) {
        EXPECT_THAT(e.what(), HasSubstr(path.string() + ": "));
    }
}

}  // namespace
}  // namespace gs
