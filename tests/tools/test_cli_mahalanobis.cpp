// Mahalanobis end to end: fit, merge, search, score.
#include <nlohmann/json.hpp>

#include "core/numbers.h"
#include "data/loader.h"
#include "scores/mahalanobis_layers.h"
#include "scores/mahalanobis_state.h"
#include "scores/statistics.h"
#include "tests/support/expect_close.h"
#include "tests/tools/demo_images.h"
#include "tools/devices.h"
#include "tools/mahalanobis_tuning.h"
#include "tools/setup.h"

namespace gs::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// train/id: 120 other figures in the same ten folders; val/id: 30 more.
class MahalanobisCommand : public DemoImages {
  protected:
    MahalanobisCommand() {
        demo::draw_demo(root_ / "train", {.seed = 4, .id_per_class = 12, .ood = 1});
        demo::draw_demo(root_ / "val", {.seed = 5, .id_per_class = 3, .ood = 1});
    }

    Ran expect_done(const Words& words) const {
        Ran ran = run(words);
        EXPECT_EQ(ran.code, 0) << ran.err;
        return ran;
    }
    void fit(const std::string& out, const Words& more = {},
             const std::string& method = "mahalanobis") const {
        Words words{"fit",       "--weights", demo_weights(), "--id", "train=folder:train/id",
                    "--methods", method,      "--out",        out,    "--quiet"};
        words.insert(words.end(), more.begin(), more.end());
        expect_done(words);
    }
    Words search_words(const std::string& stats, const std::string& out, const std::string& method) const {
        return {"search",    "--weights", demo_weights(), "--stats", stats,    "--id", "val=folder:val/id",
                "--methods", method,      "--out",        out,       "--quiet"};
    }
    // The search by the classes that it is made of, all validation images at once.
    TuningResult search_by_hand(const std::string& stats, const std::vector<double>& etas,
                                bool image_bounds) const {
        NetFlags flags;
        flags.weights = demo_weights();
        flags.device = "cpu";
        flags.threads = 1;
        const auto backend = make_backend(flags);
        const Net net = load_net(*backend, flags).net;
        const auto images = open_image_set("val=folder:" + (root_ / "val/id").string());
        const std::optional<Batch> batch = Loader(*images, net.preprocess, {.batch = images->size()}).next();
        std::vector<int64_t> labels;
        for (const int64_t index : batch->indices) labels.push_back(images->item(index).label.value());
        std::array<float, 3> black{0, 0, 0}, white{1, 1, 1};
        for (size_t c = 0; c < 3 && image_bounds; ++c) {
            black[c] = -net.preprocess.mean[c] / net.preprocess.std[c];
            white[c] = (1 - net.preprocess.mean[c]) / net.preprocess.std[c];
        }
        const std::vector<float> attacked =
            LabelAttack(*backend, net, {}, black, white).attacked(*batch, labels);
        const MahalanobisLayers layers(read_statistics(root_ / stats).states.at(0));
        Executor executor(*backend, net, layers.request(etas));
        const auto scores = [&](std::span<const float> pixels) {
            const Evidence evidence = executor.run(pixels, batch->count, batch->height, batch->width);
            LayerScores rows;
            for (const double eta : etas) {
                const auto by_layer = layers.scores(evidence, eta);
                std::vector<double>& row = rows.by_eta.emplace_back();
                for (size_t n = 0; n < labels.size(); ++n)
                    for (const std::vector<double>& layer : by_layer) row.push_back(layer.at(n));
            }
            return rows;
        };
        return tune_mahalanobis(scores(batch->pixels), scores(attacked), layers.names().size(), etas);
    }

    std::vector<double> column(const std::string& run, const std::string& set) const {
        std::vector<double> scores;
        for (const ScoreRow& row : table(run, set).rows) scores.push_back(row.scores.at(0));
        return scores;
    }
};

TEST_F(MahalanobisCommand, FitThenScoreTellsTexturesApart) {
    fit("s.safetensors");
    score({"--id", kId, "--ood", kTextures, "--methods", "mahalanobis,mahalanobis:eta=0.002:combine=last",
           "--stats", "s.safetensors", "--out", "run", "--quiet"});
    const nlohmann::json json = results("run");
    EXPECT_EQ(json["methods"][0]["options"]["combine"], "sum");
    EXPECT_EQ(json["methods"][0]["options"]["eta"], "0");
    EXPECT_EQ(json["methods"][0]["options"]["layers"], "layer1+layer2+layer3");
    EXPECT_EQ(json["methods"][1]["options"]["eta"], "0.002");
    EXPECT_GT(json["averages"]["mahalanobis"]["auroc"],
              0.65);  // 0.5 is chance; twelve images a class are few
    for (const double s : column("run", "figures")) EXPECT_LT(s, 0);
}

