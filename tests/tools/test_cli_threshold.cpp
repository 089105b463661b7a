// gradscore threshold, and single images judged by it.
#include <cmath>
#include <nlohmann/json.hpp>

#include "report/threshold_json.h"
#include "tests/tools/demo_images.h"

namespace gs::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::SizeIs;

class ThresholdTest : public DemoImages {
  protected:
    Ran made(const Words& words, int code = 0) {
        Words all{"threshold"};
        all.insert(all.end(), words.begin(), words.end());
        Ran ran = run(all);
        EXPECT_EQ(ran.code, code) << ran.err;
        return ran;
    }
    nlohmann::json file(const std::string& name) const { return read_json(root_ / name); }
    Words judging(const Words& words) const {
        Words all{"score", "--threshold", "t.json", "--weights", demo_weights()};
        all.insert(all.end(), words.begin(), words.end());
        return all;
    }
};

TEST_F(ThresholdTest, AcceptsTheShareOfIdImages) {
    score({"--id", kId, "--ood", kTextures, "--ood", kShapes, "--methods", kMethods, "--out", "run",
           "--quiet"});
    const Ran ran = made({"run", "--method", "gradnorm", "--tpr", "0.9", "--out", "t.json"});
    const nlohmann::json t = file("t.json");
    for (const char* own : {"run/results.json", "run/scores/figures.csv", "run/journal"})
        expect_refusal({"threshold", "run", "--method", "gradnorm", "--out", own, "--force"}, 2,
                       {own, "is a file of the run run itself"});
    expect_refusal({"report", "run", "--out", "run/results.json", "--force"}, 2, {"is a file of the run"});
    EXPECT_EQ(t["schema"], "gradscore/threshold/1");
    EXPECT_EQ(t["method"]["name"], "gradnorm");
    EXPECT_EQ(t["method"]["options"], results("run")["methods"][4]["options"]);
    EXPECT_EQ(t["weights"]["sha256"], results("run")["run"]["weights"]["sha256"]);
    EXPECT_EQ(t["preprocess"], results("run")["run"]["preprocess"]);
    EXPECT_EQ(t["tpr"], 0.9);
    std::vector<double> id = table("run", "figures").columns()[4];
    std::sort(id.begin(), id.end());
    EXPECT_EQ(t["threshold"], id[3]) << "27 of 30 are there or above";
    EXPECT_EQ(t["id"]["accepted"], 27);
    EXPECT_EQ(t["id"]["digest"], results("run")["sets"][0]["digest"]);
    int64_t above = 0;
    const std::vector<double> shapes = table("run", "shapes").columns()[4];
    for (const double s : shapes) above += s >= id[3];
    EXPECT_EQ(t["ood"][1]["accepted"], above);
    EXPECT_EQ(t["ood"][1]["fpr"], double(above) / 12);
    EXPECT_THAT(ran.out,
                AllOf(HasSubstr("27 of 30"), HasSubstr("90.00 %"), HasSubstr("shapes"), HasSubstr("t.json")));

    made({"run", "--method", "msp", "--out", "msp.json"});
    EXPECT_EQ(file("msp.json")["tpr"], 0.95) << "the default";
    EXPECT_EQ(file("msp.json")["ood"][0]["fpr"], results("run")["metrics"]["msp"]["textures"]["fpr95_first"]);
}

TEST_F(ThresholdTest, NeedsNoMetricsAndNoNameOfTheOnlyMethod) {
    score({"--id", kId, "--methods", "energy", "--out", "run", "--quiet"});
    const Ran ran = made({"run", "--out", "t.json", "--json"});
    EXPECT_EQ(ran.out, content(root_ / "t.json"));
    EXPECT_TRUE(file("t.json")["ood"].empty());
    expect_refusal({"threshold", "run", "--out", "t.json"}, 2, {"t.json: exists", "--force"});
    made({"run", "--out", "t.json", "--tpr", "1", "--force"});
    EXPECT_EQ(file("t.json")["id"]["accepted"], 30);
}

