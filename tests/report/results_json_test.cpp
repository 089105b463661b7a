#include "report/results_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/files.h"
#include "report/table.h"
#include "tests/report/sample.h"
#include "tests/support/failure.h"
#include "tests/support/json.h"

namespace gs {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

Results full_results() {
    Results r = test::sample_results();
    r.run.limit = 40;
    r.sets[0].digest = "cafe";
    r.sets[0].image_sizes = ImageSizes{16, {1, 2}, {30, 40}, {500, 600}};
    r.sets[1].shared_with_id = 3;
    r.run.plan = {"224x224:", "forward     17 layers"};
    r.run.started_with = {{"--limit", "40"}, {"images of dtd", "20 images, 00ff"}};
    r.warnings = {{"auroc-one", "msp", "dtd", "msp on dtd: …"}};
    r.metrics[0].metrics.auroc = std::numeric_limits<double>::quiet_NaN();
    r.metrics[1].metrics.aupr_in = 1.0 / 3;
    return r;
}

TEST(ResultsJson, HasTheNamesOfTheSchema) {
    const Results r = full_results();
    const Json j = test::parse_json(results_to_json(r));
    EXPECT_EQ(j.at("schema"), "gradscore/results/1");
    EXPECT_EQ(j.at("comparable"), false);
    EXPECT_EQ(j.at("positive_class"), "id");
    EXPECT_EQ(j.at("run").at("net"), "mobilenet-v2");
    EXPECT_EQ(j.at("run").at("weights").at("sha256"), "ab12");
    EXPECT_EQ(j.at("run").at("seed").get<uint64_t>(), 18446744073709551615u);
    EXPECT_EQ(j.at("sets").at(0).at("accuracy"), 0.825);
    EXPECT_TRUE(j.at("sets").at(1).at("accuracy").is_null());
    EXPECT_EQ(j.at("sets").at(2).at("failures").at(0).at("path"), "a/b.jpg");
    const Json& dtd = j.at("metrics").at("msp").at("dtd");
    EXPECT_TRUE(dtd.at("auroc").is_null());
    for (const char* name :
         {"auroc", "aupr_in", "aupr_out", "dterr", "fpr95_closest", "fpr95_first", "fpr95_threshold",
          "fpr95_ood_positive", "fpr95_ood_positive_closest", "aupr_in_trapezoid", "aupr_out_trapezoid",
          "aupr_in_openood", "aupr_out_openood", "id_count", "ood_count", "id_excluded", "ood_excluded"})
        EXPECT_TRUE(dtd.contains(name)) << name;
    EXPECT_EQ(dtd.size(), 17u);
    EXPECT_EQ(dtd.at("fpr95_first").get<double>(), r.metrics[0].metrics.fpr95_first);
    EXPECT_EQ(j.at("metrics").at("msp").at("sun").at("aupr_in").get<double>(), 1.0 / 3);
    EXPECT_EQ(j.at("averages").at("msp").at("aupr_out").get<double>(), r.averages[0].metrics.aupr_out);
}

TEST(ResultsJson, InvalidProtocolsAreMarked) {
    Results r = full_results();
    EXPECT_EQ(test::parse_json(results_to_json(r))["run"]["invalid_protocol"], Json::array());
    r.run.invalid_protocol = {"s.safetensors was fitted on 2 of the 9 images of dtd", "b"};
    EXPECT_EQ(results_from_json(results_to_json(r), "r").run.invalid_protocol, r.run.invalid_protocol);
    EXPECT_THAT(results_markdown(r), HasSubstr("\n**Invalid protocol:** s.safetensors was fitted on 2"));
    EXPECT_THAT(results_table(r), HasSubstr("\nINVALID PROTOCOL: s.safetensors was fitted on 2"));
    EXPECT_THAT(results_table(r), HasSubstr("\nINVALID PROTOCOL: b\n"));

    Json old = test::parse_json(results_to_json(r));  // of before there were fits
    old["run"].erase("invalid_protocol");
    EXPECT_TRUE(results_from_json(old.dump(), "r").run.invalid_protocol.empty());
}

TEST(ResultsJson, FitsUnderALimitMakeThemIncomparable) {
    Results r = full_results();
    r.run.limit.reset();
    EXPECT_EQ(test::parse_json(results_to_json(r)).at("comparable"), true);
    r.run.limited_fits = {{"s.safetensors", 60}};
    const std::string text = results_to_json(r);
    EXPECT_EQ(test::parse_json(text).at("comparable"), false);
    EXPECT_EQ(results_from_json(text, "r").run.limited_fits, r.run.limited_fits);
    EXPECT_THAT(results_table(r), HasSubstr("NOT COMPARABLE: s.safetensors was fitted or searched under "
                                            "--limit 60\n"));
}

TEST(ResultsJson, ResultsOfEarlierVersionsLackFacts) {
    Json old = test::parse_json(results_to_json(full_results()));
    for (const char* name : {"plan", "started_with", "limited_fits"}) old["run"].erase(name);
    for (Json& set : old["sets"])
        for (const char* name : {"shared_with_id", "image_sizes"}) set.erase(name);
    const Results r = results_from_json(old.dump(), "r");
    EXPECT_TRUE(r.run.plan.empty());
    EXPECT_FALSE(r.sets[1].shared_with_id || r.sets[0].image_sizes);
}

TEST(ResultsJson, ReadsBackWhatWasWritten) {
    const Results r = full_results();
    const std::string text = results_to_json(r);
    const Results back = results_from_json(text, "results.json");
    EXPECT_EQ(results_to_json(back), text);
    EXPECT_EQ(back.run.libraries, r.run.libraries);
    EXPECT_EQ(back.run.limit, r.run.limit);
    EXPECT_EQ(back.run.wall_seconds, 73.25);
    EXPECT_EQ(back.sets[2].failures[1].reason, "no PNG");
    EXPECT_EQ(back.sets[0].image_sizes->largest.height, 600);
    EXPECT_EQ(back.sets[1].shared_with_id, 3);
    EXPECT_FALSE(back.sets[0].shared_with_id || back.sets[1].image_sizes);
    EXPECT_EQ(back.run.plan, r.run.plan);
    EXPECT_EQ(back.run.started_with, r.run.started_with);
    EXPECT_EQ(back.methods[1].options.at("temperature"), "2");
    EXPECT_EQ(back.warnings[0].message, r.warnings[0].message);
    EXPECT_TRUE(std::isnan(back.find("msp", "dtd")->metrics.auroc));
    for (size_t k = 1; k < r.metrics.size(); ++k)
        for (const MetricField& f : metric_fields())
            EXPECT_EQ(back.metrics[k].metrics.*f.value, r.metrics[k].metrics.*f.value) << f.name;
}

TEST(ResultsJson, ShardsAndStoppedRunsAreMarked) {
    Results r = test::sample_results();
    EXPECT_EQ(test::parse_json(results_to_json(r)).at("complete"), true);
    EXPECT_EQ(test::parse_json(results_to_json(r)).at("comparable"), true);
    r.run.shard = Shard{2, 5};
    r.run.stopped = "interrupted";
    const std::string text = results_to_json(r);
    const Json j = test::parse_json(text);
    EXPECT_EQ(j.at("complete"), false);
    EXPECT_EQ(j.at("comparable"), false);
    EXPECT_EQ(j.at("run").at("shard"), 2);
    EXPECT_EQ(j.at("run").at("shards"), 5);
    EXPECT_EQ(j.at("run").at("stopped"), "interrupted");
    const Results back = results_from_json(text, "r");
    EXPECT_EQ(back.run.shard, r.run.shard);
    EXPECT_EQ(results_to_json(back), text);
}

TEST(ResultsJson, FilesOfBeforeTheShardsAreWholeRuns) {
    Json j = test::parse_json(results_to_json(test::sample_results()));
    for (const char* key : {"shard", "shards", "stopped"}) j["run"].erase(key);
    for (Json& set : j["sets"]) {
        set.erase("labelled_images");
        set.erase("correct");
    }
    EXPECT_TRUE(results_from_json(j.dump(), "r").complete());
}

TEST(ResultsJson, WithoutOodSets) {
    const std::vector<ScoredSet> sets{test::scored_set("id", SetRole::Id, {{1.0}})};
    const std::string text = results_to_json(summarise(test::sample_run(), {{"msp", {}}}, sets));
    EXPECT_EQ(results_to_json(results_from_json(text, "r")), text);
}

TEST(ResultsJson, BytesThatAreNoUtf8BecomeReplacementCharacters) {
    Results r = full_results();
    r.sets[1].failures = {{"bad\xFFname", "x"}};
    const Results back = results_from_json(results_to_json(r), "r");
    EXPECT_EQ(back.sets[1].failures[0].path, "bad\uFFFDname");
}

TEST(ResultsJson, FileIsWrittenWholeAndNamedInErrors) {
    test::TemporaryFolder folder("results_json");
    const auto path = folder / "results.json";
    write_results_json(path, full_results());
    EXPECT_EQ(results_to_json(read_results_json(path)), results_to_json(full_results()));
    write_file_atomically(path, "{}");
    try {
        read_results_json(path);
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::Data);
        EXPECT_THAT(e.what(), HasSubstr(path.string() + ": schema is missing"));
    }
}

