// What a trainer promises beside its numbers (test_golden_steps.cpp): the same bits for any number of threads
// and after a restore, errors before any weight moves, what is frozen, where a run starts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "tests/support/backends.h"
#include "tests/support/editable_weights.h"
#include "tests/support/expect_close.h"
#include "tests/support/failure.h"
#include "tests/support/golden_net.h"
#include "tests/support/random.h"
#include "train/start.h"
#include "train/trainer.h"

namespace gs::test {
namespace {

using testing::HasSubstr;
using train::Array;
using train::Recipe;
using train::Trainer;

Recipe small_recipe(const std::string& net = "resnet8-cifar") {
    Recipe r;
    r.net = net;
    r.classes = 4;
    r.learning_rate = 0.05;
    r.cosine_floor = 0;
    r.steps = 20;
    r.seed = 5;
    return r;
}

struct Images {
    int64_t n, h, w;
    std::vector<float> pixels = random_values(n * h * w * 3, Fill::Normal, 1);
    std::vector<int64_t> labels{};

    explicit Images(int64_t count = 6, int64_t side = 16) : n(count), h(side), w(side) {
        for (int64_t i = 0; i < n; ++i) labels.push_back(i % 4);
    }
    train::TrainBatch batch() const { return {.pixels = pixels, .n = n, .h = h, .w = w, .labels = labels}; }
};

std::unique_ptr<Backend> plain_backend(int threads) {
    return make_cpu_backend_with(threads, false);
}

// Dropout, mixup and batch norm take part.
Recipe busy_recipe() {
    Recipe r = small_recipe("wrn-10-1");
    r.dropout = 0.3;
    r.mixup_alpha = 0.5;
    return r;
}

void expect_same(const std::vector<Array>& got, const std::vector<Array>& want) {
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i) {
        ASSERT_EQ(got[i].name, want[i].name);
        expect_same_bits(got[i].name, got[i].values, want[i].values);
    }
}

// Promised of our own convolutions; oneDNN cuts its sums over images by threads.
TEST(Trainer, SameBitsForAnyNumberOfThreads) {
    const Images images;
    std::vector<Array> first;
    for (const int threads : {1, 2, 3}) {
        const auto backend = plain_backend(threads);
        Trainer trainer(*backend, nullptr, busy_recipe());
        for (int step = 0; step < 3; ++step) trainer.step(images.batch());
        if (first.empty()) first = trainer.weights();
        expect_same(trainer.weights(), first);
    }
}

// Where the backward pass dropped other values than the forward pass, the step would not be down the slope of
// this loss: a small one lowers it by rate |gradient|^2 = |step|^2 / rate.
TEST(Trainer, AStepIsDownTheLossOfWhatWasDropped) {
    constexpr double kRate = 1e-4;
    Recipe recipe = small_recipe("wrn-10-1");
    recipe.dropout = 0.3;
    recipe.momentum = recipe.weight_decay = 0;
    recipe.nesterov = false;
    recipe.learning_rate = kRate;
    const Images images;
    const auto backend = plain_backend(1);
    Trainer first(*backend, nullptr, recipe), second(*backend, nullptr, recipe);
    const std::vector<Array> start = first.weights();
    const double loss = first.step(images.batch()).loss;
    const std::vector<Array> moved = first.weights();
    second.restore(moved, second.optimiser_state(), 0);  // step 0 once more: it drops the same
    const double lowered = loss - second.step(images.batch()).loss;
    double squared_step = 0;
    for (size_t i = 0; i < start.size(); ++i) {
        if (start[i].name.find("running_") != std::string::npos) continue;  // not by the gradient
        for (size_t k = 0; k < start[i].values.size(); ++k)
            squared_step += std::pow(double{moved[i].values[k]} - double{start[i].values[k]}, 2);
    }
    const double want = squared_step / kRate;
    EXPECT_NEAR(lowered, want, 0.01 * want);  // the series' next term, and the loss's rounding
}

TEST(Trainer, DropsInTrainingAlone) {
    const Images images;
    const auto backend = plain_backend(1);
    Recipe recipe = small_recipe("wrn-10-1");
    Trainer whole(*backend, nullptr, recipe);
    recipe.dropout = 0.3;
    Trainer dropping(*backend, nullptr, recipe);
    expect_same(dropping.weights(), whole.weights());
    const auto judge = [&](Trainer& t) {
        return t.evaluate(images.pixels, images.n, images.h, images.w, images.labels).loss;
    };
    EXPECT_EQ(judge(dropping), judge(whole));
    EXPECT_NE(dropping.step(images.batch()).loss, whole.step(images.batch()).loss);
}

TEST(Trainer, EvaluatesTheMeanOverImagesWithoutSmoothing) {
    const Images images;
    const auto backend = plain_backend(1);
    Recipe recipe = small_recipe();
    Trainer plain(*backend, nullptr, recipe);
    recipe.label_smoothing = 0.2;
    Trainer smoothed(*backend, nullptr, recipe);
    const auto whole = smoothed.evaluate(images.pixels, images.n, images.h, images.w, images.labels);
    const size_t size = images.pixels.size() / images.labels.size();
    double loss = 0;
    int64_t correct = 0;
    for (size_t i = 0; i < images.labels.size(); ++i) {
        const auto one = plain.evaluate(std::span(images.pixels).subspan(i * size, size), 1, images.h,
                                        images.w, std::span(images.labels).subspan(i, 1));
        loss += one.loss / static_cast<double>(images.n);
        correct += one.correct;
    }
    EXPECT_NEAR(whole.loss, loss, 1e-6);  // float32 logits near 1
    EXPECT_EQ(whole.correct, correct);
}

TEST(Trainer, ARestoredRunGoesOnToTheSameBits) {
    const Images images;
    for (const BackendUnderTest& b : backends_under_test()) {
        if (b.backend->map_type() != DType::F32) continue;
        SCOPED_TRACE(b.name);
        Trainer whole(*b.backend, nullptr, busy_recipe()), half(*b.backend, nullptr, busy_recipe()),
            other(*b.backend, nullptr, busy_recipe());
        for (int step = 0; step < 4; ++step) whole.step(images.batch());
        for (int step = 0; step < 2; ++step) half.step(images.batch());
        other.step(images.batch());  // somewhere else, before it is restored
        other.evaluate(images.pixels, images.n, images.h, images.w, images.labels);
        other.restore(half.weights(), half.optimiser_state(), half.steps_done());
        for (int step = 2; step < 4; ++step) other.step(images.batch());
        EXPECT_EQ(other.steps_done(), 4);
        expect_same(other.weights(), whole.weights());
        expect_same(other.optimiser_state(), whole.optimiser_state());
        const auto judge = [&](Trainer& t) {
            return t.evaluate(images.pixels, images.n, images.h, images.w, images.labels).loss;
        };
        EXPECT_EQ(judge(other), judge(whole));
    }
}

TEST(Trainer, RestoresNothingFromArraysThatDoNotFit) {
    const auto backend = plain_backend(1);
    Trainer trainer(*backend, nullptr, small_recipe());
    const std::vector<Array> weights = trainer.weights(), state = trainer.optimiser_state();
    const auto message = [&](std::span<const Array> w, std::span<const Array> s) {
        try {
            trainer.restore(w, s, 3);
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::Weights);
            return std::string(error.what());
        }
        return std::string();
    };
    EXPECT_THAT(message(std::span(weights).subspan(1), state), HasSubstr("missing " + weights[0].name));
    EXPECT_THAT(message(weights, std::span(state).first(2)), HasSubstr("missing " + state[2].name));
    std::vector<Array> misshapen = weights;
    misshapen[0].shape = {1};
    EXPECT_THAT(message(misshapen, state), HasSubstr(weights[0].name + " is [1], needed"));
    EXPECT_EQ(trainer.steps_done(), 0);
    expect_same(trainer.weights(), weights);
}

