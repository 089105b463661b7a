// NAC through the command: fitted, scored, merged from shards, and its constants searched for.
#include <nlohmann/json.hpp>

#include "tests/tools/demo_images.h"

namespace gs::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

using nlohmann::json;

// Beside the images of the report: fit/ and validation/, drawn from other seeds.
class Nac : public DemoImages {
  protected:
    Nac() {
        demo::draw_demo(root_ / "fit", {.seed = 11, .id_per_class = 4, .ood = 1});
        demo::draw_demo(root_ / "validation", {.seed = 12, .id_per_class = 3, .ood = 12});
    }

    Ran fit(const std::string& methods, const std::string& out, const Words& more = {}, int code = 0) const {
        Words words{"fit",       "--weights", demo_weights(), "--id", "train=folder:fit/id",
                    "--methods", methods,     "--out",        out,    "--quiet"};
        words.insert(words.end(), more.begin(), more.end());
        Ran ran = run(words);
        EXPECT_EQ(ran.code, code) << ran.err;
        return ran;
    }

    std::vector<double> column(const std::string& run, const std::string& set) const {
        std::vector<double> scores;
        for (const ScoreRow& row : table(run, set).rows) scores.push_back(row.scores.at(0));
        return scores;
    }

    Words search(const Words& more) const {
        Words words{"search",        "--weights", demo_weights(), "--stats",
                    "s.safetensors", "--id",      kValidation,    "--quiet"};
        words.insert(words.end(), more.begin(), more.end());
        return words;
    }

    int runs_ = 0;
    static inline const std::string kValidation = "figures=folder:validation/id";
    static inline const std::string kValidationTextures = "textures=folder:validation/ood-textures";
    static inline const std::string kValidationShapes = "shapes=folder:validation/ood-shapes";
};

TEST_F(Nac, IsFittedAndScored) {
    fit("nac", "s.safetensors");
    score({"--id", kId, "--ood", kShapes, "--methods", "nac", "--stats", "s.safetensors", "--out", "run",
           "--quiet"});
    double largest = 0;
    for (const double s : column("run", "figures")) {
        EXPECT_GE(s, 0);
        EXPECT_LE(s, 1);
        largest = std::max(largest, s);
    }
    EXPECT_GT(largest, 0);
    const json options = results("run")["methods"][0]["options"];
    EXPECT_EQ(options["constants"], "extension") << "nothing is published for this net";
    EXPECT_EQ(options["layers"], "avgpool+layer2+layer1");
    EXPECT_EQ(options["images"], "1000");
    EXPECT_GT(results("run")["metrics"]["nac"]["shapes"]["auroc"], 0.5);
    expect_refusal({"score", "--weights", demo_weights(), "--id", "train=folder:fit/id", "--methods", "nac",
                    "--stats", "s.safetensors", "--out", "onfit", "--quiet"},
                   4, {"--allow-fit-on-test"});
    expect_refusal(
        {"score", "--weights", demo_weights(), "--id", kId, "--methods", "nac", "--out", "bare", "--quiet"},
        2, {"gradscore fit"});
}

TEST_F(Nac, ShardsAndHistogramsScoreAsTheWholeFitDoes) {
    const std::string method = "nac:images=20:O=3";
    const auto scored = [&](const std::string& with, const std::string& stats, const std::string& out) {
        score({"--id", kId, "--methods", with, "--stats", stats, "--out", out, "--quiet"});
        return column(out, "figures");
    };
    fit(method, "whole.safetensors");
    const std::vector<double> want = scored(method, "whole.safetensors", "run");
    fit(method, "a.safetensors", {"--shard", "0/3"});
    fit(method, "b.safetensors", {"--shard", "1/3"});
    fit(method, "c.safetensors", {"--shard", "2/3"});
    ASSERT_EQ(run({"merge", "joined.safetensors", "c.safetensors", "a.safetensors", "b.safetensors"}).code,
              0);
    EXPECT_EQ(scored(method, "joined.safetensors", "run2"), want);
    fit(method + ":keep=histogram", "counts.safetensors");
    EXPECT_EQ(scored(method, "counts.safetensors", "run3"), want);
    EXPECT_NE(scored("nac:O=1", "whole.safetensors", "run4"), want);
}