std::string error_of(const std::string& text) {
    return test::failure_of(ErrorKind::Data, [&] { results_from_json(text, "r.json"); });
}

std::string error_after(const std::function<void(Json&)>& change) {
    Json j = test::parse_json(results_to_json(full_results()));
    change(j);
    return error_of(j.dump());
}

TEST(ResultsJson, ErrorsNameThePlace) {
    EXPECT_THAT(error_of(""), HasSubstr("r.json: not JSON"));
    EXPECT_THAT(error_of("[1, 2"), HasSubstr("r.json: not JSON"));
    EXPECT_THAT(error_of("[]"), HasSubstr("r.json: is not an object"));
    EXPECT_THAT(error_of("{\"a\": 1e999}"), HasSubstr("not JSON"));
    EXPECT_THAT(error_after([](Json& j) { j["schema"] = "gradscore/results/9"; }),
                HasSubstr("schema 'gradscore/results/9', this version reads"));
    EXPECT_THAT(error_after([](Json& j) { j["metrics"]["msp"]["dtd"].erase("dterr"); }),
                HasSubstr("metrics.msp.dtd.dterr is missing"));
    EXPECT_THAT(error_after([](Json& j) { j["metrics"]["msp"].erase("sun"); }),
                HasSubstr("metrics.msp.sun is missing"));
    EXPECT_THAT(error_after([](Json& j) { j["averages"]["msp"]["auroc"] = 1.5; }),
                HasSubstr("averages.msp.auroc is not between 0 and 1"));
    EXPECT_THAT(error_after([](Json& j) { j["sets"][1]["role"] = "both"; }),
                HasSubstr("sets[1].role is neither"));
    EXPECT_THAT(error_after([](Json& j) { j["sets"][1]["role"] = "id"; }),
                HasSubstr("sets does not begin with its one ID set"));
    EXPECT_THAT(error_after([](Json& j) { j["sets"] = Json::array(); }), HasSubstr("sets is empty"));
    EXPECT_THAT(error_after([](Json& j) { j["sets"][2]["name"] = "dtd"; }),
                HasSubstr("sets names 'dtd' twice"));
    EXPECT_THAT(error_after([](Json& j) { j["methods"][1]["name"] = "msp"; }),
                HasSubstr("methods names 'msp' twice"));
    EXPECT_THAT(error_after([](Json& j) { j["sets"][0]["scored"] = -1; }),
                HasSubstr("sets[0].scored is not a whole number from 0"));
    EXPECT_THAT(error_after([](Json& j) { j["sets"][0]["scored"] = 1.5; }), HasSubstr("not a whole number"));
    EXPECT_THAT(error_after([](Json& j) { j["sets"][0]["scored"] = 18446744073709551615u; }),
                HasSubstr("too large"));
    EXPECT_THAT(error_after([](Json& j) { j["run"]["libraries"]["oneDNN"] = 2; }),
                HasSubstr("run.libraries.oneDNN is not a text"));
    EXPECT_THAT(error_after([](Json& j) { j["run"]["shard"] = j["run"]["shards"] = 3; }),
                HasSubstr("run.shard is not below shards"));
    EXPECT_THAT(error_after([](Json& j) { j["run"]["shard"] = 0; }),
                HasSubstr("run.shards is not a whole number"));
    EXPECT_THAT(error_after([](Json& j) { j["run"]["invalid_protocol"] = Json::array({1}); }),
                HasSubstr("run.invalid_protocol[0] is not a text"));
    EXPECT_THAT(error_after([](Json& j) { j["run"]["notices"] = "none"; }),
                HasSubstr("run.notices is not a list"));
}

