// What the command promises for odd inputs, each with its number in SECURITY.md.
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "tests/tools/demo_images.h"
#include "tests/tools/net_files.h"

namespace gs::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::SizeIs;

class Cases : public DemoImages {
  protected:
    // An .npy file of float32 [n, 3, side, side].
    void write_npy(const std::string& name, const std::vector<float>& values, int64_t n, int64_t side) const {
        std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(n) +
                             ", 3, " + std::to_string(side) + ", " + std::to_string(side) + "), }";
        header.resize((header.size() + 10 + 64) / 64 * 64 - 11, ' ');
        header += '\n';
        std::string bytes = "\x93NUMPY\x01";
        bytes += '\0';
        bytes += static_cast<char>(header.size() & 255);
        bytes += static_cast<char>(header.size() >> 8);
        bytes += header;
        bytes.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
        write(root_ / name, bytes);
    }
    std::string list_of(const std::vector<std::string>& paths) const {
        std::string text;
        for (const std::string& path : paths) text += path + "\n";
        return text;
    }
};

TEST_F(Cases, Case08_AScoreThatIsNoNumberIsLeftOutAndCounted) {
    constexpr int64_t kImages = 12, kSide = 16, kValues = 3 * kSide * kSide;
    std::vector<float> values(kImages * kValues);
    for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i) * 0.37f);
    write_npy("good.npy", values, kImages, kSide);
    for (size_t i = 5 * kValues; i < 6 * kValues; ++i) values[i] *= 1e5f;
    write_npy("bad.npy", values, kImages, kSide);
    // Logits of usual images are large, those of the bright one infinite.
    EditableWeights weights = golden_weights("option_a");
    for (auto& item : weights.items)
        if (item.name.starts_with("linear."))
            for (float& value : item.values) value *= 1e35f;
    save_safetensors(root_ / "w.safetensors", weights.items);
    const Ran ran = score({"--weights", "w.safetensors", "--id", "good=npy:good.npy", "--ood",
                           "bad=npy:bad.npy", "--methods", "msp,gradnorm", "--out", "run", "--quiet"});
    const ScoreTable bad = table("run", "bad"), good = table("run", "good");
    for (size_t i = 0; i < bad.rows.size(); ++i)
        for (size_t m = 0; m < 2; ++m) {
            EXPECT_EQ(std::isnan(bad.rows[i].scores[m]), i == 5) << i;
            if (i == 5) continue;
            EXPECT_EQ(bad.rows[i].scores[m], good.rows[i].scores[m]) << "its neighbours are not touched";
        }
    const nlohmann::json json = results("run");
    for (const char* method : {"msp", "gradnorm"}) {
        const nlohmann::json metrics = json["metrics"][method]["bad"];
        EXPECT_EQ(metrics["id_count"], 12);
        EXPECT_EQ(metrics["ood_count"], 11);
        EXPECT_EQ(metrics["ood_excluded"], 1);
        EXPECT_TRUE(metrics["auroc"].is_number());
    }
    EXPECT_THAT(ran.out, HasSubstr("NaN for 1 of 12 images"));
}

// A value that is none would vanish in the first ReLU and leave a score that means nothing.
TEST_F(Cases, Case08_AnArrayWithAValueThatIsNoNumberIsNoImage) {
    std::vector<float> values(3 * 3 * 16 * 16, 0.5f);
    values[3 * 16 * 16 + 7] = std::numeric_limits<float>::quiet_NaN();
    values[2 * 3 * 16 * 16 + 9] = -std::numeric_limits<float>::infinity();
    write_npy("a.npy", values, 3, 16);
    score({"--id", "a=npy:a.npy", "--methods", "msp", "--out", "run", "--quiet"}, 6);
    const nlohmann::json set = results("run")["sets"][0];
    EXPECT_EQ(set["scored"], 1);
    EXPECT_EQ(set["failures"][0]["path"], "index 1");
    EXPECT_EQ(set["failures"][1]["reason"], "a value that is NaN or infinite");
}