TEST_F(Nac, OfSeveralFitsInAFileTheOneOfItsLayersIsTaken) {
    fit("nac,nac:layers=avgpool,nac:keep=histogram:variant=v1:O=3,nac:keep=histogram:O=3", "s.safetensors");
    const auto scored = [&](const std::string& method, const std::string& stats) {
        const std::string out = std::to_string(runs_++);
        score({"--id", kId, "--methods", method, "--stats", stats, "--out", out, "--quiet"});
        return column(out, "figures");
    };
    for (const std::string method : {"nac:layers=avgpool:keep=states", "nac:keep=histogram:variant=v1:O=3",
                                     "nac:keep=histogram:O=3", "nac:layers=layer2:keep=states"}) {
        const std::string alone = method.starts_with("nac:layers=layer2") ? "nac" : method;
        fit(alone, "alone.safetensors", {"--force"});
        EXPECT_EQ(scored(method, "s.safetensors"), scored(method, "alone.safetensors")) << method;
    }
}

// A score by other statistics is another score.
TEST_F(Nac, AThresholdHoldsForItsStatisticsOnly) {
    fit("nac", "s.safetensors");
    fit("nac", "other.safetensors", {"--limit", "30"});
    score({"--id", kId, "--methods", "nac", "--stats", "s.safetensors", "--out", "run", "--quiet"});
    const json run_facts = results("run");
    EXPECT_EQ(run_facts["methods"][0]["options"]["stats"], "s.safetensors");
    EXPECT_EQ(run_facts["run"]["statistics"].size(), 1u);
    ASSERT_EQ(run({"threshold", "run", "--out", "t.json"}).code, 0);
    const auto judging = [&](const std::string& stats, const std::string& image) {
        return Words{"score",   "--threshold", "t.json",  "--weights", demo_weights(),
                     "--stats", stats,         "--image", image};
    };
    EXPECT_EQ(run(judging("s.safetensors", "images/id/cross/0000.png")).code, 0);
    expect_refusal(judging("other.safetensors", "images/id/cross/0000.png"), 2,
                   {"other.safetensors: not the statistics file of t.json"});
    expect_refusal(judging("s.safetensors", "fit/id/cross/0000.png"), 4, {"--allow-fit-on-test"});
}

TEST_F(Nac, ShardsOfOtherStatisticsAreNotMerged) {
    fit("nac", "s.safetensors");
    fit("nac", "other.safetensors", {"--limit", "30"});
    fs::create_directory(root_ / "elsewhere");
    fs::copy_file(root_ / "s.safetensors", root_ / "elsewhere/same.safetensors");
    const auto shard = [&](const std::string& which, const std::string& stats, const std::string& out) {
        score({"--id", kId, "--methods", "nac", "--stats", stats, "--shard", which, "--out", out, "--quiet"});
    };
    shard("0/2", "s.safetensors", "a");
    shard("1/2", "other.safetensors", "b");
    shard("1/2", "elsewhere/same.safetensors", "c");
    expect_refusal({"merge", "m", "a", "b"}, 2, {"statistics file's SHA-256 of nac"});
    EXPECT_EQ(run({"merge", "m", "a", "c"}).code, 0) << "the same file in another place";
}

TEST_F(Nac, AFitWithoutLabelsSaysWhatToDo) {
    std::string list;
    for (const std::string& file : files_below(root_ / "fit/id")) list += "id/" + file + "\n";
    write(root_ / "fit/plain.txt", list);
    expect_refusal({"fit", "--weights", demo_weights(), "--id", "train=list:fit/plain.txt", "--methods",
                    "nac", "--out", "s.safetensors", "--quiet"},
                   4, {"no label", "images=0"});
    EXPECT_EQ(run({"fit", "--weights", demo_weights(), "--id", "train=list:fit/plain.txt", "--methods",
                   "nac:images=0", "--out", "s.safetensors", "--quiet"})
                  .code,
              0);
    expect_refusal({"fit", "--weights", demo_weights(), "--id", "train=folder:fit/id", "--methods",
                    "nac:images=9", "--out", "t.safetensors", "--quiet"},
                   2, {"images=9", "10 classes"});
}