TEST(ResultsJson, UnknownMembersArePassedOver) {
    Json j = test::parse_json(results_to_json(full_results()));
    j["later"] = 1;
    j["run"]["gpu"] = "x";
    EXPECT_EQ(error_of(j.dump()), "no error");
}

TEST(ResultsJson, DeepNestingIsNoDanger) {
    EXPECT_THAT(error_of(std::string(60, '[')), HasSubstr("not JSON"));
    EXPECT_THAT(error_of(std::string(2'000'000, '[')), HasSubstr("nests deeper than 64 levels"));
    const auto nested = [](size_t levels) {
        return "{\"x\": " + std::string(levels, '[') + std::string(levels, ']') + "}";
    };
    EXPECT_THAT(error_of(nested(200'000)), HasSubstr("nests deeper than 64 levels"));
    EXPECT_THAT(error_of(nested(60)), HasSubstr("schema is missing"));
}

// Members are searched for one after the other: a million of them would take hours.
TEST(ResultsJson, MembersAreLimited) {
    const auto with = [](int members) {
        std::string text = "{";
        for (int i = 0; i < members; ++i) text += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":0";
        return text + "}";
    };
    EXPECT_THAT(error_of(with(10'000)), HasSubstr("schema is missing"));
    EXPECT_THAT(error_of(with(1'000'000)), HasSubstr("an object of more than 10000 members"));
}

TEST(ResultsJson, AKeyGivenTwiceIsRefused) {
    EXPECT_THAT(error_of(R"({"schema": "gradscore/results/1", "schema": "x"})"),
                HasSubstr("'schema' stands twice"));
    EXPECT_THAT(error_of(R"({"a": {"b": 1}, "c": {"b": 1}})"), HasSubstr("schema is missing"));
}

TEST(ResultsJson, DamagedFilesAreRefusedOrReadNeverWorse) {
    const std::string text = test::parse_json(results_to_json(full_results())).dump();
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

}  // namespace
}  // namespace gs