// Weights and momentum of what learns; running statistics have moved, the header says so.
std::map<std::string, std::vector<float>> learned(const Trainer& trainer) {
    std::map<std::string, std::vector<float>> all;
    for (const Array& array : trainer.optimiser_state()) all["momentum of " + array.name] = array.values;
    for (const Array& array : trainer.weights())
        if (array.name.find("running_") == std::string::npos) all[array.name] = array.values;
    return all;
}

TEST(Trainer, ALossThatIsNoNumberMovesNoWeight) {
    const auto backend = plain_backend(1);
    Trainer trainer(*backend, nullptr, small_recipe());
    Images images;
    trainer.step(images.batch());
    const auto before = learned(trainer);
    images.pixels[100] = std::nanf("");
    try {
        trainer.step(images.batch());
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("the loss of step 1 is not finite"));
    }
    EXPECT_EQ(learned(trainer), before);
    EXPECT_EQ(trainer.steps_done(), 1);
}

TEST(Trainer, RefusesLabelsThatAreNoClass) {
    const auto backend = plain_backend(1);
    Trainer trainer(*backend, nullptr, small_recipe());
    Images images;
    for (const int64_t label : {-1, 4}) {
        images.labels[2] = label;
        try {
            trainer.step(images.batch());
            FAIL() << "no error";
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::Data);
            EXPECT_THAT(error.what(), HasSubstr("label " + std::to_string(label)));
        }
    }
}

