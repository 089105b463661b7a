// What a run notes of its sets, and what it warns of.
#include <nlohmann/json.hpp>

#include "tests/tools/demo_images.h"
#include "tools/encode_image.h"

namespace gs::test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;

class SetFactsTest : public DemoImages {
  protected:
    std::vector<std::string> warnings(const std::string& out) const {
        std::vector<std::string> kinds;
        const nlohmann::json all = results(out);
        for (const auto& w : all["warnings"])
            kinds.push_back(w["kind"].get<std::string>() + "/" + w["set"].get<std::string>());
        return kinds;
    }
};

TEST_F(SetFactsTest, ImagesOfTheIdSetAmongTheOodAreCounted) {
    const fs::path original = files_below(root_ / "images/id").front();
    fs::copy_file(root_ / "images/id" / original, (root_ / "images/ood-shapes/copy") += original.extension());
    const Ran ran = score(
        {"--id", kId, "--ood", kTextures, "--ood", kShapes, "--methods", "msp", "--out", "run", "--quiet"});
    EXPECT_EQ(results("run")["sets"][0]["shared_with_id"], nullptr);
    EXPECT_EQ(results("run")["sets"][1]["shared_with_id"], 0);
    EXPECT_EQ(results("run")["sets"][2]["shared_with_id"], 1);
    EXPECT_THAT(warnings("run"), Contains("same-images/shapes"));
    EXPECT_THAT(ran.out, HasSubstr("1 of the 13 images of shapes are images of the ID set figures"));
    EXPECT_THAT(content(root_ / "run/results.md"), HasSubstr("byte for byte"));
    score({"--id", kId, "--ood", "again=folder:images/id", "--methods", "msp", "--out", "same", "--quiet"});
    EXPECT_EQ(results("same")["sets"][1]["shared_with_id"], 30);
    EXPECT_THAT(warnings("same"), AllOf(Contains("same-images/again"), Contains("auroc-half/again")));
}

TEST_F(SetFactsTest, SizesOfImagesAreLookedAt) {
    const auto large = encode_png({400, 300, std::vector<uint8_t>(400 * 300 * 3, 90)});
    for (int k = 0; k < 21; ++k)
        write(root_ / "large" / (std::to_string(k) + ".png"),
              {reinterpret_cast<const char*>(large.data()), large.size()});
    write(root_ / "large" / "0.png", "no image");
    score({"--id", kId, "--ood", "large=folder:large", "--methods", "msp", "--out", "run", "--quiet"}, 6);
    const auto sizes = results("run")["sets"][1]["image_sizes"];
    EXPECT_EQ(sizes["images"], 15);
    EXPECT_EQ(sizes["median"], (nlohmann::json{400, 300}));
    EXPECT_THAT(warnings("run"), Contains("image-sizes/large"));
    score({"--id", kId, "--ood", kTextures, "--methods", "msp", "--out", "alike", "--quiet"});
    EXPECT_THAT(warnings("alike"), testing::Not(Contains(HasSubstr("image-sizes"))));
}

TEST_F(SetFactsTest, ThePlanThatRanIsKept) {
    score({"--id", kId, "--methods", "msp,gaia-z", "--out", "run", "--quiet", "--save", "logits"});
    const auto plan = results("run")["run"]["plan"].get<std::vector<std::string>>();
    EXPECT_THAT(plan, AllOf(Contains(HasSubstr("forward")), Contains(HasSubstr("backward")),
                            Contains(HasSubstr("MiB"))));
    score({"--id", kId, "--methods", "msp", "--out", "again", "--quiet", "--reuse", "run"});
    EXPECT_EQ(results("again")["run"]["plan"], nlohmann::json::array()) << "the net did not run";
}

}  // namespace
}  // namespace gs::test