TEST_F(ThresholdTest, PartOfARunIsNoticed) {
    score({"--id", kId, "--methods", "msp", "--shard", "0/2", "--out", "run", "--quiet"});
    const Ran ran = made({"run", "--out", "t.json"});
    EXPECT_THAT(ran.err, AllOf(HasSubstr("notice: run: only shard 0/2"), HasSubstr("for trials only")));
    EXPECT_EQ(file("t.json")["comparable"], false);
}

TEST_F(ThresholdTest, FaultsAreNamed) {
    score({"--id", kId, "--methods", "msp,odin:temperature=100", "--out", "run", "--quiet"});
    const auto refuse = [&](const Words& words, int code, const std::vector<std::string>& parts) {
        Words all{"threshold"};
        all.insert(all.end(), words.begin(), words.end());
        expect_refusal(all, code, parts);
        EXPECT_FALSE(fs::exists(root_ / "t.json"));
    };
    refuse({"run", "--out", "t.json"}, 2, {"several methods", "--method", "msp, odin:temperature=100"});
    refuse({"run", "--method", "odin", "--out", "t.json"}, 2,
           {"--method odin", "it has msp, odin:temperature=100"});
    for (const char* tpr : {"0", "1.01", "-1", "nan", "x"})
        refuse({"run", "--method", "msp", "--tpr", tpr, "--out", "t.json"}, 2, {"--tpr"});
    refuse({"run", "--method", "msp"}, 2, {"--out is required"});
    refuse({"nowhere", "--out", "t.json"}, 4, {"nowhere: no run folder"});
    std::string text = csv("run", "figures");
    for (size_t at = 0; (at = text.find(",,0.", at)) != text.npos;)
        text.replace(at + 2, text.find(',', at + 2) - at - 2, "-inf");
    write(root_ / "run/scores/figures.csv", text);
    refuse({"run", "--method", "msp", "--out", "t.json"}, 4, {"figures", "msp", "-inf"});
}

TEST_F(ThresholdTest, JudgesImagesAsTheRunDid) {
    const std::string methods = "odin:temperature=1000:epsilon=0.0014";
    score({"--id", kId, "--ood", kTextures, "--methods", methods, "--out", "run", "--quiet"});
    made({"run", "--out", "t.json", "--tpr", "0.8"});
    const double threshold = file("t.json")["threshold"];
    Words words = judging({"--json"});
    std::vector<ScoreRow> rows = table("run", "figures").rows;
    for (const ScoreRow& row : rows) words.insert(words.end(), {"--image", "images/id/" + row.path});
    for (const ScoreRow& row : table("run", "textures").rows) {
        words.insert(words.end(), {"--image", "images/ood-textures/" + row.path});
        rows.push_back(row);
    }
    const Ran ran = run(words);
    EXPECT_EQ(ran.code, 0) << ran.err;
    const nlohmann::json images = parse_json(ran.out)["images"];
    ASSERT_EQ(images.size(), rows.size());
    int64_t accepted = 0;
    for (size_t i = 0; i < rows.size(); ++i) {
        EXPECT_THAT(images[i]["path"].get<std::string>(), testing::EndsWith(rows[i].path));
        EXPECT_EQ(images[i]["score"], rows[i].scores[0]) << "bit for bit";
        EXPECT_EQ(images[i]["prediction"], *rows[i].prediction);
        EXPECT_EQ(images[i]["in_distribution"], rows[i].scores[0] >= threshold);
        accepted += images[i]["in_distribution"] == true;
    }
    const nlohmann::json t = file("t.json");
    EXPECT_EQ(accepted, t["id"]["accepted"].get<int64_t>() + t["ood"][0]["accepted"].get<int64_t>());
}

