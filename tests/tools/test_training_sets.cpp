// Sets of a training run: labels of validation folders are those of the training folders.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/failure.h"
#include "tests/support/gradscore.h"
#include "tools/training_sets.h"

namespace gs::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class TrainingSetsTest : public GradscoreTest {
  protected:
    // Nothing is decoded here.
    void image(const std::string& name) const { write(root_ / name, "no image"); }
    std::string spec(const std::string& folder) const { return "folder:" + (root_ / folder).string(); }

    TrainingSets open(const std::string& images, const std::string& validation) const {
        TrainFlags flags;
        flags.id = images;
        flags.validate = validation;
        return open_training_sets(flags, {});
    }
    static std::vector<std::string> labels(const ImageSet& set) {
        std::vector<std::string> all;
        for (int64_t i = 0; i < set.size(); ++i)
            all.push_back(set.item(i).path + " " + std::to_string(set.item(i).label.value_or(-1)));
        return all;
    }
};

TEST_F(TrainingSetsTest, ValidationFoldersAreTheTrainingFoldersOfTheirNames) {
    for (const char* name : {"train/bird/0.png", "train/cat/0.png", "train/dog/0.png", "val/cat/1.png",
                             "val/dog/2.png", "val/dog/3.png"})
        image(name);
    const TrainingSets sets = open(spec("train"), spec("val"));
    EXPECT_THAT(labels(*sets.validation), ElementsAre("cat/1.png 1", "dog/2.png 2", "dog/3.png 2"));
    EXPECT_EQ(sets.validation->name(), "val");
    EXPECT_EQ(sets.validation->bytes(1).size(), 8u);
    EXPECT_THAT(labels(*open(spec("train"), spec("train")).validation),
                ElementsAre("bird/0.png 0", "cat/0.png 1", "dog/0.png 2"));
    write(root_ / "val.txt", "val/cat/1.png 0\n");
    EXPECT_THAT(labels(*open(spec("train"), "list:" + (root_ / "val.txt").string()).validation),
                ElementsAre("val/cat/1.png 0"))
        << "lists say themselves";
}

// The classes behind it would move up in silence.
TEST_F(TrainingSetsTest, AClassFolderWithoutImagesIsNamed) {
    for (const char* name : {"train/bird/0.png", "train/dog/0.png"}) image(name);
    fs::create_directory(root_ / "train/.cache");
    const auto classes = [&] { return check_labels(*open(spec("train"), "").images, 0); };
    EXPECT_EQ(classes(), 2);
    fs::create_directory(root_ / "train/cat");
    EXPECT_THAT(failure_of(ErrorKind::Data, classes),
                AllOf(HasSubstr("class folder 'cat' of "), HasSubstr("has no image")));
}

TEST_F(TrainingSetsTest, LimitedSetsKeepTheirFolders) {
    for (const char* name :
         {"train/bird/0.png", "train/cat/0.png", "train/cat/1.png", "val/cat/1.png", "val/cat/2.png"})
        image(name);
    TrainFlags flags;
    flags.id = spec("train");
    flags.validate = spec("val");
    flags.limit = 1;
    EXPECT_EQ(open_training_sets(flags, {}).validation->item(0).label, 1);
}

TEST_F(TrainingSetsTest, ValidationFoldersThatAreNoClassAreRefused) {
    for (const char* name :
         {"train/bird/0.png", "train/cat/0.png", "val/bird/0.png", "val/Cat/0.png", "val/zebra/0.png"})
        image(name);
    EXPECT_THAT(failure_of(ErrorKind::Data, [&] { open(spec("train"), spec("val")); }),
                AllOf(HasSubstr("val: no folder of train"), HasSubstr("is called Cat, zebra")));
}

}  // namespace
}  // namespace gs::test
