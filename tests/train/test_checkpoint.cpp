#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/files.h"
#include "tests/support/scratch_file.h"
#include "train/checkpoint.h"

namespace gs::train {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Checkpoint sample() {
    Checkpoint c;
    c.identity = {{"learning-rate", "0.1"}, {"weights", ""}, {"id", "cifar10:data"}};
    c.circumstances = {{"threads", "2"}};
    c.state = {.step = 123,
               .epoch = {0.1 + 0.2, 1000, 234},
               .interval = {1e-300, 5, 0},
               .log_bytes = 4096,
               .seconds = 12.5,
               .best_accuracy = 2.0 / 3,
               .best_epoch = 2,
               .unusable = {"a: b.jpg", "a: c.jpg"}};
    c.weights = {{"conv1.weight", {2, 1, 1, 2}, {1, -2, 3.5F, 1e-42F}}, {"bn1.running_var", {1}, {4}}};
    c.optimiser = {{"conv1.weight", {2, 1, 1, 2}, {0, 0, -0.0F, 7}}};
    return c;
}

class CheckpointFile : public testing::Test {
  protected:
    test::ScratchFile file_{std::span<const uint8_t>{}, ".safetensors"};

    // The message with which the sample, changed by `change` on its way, is refused.
    template <class Change>
    std::string refusal(const Change& change) {
        write_checkpoint(file_.path(), sample());
        WeightFile read = read_weights(file_.path());
        change(read);
        try {
            checkpoint_of(read);
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::Weights);
            EXPECT_THAT(error.what(), HasSubstr(file_.path() + ": not a checkpoint of gradscore train: "));
            return error.what();
        }
        return "no error";
    }
};

TEST_F(CheckpointFile, ReadsBackBitForBit) {
    for (const bool best : {true, false}) {
        Checkpoint want = sample();
        if (!best) want.state.best_accuracy.reset();
        if (!best) want.state.unusable.clear();
        write_checkpoint(file_.path(), want);
        const Checkpoint got = read_checkpoint(file_.path());
        EXPECT_EQ(got.identity, want.identity);
        EXPECT_EQ(got.circumstances, want.circumstances);
        EXPECT_EQ(got.state, want.state);
        EXPECT_EQ(got.weights, want.weights);
        EXPECT_EQ(got.optimiser, want.optimiser);
        EXPECT_TRUE(std::signbit(got.optimiser[0].values[2]));
    }
}

TEST_F(CheckpointFile, IsRefusedWhereItIsNone) {
    const auto metadata = [&](const std::string& key, const std::string& value) {
        return refusal([&](WeightFile& file) { file.metadata[key] = value; });
    };
    EXPECT_EQ(refusal([](WeightFile&) {}), "no error");
    EXPECT_THAT(metadata("format", "gradscore/checkpoint/2"), HasSubstr("'format' is not"));
    EXPECT_THAT(refusal([](WeightFile& file) { file.metadata.clear(); }), HasSubstr("'format' is not"));
    EXPECT_THAT(refusal([](WeightFile& file) { file.metadata.erase("state/step"); }),
                HasSubstr("'step' is missing"));
    EXPECT_THAT(metadata("state/step", "-1"), HasSubstr("'step' is no number from 0 on"));
    EXPECT_THAT(metadata("state/step", "1.5"), HasSubstr("'step' is no number"));
    EXPECT_THAT(metadata("state/seconds", "nan"), HasSubstr("'seconds' is no number"));
    EXPECT_THAT(metadata("state/epoch-loss", "inf"), HasSubstr("'epoch-loss' is no number"));
    EXPECT_THAT(metadata("state/best-accuracy", "x"), HasSubstr("'best-accuracy' is no number"));
    EXPECT_THAT(refusal([](WeightFile& file) { file.tensors[0].name = "other"; }), HasSubstr("'other'"));
    EXPECT_THAT(refusal([](WeightFile& file) { file.tensors[0].type = StoredType::I32; }),
                HasSubstr("is not float32"));
}

TEST_F(CheckpointFile, IsNotWrittenOfWhatIsNotFinite) {
    write_checkpoint(file_.path(), sample());
    const auto before = read_file(file_.path(), ErrorKind::Data);
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
        for (const bool optimiser : {false, true}) {
            Checkpoint broken = sample();
            (optimiser ? broken.optimiser : broken.weights)[0].values[1] = bad;
            try {
                write_checkpoint(file_.path(), broken);
                ADD_FAILURE() << "no error";
            } catch (const Error& error) {
                EXPECT_THAT(error.what(), HasSubstr("'conv1.weight' has become NaN or infinite"));
            }
        }
    EXPECT_EQ(read_file(file_.path(), ErrorKind::Data), before);
}

TEST_F(CheckpointFile, WeightsAloneAreAPlainFile) {
    write_weights(file_.path(), sample().weights, {{"net", "tiny"}});
    const WeightFile read = read_weights(file_.path());
    ASSERT_EQ(read.tensors.size(), 2u);
    EXPECT_EQ(read.tensors[0].name, "conv1.weight");
    EXPECT_EQ(read.metadata.at("net"), "tiny");
}

TEST(RunIdentity, SaysWhatDiffers) {
    const RunIdentity then = sample().identity;
    EXPECT_THAT(differences(then, then), IsEmpty());
    RunIdentity now = then;
    now["learning-rate"] = "0.05";
    now["weights"] = "abc";
    now["new"] = "x";
    now.erase("id");
    EXPECT_THAT(differences(now, then), ElementsAre("id: none now, cifar10:data when the run began",
                                                    "learning-rate: 0.05 now, 0.1 when the run began",
                                                    "new: x now, none when the run began",
                                                    "weights: abc now, none when the run began"));
}

TEST(Tally, MeansOverImages) {
    Tally tally;
    EXPECT_TRUE(std::isnan(tally.mean_loss()));
    EXPECT_TRUE(std::isnan(tally.accuracy()));
    tally.add(2, 3, 1);
    tally.add(4, 1, 1);
    EXPECT_DOUBLE_EQ(tally.mean_loss(), 2.5);
    EXPECT_DOUBLE_EQ(tally.accuracy(), 0.5);
}

}  // namespace
}  // namespace gs::train
