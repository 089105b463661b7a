// gradscore track: a column a layer, norms as arrays with names, and other choices of candidates from them.
#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/tools/demo_images.h"
#include "weights/weight_file.h"

namespace gs::test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::EndsWith;
using testing::HasSubstr;

class Track : public DemoImages {
  protected:
    Ran track(const Words& flags, int code = 0) {
        Words words{"track", "--weights", demo_weights(), "--id", kId, "--ood", kShapes, "--quiet"};
        words.insert(words.end(), flags.begin(), flags.end());
        Ran ran = run(words);
        EXPECT_EQ(ran.code, code) << ran.err;
        return ran;
    }
};

TEST_F(Track, NormsOfEveryLayerAndCandidate) {
    const Ran ran = track({"--out", "t"});
    EXPECT_THAT(ran.out,
                AllOf(HasSubstr("track:score=min:layers=conv1"), HasSubstr("track:score=min:layers=all")));
    const WeightFile file = read_weights(root_ / "t/arrays/figures.safetensors");
    const std::string name = "norms/p2/cross entropy, T 1";
    const StoredTensor* norms = file.find(name);
    ASSERT_NE(norms, nullptr);
    ASSERT_EQ(norms->type, StoredType::F64);
    const auto described = parse_json(file.metadata.at(name));
    const size_t layers = described["parameters"].size(), classes = described["classes"].size();
    EXPECT_EQ(described["parameters"].front(), "conv1.weight");
    EXPECT_EQ(described["parameters"].back(), "linear.weight");
    EXPECT_EQ(norms->shape,
              (std::vector<int64_t>{30, static_cast<int64_t>(layers), static_cast<int64_t>(classes)}));

    // Each column is minus the smallest norm of its layer, the last one their sum.
    const auto* values = reinterpret_cast<const double*>(norms->storage.data());
    const ScoreTable table = this->table("t", "figures");
    ASSERT_EQ(table.methods.size(), layers + 1);
    for (size_t n = 0; n < table.rows.size(); ++n) {
        double sum = 0;
        for (size_t l = 0; l < layers; ++l) {
            const double* row = values + (n * layers + l) * classes;
            const double least = *std::min_element(row, row + classes);
            // The last layer's column is a closed form in float64, its array float32 sums.
            EXPECT_NEAR(table.rows[n].scores[l], -least, 1e-5 * least) << l;
            sum += least;
        }
        EXPECT_NEAR(table.rows[n].scores[layers], -sum, 1e-5 * sum);
    }
}

// A column for each module that has such parameters, norms and the last layer's bias among them; the arrays
// name them all.
TEST_F(Track, OtherParametersAreLayersToo) {
    track({"--out", "t", "--params", "all", "--score", "pred"});
    const ScoreTable table = this->table("t", "figures");
    EXPECT_THAT(table.methods, AllOf(Contains("track:params=all:score=pred:layers=bn1"),
                                     Contains("track:params=all:score=pred:layers=layer1.0.bn2"),
                                     Contains("track:params=all:score=pred:layers=linear")));
    EXPECT_EQ(table.methods.back(), "track:params=all:score=pred:layers=all");
    for (const ScoreRow& row : table.rows) {
        double sum = 0;
        for (size_t l = 0; l + 1 < row.scores.size(); ++l) {
            EXPECT_LT(row.scores[l], 0) << table.methods[l];
            sum += row.scores[l];
        }
        EXPECT_NEAR(row.scores.back(), sum, 1e-12 * std::abs(sum));
    }
    const WeightFile file = read_weights(root_ / "t/arrays/figures.safetensors");
    const std::vector<std::string> parameters =
        parse_json(file.metadata.at("norms/p2/cross entropy to the prediction, T 1"))["parameters"];
    EXPECT_THAT(parameters, AllOf(Contains("conv1.weight"), Contains("bn1.bias"), Contains("linear.bias")));
}

