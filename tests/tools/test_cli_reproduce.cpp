// gradscore reproduce, end to end: a table whose figures a first run gave.
#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/tools/demo_images.h"

namespace gs::test {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class Reproduce : public DemoImages {
  protected:
    Reproduce() {
        table_ = json{
            {"schema", "gradscore/table/1"},
            {"name", "own"},
            {"title", "An own table"},
            {"sources", {{"run", {{"text", "a first run"}, {"trust", "measured"}}}}},
            {"columns", json::array({column("fpr95", "fpr95_closest"), column("auroc", "auroc")})},
            {"sets",
             {{"figures", {{"title", "Figures"}, {"images", 30}, {"get", "draw"}, {"hint", "folder:f"}}},
              {"textures", {{"title", "Textures"}, {"images", 12}, {"get", "draw"}, {"hint", "folder:t"}}},
              {"shapes", {{"title", "Shapes"}, {"get", "draw"}, {"hint", "folder:s"}}}}},
            {"checkpoints",
             {{"resnet8",
               {{"title", "ResNet-8"},
                {"net", "resnet8-cifar"},
                {"get", "demo/"},
                {"id", "figures"},
                {"ood", {"textures", "shapes"}},
                {"groups", {{"Average", {"textures", "shapes"}}}}}}}},
            {"rows", json::array({row("MSP", "msp"), row("GradNorm", "gradnorm")})}};
        put();
    }

    static json column(const char* name, const char* metric) {
        return {
            {"name", name}, {"label", name}, {"metric", metric}, {"better", "lower"}, {"tolerance", 0.01}};
    }
    static json row(const std::string& label, const std::string& method) {
        return {{"label", label}, {"checkpoint", "resnet8"}, {"method", method}, {"source", "run"}};
    }
    void put() { write(root_ / "own.json", table_.dump(1)); }

    // All sets and the weights.
    static Words all() {
        return {"--data", kId,         "--data",       kTextures, "--data",
                kShapes,  "--weights", demo_weights(), "--quiet"};
    }
    Ran reproduce(const Words& words, int code = 0, const Words& given = all()) const {
        Words whole{"reproduce", "own.json"};
        whole.insert(whole.end(), given.begin(), given.end());
        whole.insert(whole.end(), words.begin(), words.end());
        Ran ran = run(whole);
        EXPECT_EQ(ran.code, code) << ran.err << ran.out;
        return ran;
    }
    json result(const std::string& out) const { return read_json(root_ / out / "reproduce.json"); }

    // What a first run gave becomes what is printed.
    void print_first_run() {
        reproduce({"--out", "first"});
        const json first = result("first");
        for (size_t r = 0; r < table_["rows"].size(); ++r)
            for (const auto& [place, columns] : first["rows"][r]["figures"].items())
                table_["rows"][r]["figures"][place] = {rounded(columns["fpr95"]), rounded(columns["auroc"])};
        put();
    }
    static double rounded(const json& figure) { return std::round(100 * double(figure["ours"])) / 100; }