TEST_F(Nac, SearchFindsConstantsForOtherImages) {
    fit("nac", "s.safetensors");
    const Words sets{"--ood", kValidationTextures, "--ood", kValidationShapes};
    Words words = search(sets);
    const std::string method = "nac:layers=avgpool+layer2:O=1/4+2:M=20/50:alpha=1/30/100+0.01/10";
    words.insert(words.end(), {"--methods", method, "--out", "found.json"});
    const Ran ran = run(words);
    ASSERT_EQ(ran.code, 0) << ran.err;
    ASSERT_THAT(ran.out, StartsWith("--methods nac:variant=v15:layers=avgpool+layer2:O="));
    const std::string ready = ran.out.substr(10, ran.out.find('\n') - 10);

    const json found = read_json(root_ / "found.json");
    EXPECT_EQ(found["schema"], "gradscore/search/1");
    EXPECT_EQ(found["results"][0]["method"], ready);
    EXPECT_EQ(found["results"][0]["combinations"], 2 * 2 * 3 * 1 * 2 * 2);
    EXPECT_EQ(found["sets"].size(), 3u);
    EXPECT_EQ(found["seen"].size(), 54u);

    // The AUROC found is that of the method it names, and no worse than another combination's.
    const auto auroc = [&](const std::string& with, const std::string& out) {
        score({"--id", kValidation, "--ood", kValidationTextures, "--ood", kValidationShapes, "--methods",
               with, "--stats", "s.safetensors", "--out", out, "--quiet"});
        const json metrics = results(out)["metrics"][with];
        return (metrics["textures"]["auroc"].get<double>() + metrics["shapes"]["auroc"].get<double>()) / 2;
    };
    EXPECT_NEAR(auroc(ready, "again"), found["results"][0]["auroc"], 1e-12);
    EXPECT_LE(auroc("nac:layers=avgpool+layer2:O=4+2:M=20:alpha=1+0.01", "other"),
              found["results"][0]["auroc"]);

    // On other images: the same as the printed method. On those of the search: refused.
    score({"--id", kId, "--methods", ready, "--stats", "s.safetensors", "--out", "printed", "--quiet"});
    score({"--id", kId, "--methods", "nac:search=found.json", "--stats", "s.safetensors", "--out", "named",
           "--quiet"});
    EXPECT_EQ(column("named", "figures"), column("printed", "figures"));
    const Words reported{"--id",      kId,
                         "--ood",     kValidationShapes,
                         "--methods", "nac:search=found.json",
                         "--stats",   "s.safetensors",
                         "--quiet"};
    Words refused{"score", "--weights", demo_weights(), "--out", "no"};
    refused.insert(refused.end(), reported.begin(), reported.end());
    expect_refusal(refused, 4, {"found.json", "--allow-fit-on-test"});
    Words allowed = reported;
    allowed.insert(allowed.end(), {"--out", "yes", "--allow-fit-on-test"});
    score(allowed);
    expect_refusal(words, 2, {"found.json: exists", "--force"});

    ASSERT_EQ(run({"threshold", "named", "--out", "t.json"}).code, 0);
    const auto judging = [&](const std::string& image) {
        return Words{"score",   "--threshold",   "t.json",  "--weights", demo_weights(),
                     "--stats", "s.safetensors", "--image", image};
    };
    EXPECT_EQ(run(judging("images/id/cross/0000.png")).code, 0) << "the options come from found.json again";
    expect_refusal(judging("validation/id/cross/0000.png"), 4, {"found.json", "--allow-fit-on-test"});
}

TEST_F(Nac, SearchTriesThePublishedGridByItself) {
    fit("nac", "s.safetensors");
    Words words = search({"--ood", kValidationShapes, "--limit", "6", "--json"});
    const Ran ran = run(words);
    ASSERT_EQ(ran.code, 0) << ran.err;
    // CIFAR-10's grids of avgpool, layer3 and layer2: 2, 4 and 2 combinations.
    EXPECT_EQ(parse_json(ran.out)["results"][0]["combinations"], 2 * 4 * 2);
    EXPECT_EQ(parse_json(ran.out)["limit"], 6);
}

TEST_F(Nac, ALimitOfTheSearchOrOfItsFitStaysWithWhatWasFound) {
    fit("nac:layers=avgpool", "s.safetensors");
    fit("nac:layers=avgpool", "few.safetensors", {"--limit", "20"});
    const Words sets{"--ood", kValidationShapes, "--methods", "nac:layers=avgpool:O=1/4:M=20:alpha=1"};
    const auto limit_of = [&](const std::string& out, const Words& more) {
        Words words = search(sets);
        words.insert(words.end(), {"--out", out});
        words.insert(words.end(), more.begin(), more.end());
        if (more.empty())
            std::replace(words.begin(), words.end(), std::string("s.safetensors"),
                         std::string("few.safetensors"));
        EXPECT_EQ(run(words).code, 0);
        return read_json(root_ / out)["limit"];
    };
    EXPECT_EQ(limit_of("whole.json", {"--strict"}), nullptr);
    EXPECT_EQ(limit_of("a.json", {"--limit", "15"}), 15);
    EXPECT_EQ(limit_of("b.json", {}), 20) << "of few.safetensors";
    score({"--id", kId, "--methods", "nac:layers=avgpool", "--stats", "few.safetensors", "--out", "few",
           "--quiet"});
    EXPECT_EQ(results("few")["run"]["limited_fits"], (json{{"few.safetensors", 20}}));
    for (const std::string name : {"whole", "a", "b"}) {
        const std::string file = name + ".json";
        score({"--id", kId, "--methods", "nac:search=" + file, "--stats", "s.safetensors", "--out", name,
               "--quiet"});
        EXPECT_EQ(results(name)["comparable"], name == "whole");
        EXPECT_EQ(results(name)["run"]["limited_fits"].contains(file), name != "whole");
    }
}