// Ten thousand lines that name the demo's images, and one that names a broken JPEG.
TEST_F(Cases, Case09_OneCorruptJpegAmongTenThousandIsListed) {
    const std::vector<std::string> files = files_below(root_ / "images/id");
    std::string jpeg = content(std::string(GS_SOURCE_DIR) + "/tests/data/images/jpeg_420.jpg");
    write(root_ / "broken.jpg", jpeg.substr(0, jpeg.size() / 2));
    std::vector<std::string> paths;
    for (size_t i = 0; i < 10'000; ++i) paths.push_back("images/id/" + files[i % files.size()]);
    paths[7'654] = "broken.jpg";
    write(root_ / "list.txt", list_of(paths));
    const Words command{"score",    "--weights", demo_weights(), "--id", "many=list:list.txt",
                        "--resize", "8x8",       "--crop",       "none", "--methods",
                        "msp",      "--quiet",   "--out"};
    const auto with = [&](const Words& more) {
        Words all = command;
        all.insert(all.end(), more.begin(), more.end());
        return all;
    };
    const Ran ran = run(with({"run"}));
    EXPECT_EQ(ran.code, 6) << ran.err;
    EXPECT_THAT(ran.err, HasSubstr("1 image could not be used: listed in run/results.json"));
    const nlohmann::json set = results("run")["sets"][0];
    EXPECT_EQ(set["scored"], 9'999);
    ASSERT_THAT(set["failures"], SizeIs(1));
    EXPECT_EQ(set["failures"][0]["path"], "broken.jpg");
    EXPECT_THAT(set["failures"][0]["reason"].get<std::string>(), HasSubstr("truncated JPEG"));
    EXPECT_THAT(table("run", "many").rows, SizeIs(10'000));
    expect_refusal(with({"strict", "--strict"}), 4, {"many: broken.jpg: ", "truncated JPEG", "--strict"});
}

TEST_F(Cases, Case11_EqualScoresAreChanceAndOneClassHasNoMetrics) {
    const std::string image = "images/id/" + files_below(root_ / "images/id").front();
    write(root_ / "same.txt", list_of(std::vector<std::string>(40, image)));
    const Ran ran = score({"--id", "a=list:same.txt", "--ood", "b=list:same.txt", "--methods", "msp,gradnorm",
                           "--out", "run", "--quiet"});
    const nlohmann::json json = results("run");
    for (const char* method : {"msp", "gradnorm"}) {
        EXPECT_EQ(json["metrics"][method]["b"]["auroc"], 0.5);
        for (const auto& [name, value] : json["metrics"][method]["b"].items())
            EXPECT_FALSE(value.is_null()) << name;
    }
    EXPECT_THAT(json["warnings"].dump(), HasSubstr("constant-scores"));
    EXPECT_THAT(ran.out, HasSubstr("50.00"));
    score({"--id", "a=list:same.txt", "--out", "alone", "--quiet"});
    EXPECT_TRUE(results("alone")["metrics"].empty());
    EXPECT_TRUE(results("alone")["averages"].empty());
}

// This build may have no CUDA at all; tests/emulated_cuda has the same case where it has.
TEST_F(Cases, Case17_WithoutAGpuAutoIsTheCpuAndCudaIsRefused) {
    if (run({"devices"}).out.find("cuda  0:") != std::string::npos) GTEST_SKIP() << "there is a GPU here";
    const Words command{"score", "--weights", demo_weights(), "--id", kId, "--methods", "msp", "--device"};
    const auto on = [&](const std::string& device) {
        Words all = command;
        all.insert(all.end(), {device, "--out", device});
        return all;
    };
    expect_refusal(on("cuda"), 5, {"--device cuda:0: "});
    EXPECT_FALSE(fs::exists(root_ / "cuda"));
    const Ran ran = run(on("auto"));
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_THAT(ran.err, HasSubstr(" on cpu: "));
    EXPECT_EQ(results("auto")["run"]["device"], "cpu");
}

TEST_F(Cases, Case18_TheSameRunTwiceHasTheSameBytes) {
    const std::string methods =
        "msp,maxlogit,energy,odin:temperature=1000:epsilon=0.0014,gradnorm,gaia-a,gaia-z";
    for (const char* out : {"a", "b"})
        score({"--id", kId, "--ood", kShapes, "--methods", methods, "--save", "logits,features,taps",
               "--quiet", "--out", out});
    for (const std::string& file : files_below(root_ / "a"))
        EXPECT_TRUE(content(root_ / "a" / file) == content(root_ / "b" / file) ||
                    !(file.starts_with("scores/") || file.starts_with("arrays/")))
            << file;
    EXPECT_EQ(results("a")["metrics"], results("b")["metrics"]);
}

// Every other image of one set against the rest of it: chance, within three standard errors of the AUROC of
// two samples of one distribution, (n + m + 1) / (12 n m).
TEST_F(Cases, Case22_HalvesOfOneSetAreNotToldApartByAnyMethod) {
    demo::draw_demo(root_ / "more", {.seed = 22, .id_per_class = 20, .ood = 1});
    demo::draw_demo(root_ / "train", {.seed = 23, .id_per_class = 12, .ood = 1});
    std::vector<std::string> halves[2];
    for (const std::string& file : files_below(root_ / "more/id"))
        halves[(halves[0].size() + halves[1].size()) % 2].push_back("more/id/" + file);
    write(root_ / "even.txt", list_of(halves[0]));
    write(root_ / "odd.txt", list_of(halves[1]));
    ASSERT_EQ(run({"fit", "--weights", demo_weights(), "--id", "train=folder:train/id", "--methods",
                   "klm,mahalanobis,nac", "--out", "s.safetensors", "--quiet"})
                  .code,
              0);
    score({"--id", "even=list:even.txt", "--ood", "odd=list:odd.txt", "--methods",
           "msp,maxlogit,energy,odin:temperature=1000:epsilon=0.0014,gradnorm,gaia-a,gaia-z,mos:groups=3+5,"
           "track,"
           "klm,mahalanobis,nac",
           "--stats", "s.safetensors", "--out", "run", "--quiet"});
    const double n = static_cast<double>(halves[0].size()), m = static_cast<double>(halves[1].size());
    const double error = std::sqrt((n + m + 1) / (12 * n * m));
    const nlohmann::json json = results("run");
    EXPECT_EQ(json["metrics"].size(), 12u);
    for (const auto& [method, sets] : json["metrics"].items())
        EXPECT_NEAR(sets["odd"]["auroc"].get<double>(), 0.5, 3 * error) << method;
}

}  // namespace
}  // namespace gs::test
