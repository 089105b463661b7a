// The commands around score: help, lists, plan, bench, metrics.
#include <nlohmann/json.hpp>
#include <regex>

#include "scores/score.h"
#include "tests/tools/demo_images.h"

namespace gs::test {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

using nlohmann::json;

class Commands : public GradscoreTest {
  protected:
    Ran ok(const Words& words) {
        Ran ran = run(words);
        EXPECT_EQ(ran.code, 0) << ran.err;
        return ran;
    }
    json object(const Words& words) { return parse_json(ok(words).out); }
};

TEST_F(Commands, Version) {
    const Ran ran = ok({"--version"});
    EXPECT_THAT(ran.out, MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+\n"));
    EXPECT_EQ(ran.err, "");
}

// What GNU's OpenMP shows of its settings as it is loaded, for each time that it is.
std::vector<std::string> spins_of(const Words& settings, const Words& words) {
    Words all{"env", "-u", "OMP_WAIT_POLICY", "-u", "GOMP_SPINCOUNT", "OMP_DISPLAY_ENV=verbose"};
    all.insert(all.end(), settings.begin(), settings.end());
    all.push_back(GS_COMMAND);
    all.insert(all.end(), words.begin(), words.end());
    const Ran ran = run_command(all);
    EXPECT_EQ(ran.code, 0) << ran.err;
    static const std::regex setting("GOMP_SPINCOUNT = '(.*)'");
    std::vector<std::string> spins;
    std::smatch found;
    for (const std::string& line : ran.error_lines())
        if (std::regex_search(line, found, setting)) spins.push_back(found[1]);
    return spins;
}

TEST_F(Commands, ThreadsOfAComputationSpinShortlyUnlessToldOtherwise) {
    const Words compute{"bench", "--net", "resnet20-cifar", "--images", "1", "--device", "cpu"};
    const std::vector<std::string> spins = spins_of({}, compute);
    if (spins.empty()) GTEST_SKIP() << "not GNU's OpenMP";
    EXPECT_EQ(spins.back(), "4000");
    EXPECT_THAT(spins, testing::SizeIs(2));
    EXPECT_THAT(spins_of({"OMP_WAIT_POLICY=passive"}, compute), ElementsAre("0"));
    EXPECT_THAT(spins_of({"GOMP_SPINCOUNT=77"}, compute), ElementsAre("77"));
    EXPECT_THAT(spins_of({}, {"--list-methods"}), testing::SizeIs(1));
}

TEST_F(Commands, HelpNamesEveryCommandAndEveryFlag) {
    const std::string help = ok({"--help"}).out;
    for (const char* command : {"score", "fit", "search", "merge", "metrics", "threshold", "inspect",
                                "convert", "plan", "bench", "devices"}) {
        EXPECT_THAT(help, HasSubstr(command));
        EXPECT_THAT(ok({command, "--help"}).out, HasSubstr(std::string("gradscore ") + command));
    }
    const std::string score = ok({"score", "--help"}).out;
    for (const char* flag : {"--weights",    "--net",           "--arch",
                             "--device",     "--precision",     "--threads",
                             "--batch",      "--no-fuse",       "--allow-nonfinite",
                             "--id",         "--ood",           "--methods",
                             "--out",        "--save",          "--reuse",
                             "--resize",     "--crop",          "--mean",
                             "--std",        "--limit",         "--seed",
                             "--max-pixels", "--deterministic", "--strict",
                             "--force",      "--json",          "--quiet",
                             "--shard",      "--threshold",     "--image",
                             "--resume"})
        EXPECT_THAT(score, HasSubstr(flag));
    for (const char* kind :
         {"folder", "list", "cifar10", "cifar100", "svhn", "tiny-images", "npy", "synthetic"})
        EXPECT_THAT(score, HasSubstr(kind));
    EXPECT_THAT(score, HasSubstr("msp,maxlogit,energy,gradnorm")) << "the default";
    EXPECT_THAT(help, HasSubstr("--config"));
}

TEST_F(Commands, NothingAndNonsense) {
    EXPECT_EQ(run({}).code, 2);
    expect_refusal({"scroe"}, 2, {"no command 'scroe'; there are score, track, fit", "gradscore --help"});
    expect_refusal({"--weights", "x"}, 2, {"gradscore --help"});
    expect_refusal({"metrics"}, 2, {"run is required", "gradscore metrics --help"});
    expect_refusal({"inspect"}, 2, {"file is required"});
    expect_refusal({"convert", "a"}, 2, {"out is required"});
    expect_refusal({"inspect", "a", "b"}, 2, {"b"});
    expect_refusal({"--json"}, 2, {"--list-methods"});
    write(root_ / "f.toml", "[score]\nlimit = 3\n");
    expect_refusal({"--config", "f.toml", "devices"}, 2, {"--config: only gradscore score takes"});
    expect_refusal({"--config", "f.toml"}, 2, {"--config: only gradscore score takes"});
    expect_refusal({"score", "--config", "/dev/zero"}, 2, {"--config: /dev/zero: not a regular file"});
    ASSERT_EQ(mkfifo((root_ / "pipe").c_str(), 0600), 0);
    expect_refusal({"score", "--config", "pipe"}, 2, {"--config: pipe: not a regular file"});
    expect_refusal({"score", "--config", "nowhere.toml"}, 2, {"nowhere.toml"});
    write(root_ / "long.toml", "# " + std::string(1 << 20, 'x'));
    expect_refusal({"score", "--config", "long.toml"}, 2, {"--config: more than 1048576 bytes"});
    options_.environment.emplace_back("GRADSCORE_ISA", "sse9");
    expect_refusal({"plan", "--net", "resnet20-cifar"}, 2,
                   {"GRADSCORE_ISA=sse9: baseline, avx2 or avx512, where this machine has them"});
}

// Flags that are given once a value leave alone what stands behind them, and words in brackets are words.
TEST_F(Commands, ListsOfWordsAreWhatWasTyped) {
    expect_refusal({"reproduce", "--weights", demo_weights(), "nowhere.json"}, 2, {"nowhere.json"});
    const Words net{"--weights", demo_weights()};
    const auto score = [&](const Words& more) {
        Words words{"score", "--weights", demo_weights(), "--out", "run"};
        words.insert(words.end(), more.begin(), more.end());
        return words;
    };
    expect_refusal(score({"--id", "a=synthetic:2", "--ood", "b=synthetic:2", "c=synthetic:2"}), 2,
                   {"not expected", "c=synthetic:2"});
    expect_refusal(score({"--id", "a=synthetic:2", "--ood", "[b=synthetic:2]"}), 2, {"'2]' is no number"});
    expect_refusal({"report", "[r1]"}, 2, {"runs: a word in brackets", "./[NAME]"});
    expect_refusal({"report", "./[r1]"}, 4, {"./[r1]: no run folder"});
    expect_refusal({"merge", "out", "[a,b]"}, 2, {"in: a word in brackets"});
    expect_refusal({"score", "--weights", demo_weights(), "--threshold", "t.json", "--image", "[a].png]"}, 2,
                   {"--image: a word in brackets"});
}

TEST_F(Commands, SeedsAreNotBelowZero) {
    expect_refusal({"bench", "--net", "resnet20-cifar", "--seed", "-1"}, 2, {"--seed: must be 0 or more"});
    expect_refusal(
        {"score", "--weights", demo_weights(), "--id", "a=synthetic:2", "--out", "run", "--seed=-1"}, 2,
        {"--seed: must be 0 or more"});
}

TEST_F(Commands, ListMethodsIsWhatThereIs) {
    const std::string text = ok({"--list-methods"}).out;
    const json list = object({"--list-methods", "--json"});
    ASSERT_EQ(list.size(), method_descriptions().size());
    for (size_t i = 0; i < list.size(); ++i) {
        const MethodDescription& method = method_descriptions()[i];
        EXPECT_EQ(list[i]["name"], method.name);
        EXPECT_THAT(text, AllOf(HasSubstr("\n" + method.name + "  "), HasSubstr(method.source)));
        for (const auto& [option, meaning] : method.options) EXPECT_THAT(text, HasSubstr(option + " = "));
    }
}

TEST_F(Commands, Devices) {
    EXPECT_THAT(ok({"devices"}).out, AllOf(HasSubstr("cpu "), HasSubstr("cuda ")));
    const json devices = object({"devices", "--json"});
    EXPECT_TRUE(devices["cpu"].is_string());
    EXPECT_TRUE(devices["cuda"]["devices"].is_array());
}

TEST_F(Commands, PlanShowsThePassesThatMethodsNeed) {
    const Words plan{"plan", "--net", "resnet20-cifar", "--methods"};
    const auto with = [&](const std::string& methods, const Words& flags = {}) {
        Words words = plan;
        words.push_back(methods);
        words.insert(words.end(), flags.begin(), flags.end());
        return words;
    };
    EXPECT_THAT(ok(with("msp,gradnorm")).out,
                AllOf(HasSubstr("resnet20-cifar at 32x32"), HasSubstr("backward    none"), HasSubstr("MiB")));
    const json cheap = object(with("msp,energy,gradnorm", {"--json"}));
    EXPECT_TRUE(cheap["backwards"].empty()) << "all closed forms of one forward pass";
    EXPECT_EQ(cheap["flops_backward"], 0);
    const double forward = cheap["flops_forward"];
    EXPECT_NEAR(forward, 2 * 40.8e6, 3e6) << "He et al.: 40.8 million multiply-adds";
    const json odin = object(with("msp,odin:epsilon=0.0014", {"--json"}));
    ASSERT_EQ(odin["backwards"].size(), 1u);
    EXPECT_NEAR(odin["flops_second"].get<double>(), forward, 0.02 * forward);
    EXPECT_NEAR(odin["flops_backward"].get<double>(), forward, 0.05 * forward);
    EXPECT_THAT(ok(with("odin:epsilon=0.0014", {"--steps"})).out, HasSubstr("second"));
    EXPECT_GT(object(with("msp", {"--no-fuse", "--json"}))["steps"],
              object(with("msp", {"--json"}))["steps"]);
    EXPECT_EQ(object(with("msp", {"--size", "64", "--json"}))["flops_forward"].get<double>() > 3.9 * forward,
              true);
    EXPECT_EQ(object({"plan", "--weights", demo_weights(), "--json"})["net"], "resnet8-cifar");
    expect_refusal({"plan"}, 2, {"--net NAME or --weights FILE"});
    expect_refusal(with("magic"), 2, {"no method 'magic'"});
    expect_refusal({"plan", "--net", "resnet-cifar"}, 2, {"no such net"});
    expect_refusal(with("msp", {"--arch", "none.json"}), 2, {"--arch requires --weights"});
}

TEST_F(Commands, BenchServesOneMeasurementForEveryRun) {
    const Ran ran = run_command(
        {"bash", "-c", "printf 'run\\nrun\\n' | \"$0\" bench --net resnet20-cifar --images 10 --serve",
         GS_COMMAND},
        options_);
    EXPECT_EQ(ran.code, 0) << ran.err;
    std::istringstream lines(ran.out);
    std::vector<json> objects;
    for (std::string line; std::getline(lines, line);) objects.push_back(parse_json(line));
    ASSERT_EQ(objects.size(), 3u) << ran.out;
    EXPECT_EQ(objects[0]["net"], "resnet20-cifar");
    EXPECT_FALSE(objects[0].contains("images_per_s"));
    for (size_t i : {1, 2}) EXPECT_GT(objects[i]["images_per_s"], 1);
    expect_refusal({"bench", "--net", "resnet20-cifar", "--serve", "--json"}, 2, {"--json excludes --serve"});
}

TEST_F(Commands, BenchPrintsOneObject) {
    EXPECT_EQ(object({"bench", "--net", "resnet20-cifar", "--images", "8", "--methods",
                      "klm,klm:templates=id-test,klm:by=predicted,mos:groups=4+4", "--json"})["methods"],
              "klm,klm:templates=id-test,klm:by=predicted,mos:groups=4+4")
        << "fitted on random images";
    const json bench = object({"bench", "--net", "resnet20-cifar", "--batch", "4", "--images", "8",
                               "--methods", "gradnorm", "--json"});
    EXPECT_EQ(bench["net"], "resnet20-cifar");
    EXPECT_EQ(bench["batch"], 4);
    EXPECT_EQ(bench["images"], 8);
    EXPECT_EQ(bench["methods"], "gradnorm");
    EXPECT_GT(bench["images_per_s"], 1);
    EXPECT_GT(bench["peak_MiB"], 5);
    EXPECT_LE(bench["images_per_s_min"], bench["images_per_s_max"]);
    const Ran ran = ok({"bench", "--weights", demo_weights(), "--images", "4", "--size", "40", "--methods",
                        "msp,odin:epsilon=0.001"});
    EXPECT_THAT(ran.out, AllOf(HasSubstr("resnet8-cifar at 40x40"), HasSubstr("images/s"),
                               ContainsRegex("\npeak        [0-9]+ MiB\n"), Not(HasSubstr("e+"))));
    expect_refusal({"bench"}, 2, {"--net NAME or --weights FILE"});
    expect_refusal({"bench", "--net", "resnet20-cifar", "--images", "0"}, 2, {"--images"});
    expect_refusal({"bench", "--weights", "none.pth"}, 3, {"none.pth"});
    expect_refusal({"bench", "--weights", demo_weights(), "--classes", "7"}, 2,
                   {"--weights excludes --classes"});
}

class Metrics : public DemoImages {};

TEST_F(Metrics, AreRecomputedFromTheScores) {
    score({"--id", kId, "--ood", kTextures, "--ood", kShapes, "--methods", kMethods, "--out", "run",
           "--quiet"});
    const json stored = results("run");
    Ran ran = run({"metrics", "run", "--json"});
    EXPECT_EQ(parse_json(ran.out), stored);
    EXPECT_EQ(ran.err, "");

    // Scores are read, not the old metrics: with a set's scores changed, only its figures change.
    std::string text = csv("run", "shapes");
    const size_t cell = text.rfind(',') + 1;
    text.replace(cell, text.size() - cell - 1, "inf");
    write(root_ / "run/scores/shapes.csv", text);
    const json changed = parse_json(run({"metrics", "run", "--json"}).out);
    EXPECT_EQ(changed["metrics"]["msp"], stored["metrics"]["msp"]);
    EXPECT_EQ(changed["metrics"]["gradnorm"]["textures"], stored["metrics"]["gradnorm"]["textures"]);
    EXPECT_LT(changed["metrics"]["gradnorm"]["shapes"]["auroc"],
              stored["metrics"]["gradnorm"]["shapes"]["auroc"]);
    EXPECT_EQ(results("run"), stored) << "metrics writes nothing";

    const Ran table = run({"metrics", "run"});
    EXPECT_THAT(table.out, AllOf(HasSubstr("gradnorm"), HasSubstr("AUROC")));
}

TEST_F(Metrics, FaultsOfARunAreNamed) {
    expect_refusal({"metrics", "nowhere"}, 4, {"nowhere: no run folder", "gradscore score makes one"});
    score({"--id", kId, "--ood", kShapes, "--methods", "msp,energy", "--out", "run", "--quiet"});
    const std::string good = csv("run", "shapes");
    const fs::path path = root_ / "run/scores/shapes.csv";
    write(path, good.substr(0, good.size() / 2 + 3));
    expect_refusal({"metrics", "run"}, 4, {"shapes.csv:"});
    write(path, "index,path,label,prediction,reason,msp\n0,a,,1,,0.5\n");
    expect_refusal({"metrics", "run"}, 4, {"shapes.csv", "columns"});
    write(path, good.substr(0, good.rfind('\n', good.size() - 2) + 1));
    for (const Words& words :
         {Words{"metrics", "run"}, {"threshold", "run", "--method", "msp", "--out", "t.json"}})
        expect_refusal(words, 4, {"shapes.csv: has the scores of 11 images, results.json says 12"});
    fs::remove(path);
    expect_refusal({"metrics", "run"}, 4, {"shapes.csv", "No such file"});
    write(root_ / "run/results.json", "{}");
    expect_refusal({"metrics", "run"}, 4, {"results.json"});
}

}  // namespace
}  // namespace gs::test