TEST_F(MahalanobisCommand, ShardsMergeToTheWhole) {
    fit("whole.safetensors");
    fit("a.safetensors", {"--shard", "0/2"});
    fit("b.safetensors", {"--shard", "1/2"});
    expect_done({"merge", "merged.safetensors", "a.safetensors", "b.safetensors"});
    const FitState whole = read_statistics(root_ / "whole.safetensors").states.at(0);
    const FitState merged = read_statistics(root_ / "merged.safetensors").states.at(0);
    for (const char* layer : {"layer1", "layer2", "layer3"}) {
        for (const char* array : {"/mean", "/scatter"})
            expect_close(layer + std::string(array), merged.array(std::string(layer) + array).as<double>(),
                         whole.array(std::string(layer) + array).as<double>(), 1e-10);
        EXPECT_TRUE(whole.arrays.contains(std::string(layer) + "/whitening"));
        EXPECT_TRUE(merged.arrays.contains(std::string(layer) + "/whitening"));
    }
    EXPECT_FALSE(read_statistics(root_ / "a.safetensors").states.at(0).arrays.contains("layer1/whitening"))
        << "of a shard it would be derived in vain";
    for (const char* stats : {"whole", "merged"})
        score({"--id", kId, "--methods", "mahalanobis", "--stats", stats + std::string(".safetensors"),
               "--out", stats, "--quiet"});
    expect_close("scores", column("merged", "figures"), column("whole", "figures"), 1e-8);
}

// The old statistics are read before they make room.
TEST_F(MahalanobisCommand, ASearchMayReplaceTheStatisticsItTunes) {
    fit("s.safetensors");
    const std::string old = content(root_ / "s.safetensors");
    Words words = search_words("s.safetensors", "s.safetensors", "mahalanobis:eta=0.002");
    words.push_back("--force");
    expect_done(words);
    EXPECT_TRUE(get_tuning(read_statistics(root_ / "s.safetensors").states.at(0)));
    EXPECT_EQ(content(root_ / "s.safetensors.old1"), old);
}

TEST_F(MahalanobisCommand, SearchTunesAndScoreUsesIt) {
    fit("s.safetensors");
    const Ran found = expect_done(search_words("s.safetensors", "tuned.safetensors", "mahalanobis"));
    EXPECT_THAT(found.out, AllOf(HasSubstr("FPR95"), HasSubstr("tuned.safetensors")));
    const Statistics fitted = read_statistics(root_ / "s.safetensors");
    const Statistics tuned = read_statistics(root_ / "tuned.safetensors");
    EXPECT_EQ(tuned.seen.size(), fitted.seen.size() + 30) << "the validation images count as seen";
    const auto tuning = get_tuning(tuned.states.at(0));
    ASSERT_TRUE(tuning);
    EXPECT_EQ(tuning->weight.size(), 3u);

    score({"--id", kId, "--ood", kTextures, "--methods", "mahalanobis", "--stats", "tuned.safetensors",
           "--out", "run", "--quiet"});
    const nlohmann::json options = results("run")["methods"][0]["options"];
    EXPECT_EQ(options["combine"], "logistic");
    EXPECT_EQ(options["eta"], shortest(tuning->eta));
    for (const double s : column("run", "figures")) EXPECT_TRUE(s <= 0 && s >= -1) << s;
    expect_refusal({"score", "--weights", demo_weights(), "--id", "val=folder:val/id", "--methods",
                    "mahalanobis", "--stats", "tuned.safetensors", "--out", "seen", "--quiet"},
                   4, {"--allow-fit-on-test"});
}

// Batches, threads and the journal in between change no bit; the grid is the published one, in its order.
TEST_F(MahalanobisCommand, SearchFindsWhatItsDefinitionDoes) {
    const std::vector<double> etas = {0, 0.01, 0.005, 0.002, 0.0014, 0.001, 0.0005};
    fit("s.safetensors");
    for (const bool image : {false, true}) {
        SCOPED_TRACE(image ? "black and white" : "as published");
        const std::string out = image ? "image.safetensors" : "reference.safetensors";
        expect_done(search_words("s.safetensors", out, image ? "mahalanobis:bounds=image" : "mahalanobis"));
        const Statistics tuned = read_statistics(root_ / out);
        const auto got = get_tuning(tuned.states.at(0));
        ASSERT_TRUE(got);
        const TuningResult want = search_by_hand("s.safetensors", etas, image);
        EXPECT_EQ(got->eta, want.tuning.eta);
        EXPECT_EQ(got->weight, want.tuning.weight);
        EXPECT_EQ(got->bias, want.tuning.bias);
        std::map<std::string, double> by_eta;
        for (size_t e = 0; e < etas.size(); ++e) by_eta[shortest(etas[e])] = want.fpr95_by_eta.at(e);
        const nlohmann::json found = parse_json(tuned.search)["results"][0];
        EXPECT_EQ(found["fpr95_by_eta"], by_eta);
        EXPECT_EQ(found["fpr95_closest"], want.fpr95);
        EXPECT_EQ(found["c"], want.c);
    }
}