TEST(Trainer, LearnsWhatItIsShown) {
    const Images images;
    const auto backend = plain_backend(1);
    Recipe recipe = small_recipe();
    recipe.steps = 30;
    Trainer trainer(*backend, nullptr, recipe);
    const double first = trainer.step(images.batch()).loss;
    train::StepResult last;
    for (int step = 1; step < 30; ++step) last = trainer.step(images.batch());
    EXPECT_LT(last.loss, 0.2 * first);
    EXPECT_EQ(last.correct, images.n);
}

// The last batch of an epoch is smaller; sizes may come and go.
TEST(Trainer, BatchesOfAnySize) {
    const auto backend = plain_backend(1);
    const Images large(6), small(2);
    Trainer trainer(*backend, nullptr, small_recipe()), again(*backend, nullptr, small_recipe());
    for (Trainer* t : {&trainer, &again})
        for (const Images* images : {&large, &small, &large}) t->step(images->batch());
    expect_same(trainer.weights(), again.weights());
}

// Nets without batch norm take a batch in parts; a resumed run has not seen the batches before.
TEST(Trainer, PartsOfABatchDoNotDependOnBatchesBefore) {
    const auto backend = plain_backend(1);
    const GoldenNet golden(own_golden_nets().front());
    Recipe recipe = small_recipe("auto");
    recipe.classes = 7;
    const Images large(6, 40), small(1, 40);
    for (size_t memory = size_t{1} << 18; memory <= size_t{1} << 24; memory *= 4) {
        SCOPED_TRACE(memory);
        const train::TrainerOptions options{.memory_bytes = memory};
        Trainer whole(*backend, &golden.weights(), recipe, options),
            resumed(*backend, &golden.weights(), recipe, options);
        for (const Images* images : {&large, &small}) whole.step(images->batch());
        resumed.restore(whole.weights(), whole.optimiser_state(), whole.steps_done());
        for (Trainer* trainer : {&whole, &resumed}) trainer->step(large.batch());
        expect_same(resumed.weights(), whole.weights());
    }
}

// Two images where a batch norm sees one position, as a step on them would say.
TEST(Trainer, KnowsHowManyImagesAStepNeeds) {
    const auto backend = plain_backend(1);
    const auto least = [&](const std::string& net, int64_t side) {
        Trainer trainer(*backend, nullptr, small_recipe(net));
        const int64_t needed = trainer.least_images(side, side);
        const Images enough(needed, side), alone(1, side);
        trainer.step(enough.batch());
        if (needed > 1) {
            EXPECT_THROW(trainer.step(alone.batch()), Error);
        }
        return needed;
    };
    EXPECT_EQ(least("resnet20-cifar", 4), 2);
    EXPECT_EQ(least("resnet20-cifar", 8), 1);
    const GoldenNet golden(own_golden_nets().front());
    for (const int64_t open : {-1, 0}) {
        Recipe recipe = small_recipe("auto");
        recipe.classes = 7;
        recipe.open_blocks = open;
        EXPECT_EQ(Trainer(*backend, &golden.weights(), recipe).least_images(40, 40), 1) << "no batch norm";
    }
}

std::map<std::string, bool> moved_by_a_step(const Recipe& recipe) {
    const auto backend = plain_backend(1);
    const GoldenNet golden(own_golden_nets().front());  // BiT, blocks of 1, 2, 1, 1 units
    Trainer trainer(*backend, &golden.weights(), recipe);
    const std::vector<Array> before = trainer.weights();
    trainer.step(Images(3, 40).batch());
    const std::vector<Array> after = trainer.weights();
    std::map<std::string, bool> moved;
    for (size_t i = 0; i < after.size(); ++i) moved[after[i].name] = !(after[i] == before[i]);
    return moved;
}