TEST_F(Nac, SearchRefusesWhatProvesNothing) {
    fit("nac:keep=histogram", "counts.safetensors");
    fit("nac:layers=avgpool", "s.safetensors");
    expect_refusal(
        {"search", "--weights", demo_weights(), "--stats", "s.safetensors", "--id", "train=folder:fit/id",
         "--ood", kValidationShapes, "--quiet", "--methods", "nac:layers=avgpool"},
        4, {"train", "fitted", "--allow-fit-on-test"});
    const auto refusal = [&](const Words& more, int code, const std::vector<std::string>& parts) {
        expect_refusal(search(more), code, parts);
    };
    refusal({}, 2, {"--ood"});
    refusal({"--ood", kValidationShapes, "--methods", "msp"}, 2, {"'msp'", "nac"});
    refusal({"--ood", kValidationShapes, "--methods", "nac:O=x"}, 2, {"O=x is not a number"});
    refusal({"--ood", kValidationShapes, "--methods", "nac:O=1+2"}, 2, {"2 layers, not for 3"});
    refusal({"--ood", kValidationShapes, "--limit", "2"}, 2, {"the layers avgpool", "layer2"});
    expect_refusal({"search", "--weights", demo_weights(), "--stats", "counts.safetensors", "--id",
                    kValidation, "--ood", kValidationShapes, "--limit", "2", "--quiet"},
                   2, {"keep=states"});
    expect_refusal({"search", "--weights", demo_weights(), "--stats", "none.safetensors", "--id", kValidation,
                    "--ood", kValidationShapes, "--quiet"},
                   4, {"none"});
}

TEST_F(Nac, SearchFilesOfOthersAreRefused) {
    fit("nac", "s.safetensors");
    const auto refusal = [&](const std::string& text, int code, const std::vector<std::string>& parts,
                             const std::string& method = "nac:search=f.json") {
        write(root_ / "f.json", text);
        expect_refusal({"score", "--weights", demo_weights(), "--id", kId, "--methods", method, "--stats",
                        "s.safetensors", "--out", "run", "--quiet"},
                       code, parts);
    };
    refusal("{", 4, {"f.json"});
    refusal("{}", 4, {"f.json", "schema"});
    refusal(
        R"({"schema":"gradscore/search/1","net":"n","weights_sha256":"0","preprocess":"","results":[],"seen":["0"]})",
        4, {"f.json", "seen[0]"});
    refusal(
        R"({"schema":"gradscore/search/1","net":"n","weights_sha256":"0","preprocess":"","results":[],"seen":[]})",
        2, {"f.json", "other weights"});
    fs::remove(root_ / "f.json");
    expect_refusal({"score", "--weights", demo_weights(), "--id", kId, "--methods", "nac:search=g.json",
                    "--stats", "s.safetensors", "--out", "run", "--quiet"},
                   4, {"g.json"});
}

TEST_F(Nac, PlanAndBenchNeedNoStatistics) {
    const auto object = [&](const Words& words) {
        const Ran ran = run(words);
        EXPECT_EQ(ran.code, 0) << ran.err;
        return parse_json(ran.out);
    };
    EXPECT_TRUE(
        object({"plan", "--net", "resnet20-cifar", "--methods", "nac:layers=avgpool", "--json"})["backwards"]
            .empty())
        << "a closed form";
    const json plan = object({"plan", "--net", "resnet20-cifar", "--methods", "nac", "--json"});
    EXPECT_EQ(plan["backwards"][0]["deepest"], "layer1");
    const json bench =
        object({"bench", "--net", "resnet20-cifar", "--images", "4", "--methods", "nac", "--json"});
    EXPECT_GT(bench["images_per_s"], 1);
    EXPECT_GT(bench["scores_us_per_image"], 0);
}

}  // namespace
}  // namespace gs::test
