#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "core/files.h"
#include "tests/support/failure.h"
#include "train/recipe.h"

namespace gs::train {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string usage_error(const auto& action) {
    return test::failure_of(ErrorKind::Usage, action);
}

std::string read_error(const std::string& toml) {
    return usage_error([&] { read_recipe(toml, "r.toml"); });
}

TEST(Recipe, ReadsEveryKindOfField) {
    const Recipe r = read_recipe(
        "# of a test\n"
        "net = \"wrn-40-2\"\nclasses = 100\ninit = \"weights\"\nzero-head = true\nopen-blocks = 2\n"
        "loss = \"group-softmax\"\ngroups = [60, 40]\nlearning-rate = 1e-3\nmomentum = 0.8\nnesterov = "
        "false\n"
        "schedule = \"staircase\"\ndrops = [10, 20]\nresize = \"512x496\"\npad = 4\ncrop = \"480\"\nflip = "
        "true\n"
        "mean = [0.5, 0.25, 0.125]\nstd = [1, 0.5, 0.25]\nseed = 18446744073709551615\n",
        "r.toml");
    EXPECT_EQ(r.net, "wrn-40-2");
    EXPECT_EQ(r.classes, 100);
    EXPECT_EQ(r.start, Start::Weights);
    EXPECT_TRUE(r.zero_head);
    EXPECT_EQ(r.open_blocks, 2);
    EXPECT_EQ(r.loss, Loss::GroupSoftmax);
    EXPECT_THAT(r.groups, ElementsAre(60, 40));
    EXPECT_EQ(r.learning_rate, 1e-3);
    EXPECT_EQ(r.momentum, 0.8);
    EXPECT_FALSE(r.nesterov);
    EXPECT_EQ(r.schedule, Schedule::Staircase);
    EXPECT_THAT(r.drops, ElementsAre(10, 20));
    EXPECT_EQ(r.augmentation, (Augmentation{Size{512, 496}, 4, Size{480, 480}, true}));
    EXPECT_EQ(r.mean, (std::array<float, 3>{0.5f, 0.25f, 0.125f}));
    EXPECT_EQ(r.std, (std::array<float, 3>{1, 0.5f, 0.25f}));
    EXPECT_EQ(r.seed, UINT64_MAX);
    EXPECT_EQ(logit_count(r), 102);
    check_recipe(r);
}

TEST(Recipe, WrittenAndReadIsTheSame) {
    Recipe r;
    EXPECT_EQ(read_recipe(to_toml(r), "r"), r);
    r.loss = Loss::EnergyMargins;
    r.margin_in = -27.1;
    r.cosine_floor = 1e-7;
    r.learning_rate = 0.1 + 0.2;  // takes 17 digits
    r.auxiliary_batch = 256;
    r.mean = {0.1f, 0.2f, 1.0f / 3.0f};
    r.std = {1e-3f, 0.2f, 1};
    r.augmentation = {Size{7, 9}, 3, Size{5, 6}, true};
    r.drops = {1, 2, 3};
    EXPECT_EQ(read_recipe(to_toml(r), "r"), r);
    set_field(r, "mean", {"none"}, "--mean");
    EXPECT_FALSE(r.mean.has_value()) << "as --help has it";
}

TEST(Recipe, EveryFieldIsNamedOnceAndDescribed) {
    std::set<std::string_view> keys;
    for (const RecipeField& field : recipe_fields()) {
        EXPECT_TRUE(keys.insert(field.key).second) << field.key;
        EXPECT_FALSE(field.what.empty()) << field.key;
        Recipe changed;
        field.set(changed, field.get(Recipe{}));
        EXPECT_EQ(changed, Recipe{}) << field.key;
    }
}

TEST(Recipe, SaysWhatIsWrongAndWhere) {
    EXPECT_EQ(read_error("\nbatch = 0"), "r.toml:2: 'batch': '0' is not a whole number from 1 on");
    EXPECT_EQ(read_error("batch = 12.5"), "r.toml:1: 'batch': '12.5' is not a whole number from 1 on");
    EXPECT_EQ(read_error("batch = []"), "r.toml:1: 'batch': needs one value");
    EXPECT_THAT(read_error("learning-rate = inf"), HasSubstr("'inf' is not a number from 0 on"));
    EXPECT_THAT(read_error("momentum = 1"), HasSubstr("'1' is not a number from 0 to below 1"));
    EXPECT_THAT(read_error("momentum = 0.99999999"),
                HasSubstr("'0.99999999' is not a number from 0 to below 1"))
        << "1 in float32";
    EXPECT_THAT(read_error("dropout = 0.99999999"), HasSubstr("is not a number from 0 to below 1"));
    EXPECT_THAT(read_error("learning-rate = 1e39"), HasSubstr("'1e39' is not a number"))
        << "infinite in float32";
    EXPECT_THAT(read_error("open-blocks = 5"), HasSubstr("'5' is not -1 to 4"));
    EXPECT_THAT(read_error("loss = \"mse\""),
                HasSubstr("'mse' is not one of cross-entropy, group-softmax, energy-margins"));
    EXPECT_THAT(read_error("flip = 1"), HasSubstr("'1' is not true or false"));
    EXPECT_THAT(read_error("crop = \"0x4\""), HasSubstr("'0x4' is not a size"));
    EXPECT_THAT(read_error("mean = [1, 2]"), HasSubstr("needs three numbers"));
    EXPECT_THAT(read_error("std = [1, 0, 1]"), HasSubstr("'std': each value must be above 0"));
    EXPECT_THAT(read_error("std = [63, 62.1, 66.7]"), HasSubstr("by 255: 0.2471,0.2435,0.2616"));
    EXPECT_THAT(read_error("mean = [125.3, 123.0, 113.9]"), HasSubstr("by 255: 0.4914,0.4824,0.4467"));
    EXPECT_THAT(read_error("mean = [-0.1, 0, 0]"), HasSubstr("'mean': each value must be from 0 to 1"));
    EXPECT_THAT(read_error("mean = [inf, 0, 0]"), HasSubstr("'mean': each value must be from 0 to 1"));
    EXPECT_THAT(read_error("rate = 1"),
                HasSubstr("r.toml:1: 'rate' is no field of a recipe; those are net, "));
    EXPECT_THAT(read_error("[train]\nbatch = 1"), HasSubstr("no tables such as [train]"));
}

TEST(Recipe, FieldsThatContradictEachOther) {
    const auto error = [](const std::string& toml) {
        return usage_error([&] { check_recipe(read_recipe(toml, "r")); });
    };
    EXPECT_EQ(error(""), "no error");
    EXPECT_THAT(error("loss = \"group-softmax\""), HasSubstr("needs 'groups'"));
    EXPECT_THAT(error("groups = [1, 2]"), HasSubstr("'groups' are for"));
    EXPECT_THAT(error("loss = \"group-softmax\"\ngroups = [4, 5]"), HasSubstr("add up to 9 classes"));
    EXPECT_EQ(error("loss = \"group-softmax\"\ngroups = [4, 6]"), "no error");
    EXPECT_THAT(error("loss = \"energy-margins\""), HasSubstr("'auxiliary-batch' above 0"));
    EXPECT_THAT(error("auxiliary-batch = 4"), HasSubstr("is for loss = \"energy-margins\""));
    EXPECT_THAT(error("mixup-alpha = 0.1\nloss = \"binary-cross-entropy\""),
                HasSubstr("'mixup-alpha' is for"));
    EXPECT_THAT(error("drops = [3]"), HasSubstr("'drops' are for"));
    EXPECT_THAT(error("schedule = \"staircase\"\ndrops = [3, 3]"), HasSubstr("must ascend"));
    EXPECT_THAT(error("momentum = 0"), HasSubstr("'nesterov' needs"));
    EXPECT_THAT(error("learning-rate = 1e-7"), HasSubstr("'cosine-floor' is above 'learning-rate'"));
    EXPECT_EQ(error("learning-rate = 1e-7\nschedule = \"staircase\""), "no error");
    EXPECT_THAT(error("pad = 4"), HasSubstr("'pad' needs 'crop'"));
    EXPECT_THAT(error("resize = \"8\"\ncrop = \"9\""), HasSubstr("larger than 'resize'"));
    EXPECT_THAT(error("mean = [0, 0, 0]"), HasSubstr("go together"));
}

TEST(Recipe, FieldsThatNothingReads) {
    const auto error = [](const std::string& toml) {
        return usage_error([&] { check_recipe(read_recipe(toml, "r")); });
    };
    for (const std::string field : {"margin-in = -27", "margin-out = -7", "energy-weight = 1"})
        EXPECT_THAT(error(field), HasSubstr("is for loss = \"energy-margins\"")) << field;
    for (const std::string field : {"cosine-floor = 0", "cosine-ahead = 1"})
        EXPECT_THAT(error("schedule = \"staircase\"\n" + field), HasSubstr("is for schedule = \"cosine\""))
            << field;
    const std::string by_size = "schedule = \"staircase\"\nschedule-by-size = true\n";
    EXPECT_THAT(error(by_size + "warmup = 5"), HasSubstr("'warmup' follows from the number of images"));
    EXPECT_THAT(error(by_size + "drops = [5]"), HasSubstr("'drops' follow from the number of images"));
    EXPECT_THAT(error("open-blocks = 0\ndropout = 0.3"), HasSubstr("'dropout' needs layers that learn"));
    EXPECT_EQ(error("margin-in = -23\nsteps = 5\nepochs = 3\nmixup-from = 7"), "no error")
        << "run folders' recipes have every field";

    const auto by_hand = [](const std::string& toml, const char* key) {
        return usage_error([&] { require_read(read_recipe(toml, "r"), key, "--key"); });
    };
    EXPECT_EQ(by_hand("", "margin-in"), "--key: 'margin-in' is for loss = \"energy-margins\"")
        << "though it is the default";
    EXPECT_THAT(by_hand("steps = 5", "epochs"), HasSubstr("'epochs' is for recipes whose 'steps' is 0"));
    EXPECT_THAT(by_hand(by_size, "epochs"), HasSubstr("and 'schedule-by-size' false"));
    EXPECT_THAT(by_hand("mixup-from = 5", "mixup-from"), HasSubstr("needs 'mixup-alpha' above 0"));
    for (const char* off : {"warmup", "drops", "mixup-alpha", "cosine-ahead", "batch"})
        EXPECT_EQ(by_hand(by_size + "loss = \"binary-cross-entropy\"", off), "no error") << off;
}

TEST(Recipe, StepsFollowFromTheNumberOfImages) {
    Recipe r;
    r.epochs = 3;
    r.batch = 128;
    EXPECT_EQ(resolved(r, 50'000).steps, 3 * 391);  // the last batch of an epoch is smaller
    r.steps = 7;
    EXPECT_EQ(resolved(r, 50'000).steps, 7);
    r.steps = 0;
    r.epochs = 1'000'000'000;
    EXPECT_THAT(usage_error([&] { resolved(r, 50'000); }), HasSubstr("come to 391000000000 steps"));
}

// BiT's hyper rule; both limits, and that a number of steps given by hand stays.
TEST(Recipe, ScheduleByTheNumberOfImages) {
    Recipe r;
    r.schedule = Schedule::Staircase;
    r.schedule_by_size = true;
    r.mixup_alpha = 0.1;
    r.mixup_from = 20'000;
    const Recipe small = resolved(r, 19'999), middle = resolved(r, 20'000), large = resolved(r, 500'000);
    EXPECT_EQ(small.warmup, 100);
    EXPECT_THAT(small.drops, ElementsAre(200, 300, 400));
    EXPECT_EQ(small.steps, 500);
    EXPECT_EQ(small.mixup_alpha, 0);
    EXPECT_EQ(middle.warmup, 500);
    EXPECT_THAT(middle.drops, ElementsAre(3000, 6000, 9000));
    EXPECT_EQ(middle.steps, 10'000);
    EXPECT_EQ(middle.mixup_alpha, 0.1);
    EXPECT_EQ(resolved(r, 499'999), middle);
    EXPECT_THAT(large.drops, ElementsAre(6000, 12'000, 18'000));
    EXPECT_EQ(large.steps, 20'000);
    r.steps = 50;
    EXPECT_EQ(resolved(r, 500'000).steps, 50);
}

// The recipes of the project, against docs/training.md.
Recipe built_in(const std::string& name) {
    const std::string path = std::string(GS_SOURCE_DIR) + "/recipes/" + name + ".toml";
    const std::vector<std::byte> bytes = read_file(path, ErrorKind::Usage);
    const Recipe recipe = read_recipe({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path);
    check_recipe(recipe);
    return recipe;
}

TEST(BuiltInRecipes, CifarClassifiers) {
    Recipe want;
    want.net = "resnet34-cifar";
    want.classes = 10;
    want.start = Start::Random;
    want.learning_rate = 0.1;
    want.momentum = 0.9;
    want.nesterov = true;
    want.weight_decay = 5e-4;
    want.schedule = Schedule::Cosine;
    want.cosine_floor = 1e-6;
    want.batch = 128;
    want.epochs = 200;
    want.augmentation = {{}, 4, Size{32, 32}, true};
    EXPECT_EQ(built_in("resnet34-cifar"), want);
    want.loss = Loss::BinaryCrossEntropy;
    EXPECT_EQ(built_in("bce"), want);
    want.loss = Loss::CrossEntropy;
    want.net = "resnet20-cifar";
    EXPECT_EQ(built_in("resnet20-cifar"), want);
    want.net = "wrn-40-2";
    want.dropout = 0.3;
    want.cosine_ahead = 1;
    EXPECT_EQ(built_in("wrn-40-2"), want);
    want.loss = Loss::EnergyMargins;
    want.start = Start::Weights;
    want.margin_in = -23;
    want.margin_out = -5;
    want.energy_weight = 0.1;
    want.learning_rate = 0.001;
    want.epochs = 10;
    want.auxiliary_batch = 256;
    EXPECT_EQ(built_in("energy"), want);
}

TEST(BuiltInRecipes, BitOfAMillionImages) {
    const Recipe flat = resolved(built_in("bit-flat"), 1'281'167);
    EXPECT_EQ(flat.net, "bit-r101x1");
    EXPECT_EQ(flat.start, Start::Weights);
    EXPECT_TRUE(flat.zero_head);
    EXPECT_EQ(flat.open_blocks, 0);
    EXPECT_EQ(flat.learning_rate, 0.003);
    EXPECT_EQ(flat.momentum, 0.9);
    EXPECT_FALSE(flat.nesterov);
    EXPECT_EQ(flat.weight_decay, 0);
    EXPECT_EQ(flat.batch, 512);
    EXPECT_EQ(flat.warmup, 500);
    EXPECT_THAT(flat.drops, ElementsAre(6000, 12'000, 18'000));
    EXPECT_EQ(flat.steps, 20'000);
    EXPECT_EQ(flat.mixup_alpha, 0.1);
    EXPECT_EQ(flat.augmentation, (Augmentation{Size{512, 512}, 0, Size{480, 480}, true}));
    Recipe group = resolved(built_in("bit-group"), 1'281'167);
    EXPECT_EQ(group.loss, Loss::GroupSoftmax);
    EXPECT_THAT(group.groups, ElementsAre(398, 521, 9, 7, 52, 8, 3, 2));
    EXPECT_EQ(logit_count(group), 1008);
    group.loss = Loss::CrossEntropy;
    group.groups.clear();
    EXPECT_EQ(group, flat);
}

}  // namespace
}  // namespace gs::train