TEST_F(Track, OtherCandidatesComeFromTheArrays) {
    track({"--out", "t"});
    score({"--id", kId, "--ood", kShapes, "--reuse", "t", "--out", "mean", "--methods", "track:score=mean",
           "--quiet"});
    EXPECT_EQ(results("mean")["run"]["images_per_second"], 0) << "the net was not run";
    track({"--out", "anew", "--score", "mean", "--layers", "all"});
    const ScoreTable stored = table("mean", "shapes"), anew = table("anew", "shapes");
    for (size_t n = 0; n < stored.rows.size(); ++n)
        EXPECT_NEAR(stored.rows[n].scores[0], anew.rows[n].scores[0],
                    1e-12 * std::abs(anew.rows[n].scores[0]));
    // What is not there needs the net.
    score({"--id", kId, "--reuse", "t", "--out", "p1", "--methods", "track:p=1", "--quiet"});
    EXPECT_NE(results("p1")["run"]["images_per_second"], 0);
}

TEST_F(Track, ShardsMergeWithTheirNorms) {
    track({"--out", "whole"});
    for (const char* shard : {"0/3", "1/3", "2/3"})
        track({"--out", std::string("part") + shard[0], "--shard", shard});
    const Ran merged = run({"merge", "merged", "part0", "part1", "part2", "--quiet"});
    EXPECT_EQ(merged.code, 0) << merged.err;
    for (const char* set : {"figures", "shapes"}) {
        EXPECT_EQ(csv("merged", set), csv("whole", set));
        const std::string arrays = std::string("arrays/") + set + ".safetensors";
        EXPECT_EQ(content(root_ / "merged" / arrays), content(root_ / "whole" / arrays)) << set;
    }
}

TEST_F(Track, ItsConfigurationIsAScoringRun) {
    track({"--out", "t", "--loss", "bce", "--score", "pred", "--layers", "block3+head"});
    score({"--config", "t/config.toml", "--out", "again", "--quiet"});
    EXPECT_EQ(csv("again", "figures"), csv("t", "figures"));
    EXPECT_THAT(content(root_ / "t/config.toml"), HasSubstr("track:loss=bce:score=pred:layers=block3+head"));
}

// The demo's energies are far above both margins, so each gives other gradients. CIFAR-10's m_in is the usual
// one (docs/training.md).
TEST_F(Track, TheMarginOfTheEnergyLossIsTheMethods) {
    const auto column = [&](const std::string& out, size_t method) {
        std::vector<double> scores;
        for (const ScoreRow& row : table(out, "figures").rows) scores.push_back(row.scores.at(method));
        return scores;
    };
    track({"--out", "usual", "--loss", "energy", "--layers", "head"});
    track({"--out", "lower", "--loss", "energy", "--layers", "head", "--margin", "-27"});
    EXPECT_EQ(results("usual")["methods"][0]["options"]["margin"], "-23");
    EXPECT_EQ(results("lower")["methods"][0]["options"]["margin"], "-27");
    score({"--id", kId, "--out", "s", "--quiet", "--methods",
           "track:loss=energy:layers=head,track:loss=energy:margin=-23:layers=head,"
           "track:loss=energy:margin=-27:layers=head"});
    EXPECT_EQ(column("usual", 0), column("s", 0));
    EXPECT_EQ(column("usual", 0), column("s", 1));
    EXPECT_EQ(column("lower", 0), column("s", 2));
    EXPECT_NE(column("lower", 0), column("usual", 0));
}

TEST_F(Track, TheLastLayersGradientByItsDirection) {
    EXPECT_EQ(run({"fit", "--weights", demo_weights(), "--id", "train=synthetic:12:size=32", "--methods",
                   "track:form=original_single:detector=cosine", "--out", "s.safetensors", "--quiet"})
                  .code,
              0);
    track({"--form", "original_single", "--detector", "cosine", "--stats", "s.safetensors", "--out", "t"});
    for (const ScoreRow& row : table("t", "figures").rows) {
        EXPECT_GE(row.scores[0], -1);
        EXPECT_LE(row.scores[0], 1);
    }
}

TEST_F(Track, WrongFlagsAreRefused) {
    const auto refused = [&](const Words& flags, const std::string& why) {
        Words words{"track", "--weights", demo_weights(), "--id", kId, "--out", "x"};
        words.insert(words.end(), flags.begin(), flags.end());
        expect_refusal(words, 2, {why});
        EXPECT_FALSE(fs::exists(root_ / "x"));
    };
    refused({"--score", "median"}, "min|max|mean|pred|uniform");
    refused({"--layers", "layer9"}, "names no weight");
    refused({"--form", "original_single", "--detector", "cosine"}, "--stats");
}

}  // namespace
}  // namespace gs::test