    json table_;
};

TEST_F(Reproduce, FiguresOfAFirstRunAreMetAndAChangedOneIsNot) {
    print_first_run();
    const Ran same = reproduce({"--out", "same"});
    EXPECT_THAT(same.out,
                AllOf(HasSubstr("An own table"), HasSubstr("12 figures within tolerance, 0 out of it."),
                      HasSubstr("a first run (computed by gradscore)")));
    EXPECT_THAT(files_below(root_ / "same"),
                ElementsAre("reproduce.json", "reproduce.md", "resnet8/config.toml", "resnet8/results.json",
                            "resnet8/results.md", "resnet8/scores/figures.csv", "resnet8/scores/shapes.csv",
                            "resnet8/scores/textures.csv"));
    EXPECT_EQ(result("same")["complete"], true);
    EXPECT_EQ(results("same/resnet8")["methods"].size(), 2u) << "one run for both rows";

    table_["rows"][1]["figures"]["textures"][1] = double(table_["rows"][1]["figures"]["textures"][1]) + 0.5;
    put();
    const Ran changed = reproduce({"--out", "changed"}, 7);
    EXPECT_THAT(changed.out,
                AllOf(HasSubstr("-0.50!"), HasSubstr("11 figures within tolerance, 1 out of it (!)")));
    EXPECT_THAT(content(root_ / "changed/reproduce.md"), HasSubstr("-0.50!"));
    EXPECT_EQ(result("changed")["rows"][1]["figures"]["textures"]["auroc"]["verdict"], "out");
}

TEST_F(Reproduce, JsonOnStdoutIsTheFile) {
    const Ran ran = reproduce({"--out", "out", "--json"});
    EXPECT_EQ(ran.out, content(root_ / "out/reproduce.json"));
}

TEST_F(Reproduce, ConfigOfARunMakesItAgain) {
    reproduce({"--out", "out"});
    score({"--config", "out/resnet8/config.toml", "--out", "again", "--quiet"});
    EXPECT_EQ(csv("again", "textures"), csv("out/resnet8", "textures"));
    EXPECT_THAT(content(root_ / "again/config.toml"), HasSubstr("deterministic = false"));
    reproduce({"--out", "fixed", "--deterministic"});
    score({"--config", "fixed/resnet8/config.toml", "--out", "fixed again", "--quiet"});
    EXPECT_THAT(content(root_ / "fixed again/config.toml"), HasSubstr("deterministic = true"));
}

TEST_F(Reproduce, ALimitIsNeverOutOfTolerance) {
    print_first_run();
    const Ran ran = reproduce({"--out", "few", "--limit", "5"}, 6);
    EXPECT_THAT(ran.out, AllOf(HasSubstr("NOT COMPARABLE"), HasSubstr("12 not comparable (~)")));
    EXPECT_EQ(result("few")["comparable"], false);
}

TEST_F(Reproduce, WhatIsMissingIsSaidAndMeansAreLeftOut) {
    print_first_run();
    const Ran ran = reproduce({"--out", "part"}, 6,
                              {"--data", kId, "--data", kTextures, "--weights", demo_weights(), "--quiet"});
    EXPECT_THAT(ran.out, AllOf(HasSubstr("Missing\n  set shapes: Shapes; draw"),
                               HasSubstr("4 figures within tolerance, 0 out of it; not the whole table")));
    const json figures = result("part")["rows"][0]["figures"];
    EXPECT_TRUE(figures["Average"]["auroc"]["ours"].is_null());
    EXPECT_EQ(figures["textures"]["auroc"]["verdict"], "within");
}

TEST_F(Reproduce, OtherImagesThanTheTablesDoNotCount) {
    print_first_run();
    table_["sets"]["textures"]["images"] = 5640;
    put();
    const Ran ran = reproduce({"--out", "other"}, 6);
    EXPECT_THAT(ran.out, HasSubstr("not comparable: textures has 12 images, the table's had 5,640"));
    EXPECT_EQ(result("other")["rows"][0]["figures"]["textures"]["auroc"]["verdict"], "not-comparable");
    EXPECT_EQ(result("other")["rows"][0]["figures"]["shapes"]["auroc"]["verdict"], "within");
    EXPECT_EQ(result("other")["rows"][0]["figures"]["Average"]["auroc"]["verdict"], "not-comparable");
}

TEST_F(Reproduce, OtherWeightsThanThePublishedOnesDoNotCount) {
    print_first_run();
    table_["checkpoints"]["resnet8"]["sha256"] = {"0123456789abcdef"};
    put();
    const Ran ran = reproduce({"--out", "other"}, 6);
    EXPECT_THAT(ran.out, HasSubstr("the published file's begins with 01234567"));
    EXPECT_EQ(result("other")["within"], 0);
}

TEST_F(Reproduce, DrawsAreMeansOverPartsOfTheSets) {
    table_["draws"] = {{"count", 4}, {"images", 6}};
    put();
    const Ran ran = reproduce({"--out", "drawn"});
    EXPECT_THAT(ran.out, AllOf(HasSubstr("spread"), HasSubstr("all images")));
    const json figure = result("drawn")["rows"][0]["figures"]["textures"]["auroc"];
    EXPECT_NEAR(figure["all_images"],
                100 * double(results("drawn/resnet8")["metrics"]["msp"]["textures"]["auroc"]), 1e-9);
    EXPECT_NE(figure["ours"], figure["all_images"]);
    EXPECT_GT(figure["spread"], 0.0);
    reproduce({"--out", "drawn again"});
    EXPECT_EQ(result("drawn")["rows"], result("drawn again")["rows"]) << "draws are seeded";
}

TEST_F(Reproduce, RowsThatFitOnTestOrThatThisVersionCannotRunSayWhy) {
    table_["rows"].push_back(row("KL", "msp"));
    table_["rows"].back()["fit_on_test"] = "templates of test labels";
    table_["rows"].push_back(row("Future", "telepathy"));
    table_["rows"].push_back(row("Wrong", "energy:warmth=3"));
    put();
    const Ran ran = reproduce({"--out", "without"}, 6);
    EXPECT_THAT(ran.out,
                AllOf(HasSubstr("KL (msp; ResNet-8): its protocol learns from the images it scores"),
                      HasSubstr("Future (telepathy; ResNet-8): this version has no method 'telepathy'"),
                      HasSubstr("Wrong (energy:warmth=3; ResNet-8): method 'energy:warmth=3'")));
    EXPECT_TRUE(result("without")["rows"][2]["figures"]["textures"]["auroc"]["ours"].is_null());
    const Ran with = reproduce({"--out", "with", "--allow-fit-on-test"}, 6);
    EXPECT_THAT(with.out, HasSubstr("INVALID, learns from the images it scores: templates of test labels"));
    EXPECT_FALSE(result("with")["rows"][2]["figures"]["textures"]["auroc"]["ours"].is_null());
}

// train/id: other images of the same ten figures.
class ReproduceWithStatistics : public Reproduce {
  protected:
    ReproduceWithStatistics() {
        demo::draw_demo(root_ / "train", {.seed = 4, .id_per_class = 4, .ood = 1});
        table_["statistics"] = {{"train", {{"title", "templates"}, {"fit", "gradscore fit"}}},
                                {"test", {{"title", "invalid templates"}, {"fit", "gradscore fit"}}}};
        table_["rows"].push_back(row("KL", "klm"));
        table_["rows"].back()["statistics"] = "train";
        table_["rows"].push_back(row("KL, as printed", "klm"));
        table_["rows"].back()["statistics"] = "test";
        table_["rows"].back()["fit_on_test"] = "templates of test images";
        put();
    }
    void fit(const std::string& set, const std::string& out, const Words& more = {}) const {
        Words words{"fit", "--weights", demo_weights(), "--id", set, "--methods", "klm", "--out", out};
        words.insert(words.end(), more.begin(), more.end());
        const Ran ran = run(words);
        EXPECT_EQ(ran.code, 0) << ran.err;
    }
};

TEST_F(ReproduceWithStatistics, WithoutThemTheRowIsNotRun) {
    const Ran ran = reproduce({"--out", "out"}, 6);
    EXPECT_THAT(ran.out, AllOf(HasSubstr("KL (klm; ResNet-8): not given: the statistics train"),
                               HasSubstr("statistics train: templates; gradscore fit")));
    EXPECT_EQ(results("out/resnet8")["methods"].size(), 2u);
    EXPECT_THAT(reproduce({"--dry-run"}).out, HasSubstr("give: --stats train=FILE"));
}

TEST_F(ReproduceWithStatistics, ValidRowsShareARunAndInvalidOnesStandApart) {
    fit("train=folder:train/id", "train.safetensors");
    fit("test=folder:images/id", "test.safetensors");
    const Ran valid = reproduce({"--out", "valid", "--stats", "train=train.safetensors"}, 6);
    EXPECT_EQ(results("valid/resnet8")["methods"].size(), 3u) << "one run";
    EXPECT_THAT(valid.out, HasSubstr("KL, as printed (klm; ResNet-8): its protocol learns from"));
    EXPECT_THAT(valid.out, Not(HasSubstr("INVALID")));

    const Ran both = reproduce({"--out", "both", "--stats", "train=train.safetensors", "--stats",
                                "test=test.safetensors", "--allow-fit-on-test"});
    EXPECT_THAT(both.out, HasSubstr("INVALID, learns from the images it scores: templates of test images"));
    EXPECT_EQ(results("both/resnet8-test-fit-on-test")["methods"].size(), 1u);
    EXPECT_EQ(results("both/resnet8")["run"]["invalid_protocol"], json::array());
    EXPECT_NE(results("both/resnet8-test-fit-on-test")["run"]["invalid_protocol"], json::array());
    const json rows = result("both")["rows"];
    EXPECT_EQ(rows[2]["valid"], true);
    EXPECT_EQ(rows[3]["valid"], false);
    EXPECT_NE(rows[2]["figures"]["textures"]["auroc"]["ours"],
              rows[3]["figures"]["textures"]["auroc"]["ours"]);
}

TEST_F(ReproduceWithStatistics, StatisticsOfTestImagesAreNoValidOnes) {
    fit("test=folder:images/id", "test.safetensors");
    const Ran ran = reproduce({"--out", "out", "--stats", "train=test.safetensors"}, 4);
    EXPECT_THAT(ran.err, HasSubstr("was fitted (or searched) on this very image"));
}

TEST_F(ReproduceWithStatistics, OfATrialTheyAreNotComparable) {
    fit("train=folder:train/id", "train.safetensors", {"--limit", "39"});
    for (const size_t r : {0, 2}) table_["rows"][r]["figures"]["textures"] = {50, 50};
    put();
    const Ran ran = reproduce({"--out", "out", "--stats", "train=train.safetensors"}, 7);
    EXPECT_THAT(ran.out, HasSubstr("not comparable: train.safetensors was fitted or searched under --limit"));
    const json rows = result("out")["rows"];
    EXPECT_EQ(rows[0]["not_comparable"], json::array()) << "reads none";
    EXPECT_EQ(rows[2]["not_comparable"].size(), 1u);
}

TEST_F(ReproduceWithStatistics, WrongFilesAreSaidBeforeAnythingRuns) {
    write(root_ / "bad.safetensors", "no statistics");
    EXPECT_THAT(reproduce({"--out", "out", "--stats", "train=bad.safetensors"}, 4).err,
                HasSubstr("bad.safetensors"));
    EXPECT_THAT(reproduce({"--out", "out", "--stats", "bad.safetensors"}, 2).err,
                HasSubstr("--stats bad.safetensors: NAME=FILE needs one of the table's names: test, train"));
    EXPECT_FALSE(fs::exists(root_ / "out"));
}

TEST_F(Reproduce, AnotherMethodMayMakeTheFigureOfASet) {
    table_["rows"].push_back(row("Mixed", "msp"));
    table_["rows"].back()["method_for"] = {{"shapes", "maxlogit"}};
    put();
    reproduce({"--out", "mixed"});
    const json metrics = results("mixed/resnet8")["metrics"], figures = result("mixed")["rows"][2]["figures"];
    EXPECT_NEAR(figures["textures"]["auroc"]["ours"], 100 * double(metrics["msp"]["textures"]["auroc"]),
                1e-9);
    EXPECT_NEAR(figures["shapes"]["auroc"]["ours"], 100 * double(metrics["maxlogit"]["shapes"]["auroc"]),
                1e-9);
}

TEST_F(Reproduce, MethodChoosesRows) {
    const Ran ran = reproduce({"--out", "one", "--method", "gradnorm"});
    EXPECT_THAT(ran.out, AllOf(HasSubstr("GradNorm"), Not(HasSubstr("MSP"))));
    EXPECT_EQ(results("one/resnet8")["methods"].size(), 1u);
}

TEST_F(Reproduce, PreprocessingOfTheTableIsUsed) {
    table_["checkpoints"]["resnet8"]["preprocess"] = {{"resize", "40"}, {"crop", "32"}};
    put();
    reproduce({"--out", "out"});
    EXPECT_THAT(results("out/resnet8")["run"]["preprocess"].get<std::string>(), HasSubstr("short side 40"));
}

TEST_F(Reproduce, ADryRunListsNeedsAndChecksWhatIsGiven) {
    table_["checkpoints"]["resnet8"]["net"] = "res\x1b[2Jnet";
    put();
    EXPECT_THAT(run({"reproduce", "own.json", "--dry-run"}).out,
                AllOf(HasSubstr("(res\\x1b[2Jnet)"), Not(HasSubstr("\x1b"))));
    table_["checkpoints"]["resnet8"]["net"] = "resnet8-cifar";
    put();
    const Ran nothing = run({"reproduce", "own.json", "--dry-run"});
    EXPECT_EQ(nothing.code, 0) << nothing.err;
    EXPECT_THAT(nothing.out,
                AllOf(HasSubstr("[ ] textures: Textures\n      12 images\n      get: draw"),
                      HasSubstr("give: --data textures=folder:t"),
                      HasSubstr("MSP, resnet8 (msp): cannot run: not given: the weights of resnet8, "
                                "the ID set figures, an OOD set (textures, shapes)")));
    EXPECT_THAT(files_below(root_), Not(Contains(HasSubstr("reproduce"))));

    const Ran ready = reproduce({"--dry-run"});
    EXPECT_THAT(ready.out, AllOf(HasSubstr("[x] figures"), HasSubstr("MSP, resnet8 (msp): ready")));

    table_["sets"]["figures"]["images"] = 50000;
    table_["checkpoints"]["resnet8"]["sha256"] = {"0123456789abcdef"};
    put();
    const Ran wrong = reproduce({"--dry-run"}, 6);
    EXPECT_THAT(wrong.out, AllOf(HasSubstr("[!] figures"), HasSubstr("has 30 images, the table's had 50,000"),
                                 HasSubstr("[!] resnet8")));
    const json needs = parse_json(reproduce({"--dry-run", "--json"}, 6).out);
    EXPECT_EQ(needs["sets"]["figures"]["found_images"], 30);
    EXPECT_EQ(needs["sets"]["shapes"]["objection"], "");
    EXPECT_EQ(needs["missing"], json::array());
}

TEST_F(Reproduce, BuiltInTablesAreListed) {
    const Ran ran = run({"reproduce", "--list"});
    EXPECT_EQ(ran.code, 0);
    EXPECT_THAT(ran.out, AllOf(HasSubstr("bit-imagenet\n    ImageNet-1k"), HasSubstr("outlier-exposure\n")));
    EXPECT_GE(parse_json(run({"reproduce", "--list", "--json"}).out).size(), 7u);
}

TEST_F(Reproduce, WrongUseIsOneLine) {
    const auto refused = [&](const Words& words, int code, const std::vector<std::string>& parts) {
        Words whole{"reproduce"};
        whole.insert(whole.end(), words.begin(), words.end());
        expect_refusal(whole, code, parts);
    };
    refused({}, 2, {"needs a table", "--list"});
    refused({"table-5"}, 2, {"table-5", "neither a file nor one of the tables", "bit-imagenet"});
    refused({"own.json"}, 2, {"no row can be run", "the weights of resnet8", "--dry-run"});
    refused({"own.json", "--data", "photos=folder:images/id"}, 2,
            {"photos=folder", "figures, shapes, textures"});
    refused({"own.json", "--data", kId, "--data", kId}, 2, {"'figures' is given twice"});
    refused({"own.json", "--data", "figures=folder:nowhere"}, 4, {"nowhere"});
    refused({"own.json", "--weights", "nowhere.pth"}, 3, {"nowhere.pth"});
    refused({"own.json", "--weights", demo_weights(), "--weights", "resnet8=" + demo_weights()}, 2,
            {"'resnet8' is given twice"});
    refused({"own.json", "--method", "mahalanobis"}, 2, {"no such row", "msp, gradnorm"});
    refused({"own.json", "--limit", "0"}, 2, {"--limit"});
    write(root_ / "full/file", "x");
    refused({"own.json", "--out", "full"}, 2, {"--out full", "not empty", "--force"});
    refused({"demo", "--list"}, 2, {"--list"});
    write(root_ / "bad.json", "{\"schema\": 3}");
    refused({"bad.json"}, 4, {"bad.json: schema is not a text"});
    table_["checkpoints"]["resnet8"]["net"] = "wrn-40-2";
    put();
    refused({"own.json", "--weights", demo_weights()}, 3, {"is a resnet8-cifar", "is a wrn-40-2"});
}

TEST_F(Reproduce, AnOldRunIsMovedAsideByForce) {
    reproduce({"--out", "out"});
    reproduce({"--out", "out"}, 2);
    reproduce({"--out", "out", "--force"});
    EXPECT_TRUE(fs::exists(root_ / "out/resnet8.old1/results.json"));
    EXPECT_TRUE(fs::exists(root_ / "out/resnet8/results.json"));
    for (const char* file : {"out/reproduce.json.old1", "out/reproduce.md.old1", "out/reproduce.json"})
        EXPECT_TRUE(fs::exists(root_ / file)) << file;
}

TEST_F(Reproduce, ImagesThatCannotBeUsedAreExit6) {
    write(root_ / "images/ood-textures/broken.jpg", "no image");
    table_["sets"]["textures"]["images"] = 13;
    put();
    const Ran ran = reproduce({"--out", "out"}, 6);
    EXPECT_THAT(ran.err, HasSubstr("1 image could not be used"));
}

TEST_F(Reproduce, GoesOnWithUnfinishedRunsAndUsesFinishedOnes) {
    GS_SKIP_WITHOUT_FAULTS();
    print_first_run();
    const Words words{"--out", "again", "--batch", "4"};
    reproduce({"--out", "whole", "--batch", "4"});
    Words stop{"reproduce", "own.json"};
    for (const Words& more : {all(), words}) stop.insert(stop.end(), more.begin(), more.end());
    const Ran stopped = run(stop, with_fault({{"CALL", "write"}, {"NTH", "5"}, {"PATH", "/journal"}}));
    EXPECT_EQ(stopped.code, 1) << stopped.err;
    expect_refusal(stop, 2, {"--out again: not empty", "--resume", "--force"});
    reproduce({"--out", "again", "--batch", "4", "--resume"});
    EXPECT_EQ(result("again")["rows"], result("whole")["rows"]);
    EXPECT_THAT(reproduce({"--out", "again", "--batch", "4", "--resume"}).err, HasSubstr("is finished"));
    EXPECT_EQ(result("again")["rows"], result("whole")["rows"]);
}

}  // namespace
}  // namespace gs::test