TEST_F(MahalanobisCommand, SearchOfOneStepAndProperBounds) {
    fit("s.safetensors", {}, "mahalanobis:layers=layer2+layer3");
    for (const char* bounds : {"reference", "image"})
        expect_done(search_words("s.safetensors", bounds + std::string(".safetensors"),
                                 "mahalanobis:eta=0.001:bounds=" + std::string(bounds)));
    const auto reference = get_tuning(read_statistics(root_ / "reference.safetensors").states.at(0));
    const auto image = get_tuning(read_statistics(root_ / "image.safetensors").states.at(0));
    ASSERT_TRUE(reference && image);
    EXPECT_EQ(reference->eta, 0.001);
    EXPECT_EQ(reference->weight.size(), 2u);
    EXPECT_NE(reference->weight, image->weight) << "the published clamp takes the dark half away";
    EXPECT_EQ(read_statistics(root_ / "image.safetensors").limit, std::nullopt);
    Words few = search_words("s.safetensors", "few.safetensors", "mahalanobis:eta=0.001");
    few.insert(few.end(), {"--limit", "20"});
    expect_done(few);
    EXPECT_EQ(read_statistics(root_ / "few.safetensors").limit, 20);
}

TEST_F(MahalanobisCommand, RefusalsNameTheFault) {
    fit("s.safetensors");
    expect_refusal({"score", "--weights", demo_weights(), "--id", kId, "--methods", "mahalanobis", "--out",
                    "run", "--quiet"},
                   2, {"mahalanobis", "--stats"});
    expect_refusal({"score", "--weights", demo_weights(), "--id", kId, "--methods",
                    "mahalanobis:combine=logistic", "--stats", "s.safetensors", "--out", "run", "--quiet"},
                   2, {"combine=logistic", "gradscore search"});
    expect_refusal(search_words("s.safetensors", "t.json", "mahalanobis"), 2,
                   {"--out t.json", ".safetensors"});
    expect_refusal(search_words("s.safetensors", "t.safetensors", "mahalanobis:eta=x"), 2, {"eta=x"});
    Words few = search_words("s.safetensors", "t.safetensors", "mahalanobis");
    few.insert(few.end(), {"--limit", "9"});
    expect_refusal(few, 2, {"9 images", "at least 10"});
    Words fitted = search_words("s.safetensors", "t.safetensors", "mahalanobis");
    std::replace(fitted.begin(), fitted.end(), std::string("val=folder:val/id"),
                 std::string("train=folder:train/id"));
    expect_refusal(fitted, 4, {"train", "was fitted (or searched) on"});
    Words flat = search_words("s.safetensors", "t.safetensors", "mahalanobis");
    std::replace(flat.begin(), flat.end(), std::string("val=folder:val/id"),
                 std::string("flat=folder:images/ood-shapes"));
    expect_refusal(flat, 4, {"no label"});
    EXPECT_FALSE(fs::exists(root_ / "t.safetensors"));
}

// The first thousand are searched, and in a set in the order of its classes they are of few.
TEST_F(MahalanobisCommand, ASearchThatSeesFewClassesSaysSo) {
    fit("s.safetensors");
    const std::vector<std::string> files = files_below(root_ / "val/id");
    std::string list;
    for (int i = 0; i < 1000; ++i) list += "val/id/" + files[static_cast<size_t>(i % 3)] + " 0\n";
    for (int label = 1; label < 10; ++label)
        list += "val/id/" + files[static_cast<size_t>(3 * label)] + " " + std::to_string(label) + "\n";
    write(root_ / "sorted.txt", list);
    Words words = search_words("s.safetensors", "tuned.safetensors", "mahalanobis:eta=0");
    *std::find(words.begin(), words.end(), "val=folder:val/id") = "val=list:sorted.txt";
    EXPECT_THAT(expect_done(words).err, HasSubstr("first 1,000 images, which are of 1 of the 10 classes"));
    const std::string search = read_statistics(root_ / "tuned.safetensors").search;
    EXPECT_EQ(parse_json(search)["sets"][0]["images"], 1000) << "of 1,009";
    const Ran mixed = expect_done(search_words("s.safetensors", "mixed.safetensors", "mahalanobis:eta=0"));
    EXPECT_THAT(mixed.err, Not(HasSubstr("classes; a list")));
}

}  // namespace
}  // namespace gs::test
