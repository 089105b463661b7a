// MOS on the command line: predictions and accuracy of a grouped head.
#include <nlohmann/json.hpp>

#include "scores/group_head.h"
#include "tests/tools/demo_images.h"
#include "weights/weight_file.h"

namespace gs::test {
namespace {

using testing::HasSubstr;

// The demo's ten outputs read as a grouped head of eight classes: "others" are outputs 0 and 6.
class MosCommand : public DemoImages {
  protected:
    static inline const std::string kMos = "mos:groups=5+3";

    // Predictions of the grouped head, of saved logits.
    std::vector<int64_t> predictions(const std::string& run, const std::string& set) const {
        const WeightFile arrays = read_weights(root_ / run / "arrays" / (set + ".safetensors"));
        const std::vector<float> logits = to_float32(*arrays.find("logits"));
        std::vector<int64_t> predicted;
        for (size_t n = 0; n < logits.size() / 10; ++n)
            predicted.push_back(GroupHead{{5, 3}}.predict(std::span(logits).subspan(10 * n, 10)));
        return predicted;
    }
};

TEST_F(MosCommand, PredictsByGroupsAndCountsFlatLabels) {
    score({"--id", kId, "--methods", kMos, "--save", "logits", "--out", "first", "--quiet"});
    const std::vector<int64_t> predicted = predictions("first", "figures");
    const ScoreTable first = table("first", "figures");
    for (size_t n = 0; n < predicted.size(); ++n) {
        EXPECT_EQ(first.rows[n].prediction, predicted[n]);
        EXPECT_TRUE(first.rows[n].scores[0] >= -1 && first.rows[n].scores[0] <= 0);
    }

    // A list whose labels are right for the first half, wrong for most of the rest, and beyond for one.
    std::string list;
    int64_t right = 0;
    for (size_t n = 0; n < predicted.size(); ++n) {
        const int64_t label = n < 15 ? predicted[n] : n == 29 ? 8 : (predicted[n] + 1) % 8;
        right += label == predicted[n] ? 1 : 0;
        list += "images/id/" + first.rows[n].path + " " + std::to_string(label) + "\n";
    }
    write(root_ / "flat.txt", list);
    score({"--id", "list:flat.txt", "--methods", kMos + ",msp," + kMos + ":form=log", "--out", "second",
           "--quiet"});
    EXPECT_EQ(right, 15);
    EXPECT_DOUBLE_EQ(results("second")["sets"][0]["accuracy"], 15.0 / 29);
}

TEST_F(MosCommand, LabelsOfFoldersGiveNoAccuracy) {
    const Ran ran = score({"--id", kId, "--methods", kMos, "--out", "run", "--quiet"});
    EXPECT_TRUE(results("run")["sets"][0]["accuracy"].is_null());
    EXPECT_THAT(ran.err, HasSubstr("no accuracy: folders number their labels by name"));
    EXPECT_THAT(results("run")["run"]["notices"].dump(), HasSubstr("no accuracy"));
}

TEST_F(MosCommand, GroupsAreReadFromFilesAndChecked) {
    write(root_ / "groups.txt", "5\n3\n");
    score({"--id", kId, "--methods", "mos:groups=groups.txt," + kMos, "--out", "run", "--quiet"});
    for (const ScoreRow& row : table("run", "figures").rows) EXPECT_EQ(row.scores[0], row.scores[1]);
    EXPECT_EQ(results("run")["methods"][0]["options"]["groups"], "5+3") << "whatever becomes of the file";
    ASSERT_EQ(run({"threshold", "run", "--method", "mos:groups=groups.txt", "--out", "t.json"}).code, 0);
    write(root_ / "groups.txt", "3 5");
    expect_refusal({"score", "--threshold", "t.json", "--weights", demo_weights(), "--image",
                    "images/id/" + files_below(root_ / "images/id").front()},
                   2, {"t.json", "mos:groups=groups.txt"});
    const Words score_words{"score", "--weights", demo_weights(), "--id", kId, "--out", "x", "--quiet"};
    const auto refuses = [&](const std::string& methods, int code, const std::string& part) {
        Words words = score_words;
        words.insert(words.end(), {"--methods", methods});
        expect_refusal(words, code, {part});
    };
    refuses("mos", 2, "groups=FILE.npy");
    refuses("mos:groups=5+4", 2, "2 groups of 9 classes need a head of 11 outputs, the net's has 10");
    refuses(kMos + ",mos:groups=4+4", 2, "different groups");
    refuses("mos:groups=absent.npy", 4, "absent.npy");
    write(root_ / "bad.txt", "5 three");
    refuses("mos:groups=bad.txt", 4, "bad.txt: 'three' is no whole number");
    EXPECT_FALSE(fs::exists(root_ / "x"));
}

}  // namespace
}  // namespace gs::test