TEST(Trainer, OpensBlocksFromTheEnd) {
    for (int64_t open = -1; open <= 4; ++open) {
        Recipe recipe = small_recipe("auto");
        recipe.classes = 7;
        recipe.open_blocks = open;
        SCOPED_TRACE(open);
        for (const auto& [name, moved] : moved_by_a_step(recipe)) {
            bool expected =
                open < 0 || name.starts_with("head.") || (open > 0 && name.starts_with("before_head."));
            for (int64_t b = 5 - open; open > 0 && b <= 4; ++b)
                expected = expected || name.starts_with("body.block" + std::to_string(b) + ".");
            if (open > 0 && name.starts_with("body.block" + std::to_string(5 - open) + ".unit01.gn1."))
                expected = false;
            EXPECT_EQ(moved, expected) << name;
        }
    }
}

TEST(Trainer, SaysWhatCannotBeOpened) {
    const auto backend = plain_backend(1);
    Recipe recipe = small_recipe();
    recipe.open_blocks = 2;
    const auto construct = [&] { Trainer(*backend, nullptr, recipe); };
    EXPECT_THAT(failure_of(ErrorKind::Usage, construct),
                HasSubstr("--open-blocks 2: resnet8-cifar can be trained"));
    recipe = small_recipe("auto");
    recipe.classes = 7;
    recipe.open_blocks = 5;
    const GoldenNet golden(own_golden_nets().front());
    EXPECT_THROW(Trainer(*backend, &golden.weights(), recipe), Error);
}

// Features are those of the net that scores; a step on them is the step on the images, to the bit.
TEST(Trainer, AHeadLearnsTheSameFromItsFeatures) {
    const Images images(5, 40);
    for (const BackendUnderTest& b : backends_under_test()) {
        if (b.backend->map_type() != DType::F32) continue;
        SCOPED_TRACE(b.name);
        Recipe recipe = small_recipe("auto");
        recipe.classes = 7;
        recipe.open_blocks = 0;
        const GoldenNet golden(own_golden_nets().front());
        Trainer by_images(*b.backend, &golden.weights(), recipe),
            by_features(*b.backend, &golden.weights(), recipe);
        const std::vector<float> features = by_features.features(images.pixels, images.n, images.h, images.w);
        ASSERT_EQ(static_cast<int64_t>(features.size()), images.n * by_features.feature_count());
        for (int step = 0; step < 3; ++step) {
            const auto one = by_images.step(images.batch());
            const auto other = by_features.step_on_features(
                {.pixels = features, .n = images.n, .h = 1, .w = 1, .labels = images.labels});
            EXPECT_EQ(one.loss, other.loss);
        }
        expect_same(by_images.weights(), by_features.weights());
        // Evaluation sees what was learned.
        const auto judge = [&](Trainer& t) {
            return t.evaluate(images.pixels, images.n, images.h, images.w, images.labels).loss;
        };
        EXPECT_EQ(judge(by_images), judge(by_features));
        Trainer fresh(*b.backend, &golden.weights(), recipe);
        EXPECT_LT(judge(by_images), judge(fresh));
    }
}

