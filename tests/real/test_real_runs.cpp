// The real nets on the real images beside the project, by the command: accuracy, metrics, logits and scores
// against float64 PyTorch (../shared/golden/real).
#include <nlohmann/json.hpp>

#include "tests/support/expect_close.h"
#include "tests/support/golden_file.h"
#include "tests/support/gradscore.h"
#include "tests/support/shared_dir.h"

namespace gs::test {
namespace {

using nlohmann::json;

struct RealRun {
    std::string net, weights, id_name, id;
    std::vector<std::string> ood;  // dtd, tiny-imagenet-32
    friend void PrintTo(const RealRun& run, std::ostream* out) { *out << run.net; }
};

class RealRuns : public GradscoreTest, public testing::WithParamInterface<RealRun> {
  protected:
    static constexpr const char* kMethods =
        "msp,maxlogit,energy,gradnorm,odin:temperature=1000:epsilon=0.0014";
    static inline const std::vector<std::string> kKeys{"msp", "maxlogit", "energy", "gradnorm", "odin"};

    fs::path data() const { return *shared_dir() / "data"; }

    // The first 500 of the archive's sorted names, as files.
    void unpack_tiny_imagenet() const {
        const Ran ran = run_command({"sh", "-c",
                                     "tar tzf \"$1\" | grep -v '/$' | LC_ALL=C sort | head -n 500 > names && "
                                     "mkdir tiny && tar xzf \"$1\" -C tiny -T names",
                                     "sh", (data() / "tiny-imagenet-32-val.tar.gz").string()},
                                    options_);
        ASSERT_EQ(ran.code, 0) << ran.err;
    }

    void expect_metrics(const json& got, const json& want, const std::string& ood) const {
        for (size_t m = 0; m < kKeys.size(); ++m) {
            SCOPED_TRACE(kKeys[m] + " on " + ood);
            const json& mine = got["metrics"][got["methods"][m]["name"].get<std::string>()][ood];
            const json& oracle = want["ood"][ood][kKeys[m]];
            const double images = oracle["n_ood"];
            EXPECT_EQ(mine["id_count"], oracle["n_id"]);
            EXPECT_EQ(mine["ood_count"], oracle["n_ood"]);
            for (const char* figure : {"auroc", "aupr_in", "aupr_out"})
                EXPECT_NEAR(mine[figure].get<double>(), oracle[figure].get<double>(), 5e-4) << figure;
            // One image may change sides where two scores agree to float32's rounding.
            for (const char* figure : {"fpr95_closest", "fpr95_first", "fpr95_threshold"})
                EXPECT_NEAR(mine[figure].get<double>(), oracle[figure].get<double>(), 1.01 / images)
                    << figure;
            EXPECT_NEAR(mine["fpr95_ood_positive"].get<double>(), oracle["fpr95_ood_positive"].get<double>(),
                        1.01 / oracle["n_id"].get<double>());
        }
    }

    void expect_scores(const std::string& set, const GoldenFile& golden) const {
        const WeightFile arrays = read_weights(root_ / "run/arrays" / (set + ".safetensors"));
        const StoredTensor& logits = *arrays.find("logits");
        expect_close(set + " logits", to_float32(logits), golden.doubles("logits"), 2e-4);
        const auto columns = table("run", set).columns();
        for (size_t m = 0; m < kKeys.size(); ++m) {
            std::vector<double> want = golden.doubles(kKeys[m]);
            std::vector<float> got(columns[m].begin(), columns[m].end());
            // ODIN lies within 1e-2 of 1/C; what counts is the rest, which sign flips of tiny gradients move.
            if (kKeys[m] == "odin") {
                const double uniform = 1.0 / static_cast<double>(logits.shape[1]);
                for (double& v : want) v -= uniform;
                for (size_t i = 0; i < got.size(); ++i) got[i] = static_cast<float>(columns[m][i] - uniform);
            }
            expect_close(set + " " + kKeys[m], got, want, kKeys[m] == "odin" ? 2e-2 : 2e-4);
        }
    }
};

TEST_P(RealRuns, AgreeWithTheOracle) {
    GS_SKIP_WITHOUT_SHARED();
    const RealRun& param = GetParam();
    Words words{"--weights", (data() / "weights" / param.weights).string(),
                "--methods", kMethods,
                "--save",    "logits",
                "--out",     "run",
                "--quiet",   "--id",
                param.id};
    words.back().insert(param.id.find(':') + 1, (data() / "").string());
    for (const std::string& ood : param.ood) {
        if (ood == "tiny-imagenet-32") unpack_tiny_imagenet();
        words.insert(words.end(), {"--ood", ood == "dtd" ? "dtd=folder:" + (data() / "dtd").string()
                                                         : ood + "=folder:tiny"});
    }
    score(words);
    const json got = results("run");
    const json want = read_json(*shared_dir() / "golden/real/metrics.json")[param.net];
    EXPECT_DOUBLE_EQ(got["sets"][0]["accuracy"].get<double>(), want["accuracy"].get<double>());
    std::vector<std::string> sets = param.ood;
    for (const std::string& ood : param.ood) expect_metrics(got, want, ood);
    sets.push_back(param.id_name);
    for (const std::string& set : sets)
        expect_scores(set,
                      GoldenFile(*shared_dir() / "golden/real" / (param.net + "__" + set + ".safetensors")));
}

INSTANTIATE_TEST_SUITE_P(All, RealRuns,
                         testing::Values(RealRun{"mobilenet_v2",
                                                 "imagenet_mobilenet_v2.pth",
                                                 "imagenet-sample",
                                                 "imagenet-sample=list:imagenet-sample.txt",
                                                 {"dtd"}},
                                         RealRun{"cifar10_resnet20",
                                                 "cifar10_resnet20-12fca82f.th",
                                                 "cifar10-490",
                                                 "cifar10-490=cifar10:cifar10_test_490.bin",
                                                 {"dtd", "tiny-imagenet-32"}},
                                         RealRun{"cifar10_resnet56",
                                                 "cifar10_resnet56-4bfd9763.th",
                                                 "cifar10-490",
                                                 "cifar10-490=cifar10:cifar10_test_490.bin",
                                                 {"dtd", "tiny-imagenet-32"}}),
                         [](const auto& param) { return param.param.net; });

}  // namespace
}  // namespace gs::test