TEST_F(ThresholdTest, ALineAnImageAndACodeForBadOnes) {
    score({"--id", kId, "--methods", "msp", "--out", "run", "--quiet"});
    made({"run", "--out", "t.json", "--tpr", "1"});
    write(root_ / "bad.png", "no image");
    const Ran ran = run(judging({"--image", "images/id/cross/0000.png", "bad.png", "none.png"}));
    EXPECT_EQ(ran.code, 6) << ran.err;
    EXPECT_THAT(ran.out, testing::MatchesRegex(
                             "images/id/cross/0000.png  class [0-9]+  score 0\\.[0-9]+  in-distribution\n"
                             "bad.png  could not be used: [^\n]+\n"
                             "none.png  could not be used: [^\n]*No such file[^\n]*\n"));
    EXPECT_THAT(ran.error_lines(), testing::ElementsAre("2 images could not be used"));
    const nlohmann::json json = parse_json(run(judging({"--image", "bad.png", "--json"})).out);
    EXPECT_TRUE(json["images"][0]["score"].is_null());
    EXPECT_TRUE(json["images"][0]["in_distribution"].is_null());
    EXPECT_THAT(json["images"][0]["reason"].get<std::string>(), HasSubstr("JPEG"));

    expect_refusal(judging({"--image", "images/id/cross/0000.png", "bad.png", "--strict"}), 4,
                   {"bad.png: ", "(--strict)"});

    std::string text = content(root_ / "t.json");
    text.replace(text.find("\"threshold\": "), 13, "\"threshold\": 1e9, \"x\": ");
    write(root_ / "t.json", text);
    EXPECT_THAT(run(judging({"--image", "images/id/cross/0000.png"})).out,
                HasSubstr("  out-of-distribution\n"));
}

TEST_F(ThresholdTest, OtherWeightsOrPreprocessingAreRefused) {
    score({"--id", kId, "--methods", "msp", "--mean", ".4,.5,.6", "--out", "run", "--quiet"});
    made({"run", "--out", "t.json"});
    const std::string image = "images/id/cross/0000.png";
    expect_refusal(judging({"--image", image}), 2, {"preprocessing", "t.json", "mean .4 .5 .6", "--mean"});
    EXPECT_EQ(run(judging({"--image", image, "--mean", ".4,.5,.6"})).code, 0);
    ASSERT_EQ(run({"convert", demo_weights(), "w.safetensors"}).code, 0);
    expect_refusal({"score", "--threshold", "t.json", "--weights", "w.safetensors", "--image", image}, 3,
                   {"w.safetensors: not the weights of t.json"});
}

TEST_F(ThresholdTest, FlagsThatDoNotGoTogether) {
    score({"--id", kId, "--methods", "msp", "--out", "run", "--quiet"});
    made({"run", "--out", "t.json"});
    const std::string image = "images/id/cross/0000.png";
    expect_refusal(judging({}), 2, {"--image FILE"});
    for (const auto& [flag, value] : std::vector<std::pair<std::string, std::string>>{{"--id", kId},
                                                                                      {"--ood", kShapes},
                                                                                      {"--out", "x"},
                                                                                      {"--methods", "msp"},
                                                                                      {"--shard", "0/2"},
                                                                                      {"--limit", "3"}})
        expect_refusal(judging({"--image", image, flag, value}), 2, {"--threshold", flag});
    for (const char* flag : {"--resume", "--force"})
        expect_refusal(judging({"--image", image, flag}), 2, {"--threshold", flag});
    const Ran unread = run(judging({"--image", image, "--stats", "s.safetensors"}));
    EXPECT_EQ(unread.code, 0);
    EXPECT_THAT(unread.err, HasSubstr("notice: --stats s.safetensors: msp does not read it"));
    expect_refusal({"score", "--weights", demo_weights(), "--image", image}, 2,
                   {"--image requires --threshold"});
    expect_refusal({"score", "--threshold", "none.json", "--weights", demo_weights(), "--image", image}, 4,
                   {"none.json"});
    std::string text = content(root_ / "t.json");
    write(root_ / "t.json", text.replace(text.find("\"prob\""), 6, "\"cube\""));
    expect_refusal(judging({"--image", image}), 2, {"t.json", "options of msp", "make the threshold again"});
}

}  // namespace
}  // namespace gs::test