TEST(Trainer, MixupIsDrawnFromSeedAndStep) {
    Recipe recipe = small_recipe();
    EXPECT_FALSE(train::draw_mixup(recipe, 0, 8).has_value());
    recipe.mixup_alpha = 0.1;
    const auto a = train::draw_mixup(recipe, 3, 8), b = train::draw_mixup(recipe, 3, 8),
               next = train::draw_mixup(recipe, 4, 8);
    ASSERT_TRUE(a && b && next);
    EXPECT_EQ(a->lambda, b->lambda);
    EXPECT_EQ(a->partners, b->partners);
    EXPECT_NE(a->lambda, next->lambda);
    EXPECT_THAT(a->partners, testing::UnorderedElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
}

TEST(StartingWeights, AreDrawnAsTheReferences) {
    const auto backend = plain_backend(1);
    Recipe recipe = small_recipe("wrn-16-4");
    const std::vector<Array> weights = Trainer(*backend, nullptr, recipe).weights();
    recipe.seed = 6;
    const std::vector<Array> others = Trainer(*backend, nullptr, recipe).weights();
    for (const Array& array : weights) {
        double sum = 0, squares = 0, largest = 0;
        for (const double v : array.values) {
            sum += v;
            squares += v * v;
            largest = std::max(largest, std::abs(v));
        }
        const double n = static_cast<double>(array.values.size());
        SCOPED_TRACE(array.name);
        if (array.shape.size() == 4) {
            const double deviation =
                std::sqrt(2.0 / static_cast<double>(array.shape[0] * array.shape[2] * array.shape[3]));
            EXPECT_NEAR(std::sqrt(squares / n) / deviation, 1, 5 / std::sqrt(2 * n));  // five sigmas
            EXPECT_NEAR(sum / n / deviation, 0, 5 / std::sqrt(n));
            EXPECT_FALSE(array == *train::find(others, array.name));
        } else if (array.shape.size() == 2) {
            const double bound = 1 / std::sqrt(static_cast<double>(array.shape[1]));
            EXPECT_LE(largest, bound);
            EXPECT_NEAR(squares / n, bound * bound / 3, 0.05 * bound * bound);
        } else {
            const bool one = array.name.ends_with("running_var") ||
                             (array.name.ends_with(".weight") && array.name.find("bn") != std::string::npos);
            for (const float v : array.values) EXPECT_EQ(v, one ? 1 : 0);
        }
    }
}

// Where the reference leaves it to PyTorch's Conv2d.
TEST(StartingWeights, OfCifarResNetsAreUniform) {
    const auto backend = plain_backend(1);
    for (const Array& array : Trainer(*backend, nullptr, small_recipe("resnet18-cifar")).weights()) {
        if (array.shape.size() != 4) continue;
        const auto n = static_cast<double>(array.values.size());
        const double bound = 1 / std::sqrt(n / static_cast<double>(array.shape[0]));
        double squares = 0;
        for (const double v : array.values) {
            squares += v * v;
            EXPECT_LE(std::abs(v), bound) << array.name;
        }
        // The square of a uniform one deviates by 0.894 of its mean: five sigmas.
        EXPECT_NEAR(3 * squares / n / (bound * bound), 1, 5 * 0.9 / std::sqrt(n)) << array.name;
    }
}

TEST(StartingWeights, MustFitTheRecipe) {
    const auto backend = plain_backend(1);
    const GoldenNet golden(own_golden_nets().front());
    const auto message = [&](const Recipe& recipe, bool file) {
        try {
            Trainer(*backend, file ? &golden.weights() : nullptr, recipe);
        } catch (const Error& error) {
            return std::string(error.what());
        }
        return std::string();
    };
    EXPECT_THAT(message(small_recipe("no-such-net"), false), HasSubstr("no such net"));
    EXPECT_THAT(message(small_recipe("auto"), true),
                HasSubstr("has 7 outputs, the recipe needs 4 (--zero-head true starts"));
    Recipe recipe = small_recipe("resnet20-cifar");
    recipe.classes = 7;
    EXPECT_THAT(message(recipe, true), HasSubstr("not the recipe's resnet20-cifar"));
    recipe = small_recipe("auto");
    recipe.zero_head = true;
    EXPECT_EQ(message(recipe, true), "");
    EditableWeights broken(golden.weights());
    broken.items.front().values[0] = std::nanf("");
    const WeightFile nan = broken.file();
    EXPECT_TRUE(failure_of(ErrorKind::Weights, [&] { Trainer(*backend, &nan, recipe); })
                    .ends_with("NaN or infinite values in " + broken.items.front().name))
        << "no flag of other commands";
    recipe.dropout = 0.3;
    EXPECT_THAT(message(recipe, true), HasSubstr("'dropout' is for WideResNets"));
    EXPECT_THAT(message(busy_recipe(), false), "");
}

// A published name says nothing on what a file calls its shortcuts and its last layer.
TEST(StartingWeights, KeepTheFilesNamesOfModules) {
    EditableWeights weights;
    weights.add("conv1.weight", {64, 3, 3, 3});
    for (int stage = 1; stage <= 4; ++stage)
        weights.add("layer" + std::to_string(stage) + ".1.conv1.weight", {1});
    weights.add("layer1.0.conv1.weight", {1});
    weights.add("layer2.0.downsample.0.weight", {1});
    weights.add("fc.weight", {4, 512});
    const WeightFile file = weights.file();
    const Architecture found = train::starting_architecture(small_recipe("resnet18-cifar"), &file);
    EXPECT_EQ(found.shortcut, "downsample");
    EXPECT_EQ(found.head, "fc");
}

}  // namespace
}  // namespace gs::test
