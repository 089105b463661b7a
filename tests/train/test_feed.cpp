#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "core/error.h"
#include "train/feed.h"

namespace gs::train {
namespace {

using testing::HasSubstr;

// Image i is 6x6, every pixel i.
struct Numbered : ImageSet {
    explicit Numbered(int64_t images) : count(images) {}
    int64_t count;
    std::set<int64_t> broken;
    int64_t size() const override { return count; }
    ImageItem item(int64_t index) const override { return {"image " + std::to_string(index), index % 3}; }
    std::vector<std::byte> bytes(int64_t index) const override { return {static_cast<std::byte>(index)}; }
    Image decode(int64_t index, std::span<const std::byte>, const DecodeLimits&) const override {
        if (broken.contains(index)) throw Error(ErrorKind::Data, item(index).path + ": broken on purpose");
        return {6, 6, std::vector<uint8_t>(6 * 6 * 3, static_cast<uint8_t>(index))};
    }
};

Recipe small_recipe() {
    Recipe r;
    r.batch = 8;
    r.steps = 9;
    r.augmentation = {{}, 0, Size{4, 4}, true};
    return r;
}

FeedOptions options(int threads = 1, int64_t first_step = 0) {
    FeedOptions o;
    o.preprocess.mean = {0, 0, 0};
    o.preprocess.std = {1, 1, 1};
    o.threads = threads;
    o.first_step = first_step;
    return o;
}

std::vector<FeedBatch> drain(const ImageSet& images, const ImageSet* auxiliary, const Recipe& recipe,
                             const FeedOptions& o) {
    Feed feed(images, auxiliary, recipe, o);
    std::vector<FeedBatch> batches;
    while (auto batch = feed.next()) {
        batches.push_back(*batch);
        feed.recycle(std::move(*batch));
    }
    return batches;
}

int64_t number(const FeedBatch& batch, int64_t image) {
    const size_t each = batch.pixels.size() / static_cast<size_t>(batch.count + batch.auxiliary);
    return std::lround(batch.pixels[static_cast<size_t>(image) * each] * 255);
}

void expect_equal(const FeedBatch& a, const FeedBatch& b) {
    EXPECT_EQ(a.step, b.step);
    EXPECT_EQ(a.count, b.count);
    EXPECT_EQ(a.auxiliary, b.auxiliary);
    EXPECT_EQ(a.pixels, b.pixels);
    EXPECT_EQ(a.labels, b.labels);
}

TEST(Feed, EveryImageOnceAnEpochInAnotherOrder) {
    const Numbered images(21);
    const auto batches = drain(images, nullptr, small_recipe(), options());
    ASSERT_EQ(batches.size(), 9u);  // three epochs of 8 + 8 + 5
    std::set<std::vector<int64_t>> orders;
    for (size_t epoch = 0; epoch < 3; ++epoch) {
        std::vector<int64_t> order;
        for (size_t k = 0; k < 3; ++k) {
            const FeedBatch& batch = batches[3 * epoch + k];
            EXPECT_EQ(batch.step, static_cast<int64_t>(3 * epoch + k));
            EXPECT_EQ(batch.count, k == 2 ? 5 : 8);
            EXPECT_EQ(batch.height, 4);
            EXPECT_EQ(batch.pixels.size(), static_cast<size_t>(batch.count * 4 * 4 * 3));
            for (int64_t i = 0; i < batch.count; ++i) {
                order.push_back(number(batch, i));
                EXPECT_EQ(batch.labels[static_cast<size_t>(i)], order.back() % 3);
            }
        }
        EXPECT_EQ((std::set<int64_t>(order.begin(), order.end()).size()), 21u);
        EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
        orders.insert(order);
    }
    EXPECT_EQ(orders.size(), 3u);
}

TEST(Feed, DependsOnSeedAndStepAlone) {
    const Numbered images(21), auxiliary(10);
    Recipe recipe = small_recipe();
    recipe.auxiliary_batch = 4;
    const auto all = drain(images, &auxiliary, recipe, options());
    for (const int64_t first : {0, 1, 3, 5, 8}) {  // in an epoch, and between two
        const auto rest = drain(images, &auxiliary, recipe, options(3, first));
        ASSERT_EQ(rest.size(), 9u - static_cast<size_t>(first));
        for (size_t i = 0; i < rest.size(); ++i) expect_equal(rest[i], all[i + static_cast<size_t>(first)]);
    }
    recipe.seed = 1;
    const auto other = drain(images, &auxiliary, recipe, options());
    EXPECT_NE(other[0].labels, all[0].labels);
}

// 9 steps of 4 auxiliary images out of 10: three whole passes and six more.
TEST(Feed, AuxiliaryImagesStandBehindAndComeAroundEvenly) {
    const Numbered images(21), auxiliary(10);
    Recipe recipe = small_recipe();
    recipe.auxiliary_batch = 4;
    std::vector<int64_t> seen;
    for (const FeedBatch& batch : drain(images, &auxiliary, recipe, options())) {
        EXPECT_EQ(batch.auxiliary, 4);
        EXPECT_EQ(batch.labels.size(), static_cast<size_t>(batch.count));
        for (int64_t i = 0; i < 4; ++i) seen.push_back(number(batch, batch.count + i));
        for (int64_t i = 0; i < batch.count; ++i)
            EXPECT_EQ(number(batch, i) % 3, batch.labels[static_cast<size_t>(i)]);
    }
    ASSERT_EQ(seen.size(), 36u);
    for (size_t pass = 0; pass < 3; ++pass) {
        const auto from = seen.begin() + static_cast<std::ptrdiff_t>(10 * pass);
        EXPECT_EQ((std::set<int64_t>(from, from + 10).size()), 10u) << pass;
    }
}

TEST(Feed, LeavesOutWhatCannotBeUsed) {
    Numbered images(9), auxiliary(2);
    images.broken = {2, 5};
    auxiliary.broken = {0, 1};
    Recipe recipe = small_recipe();
    recipe.auxiliary_batch = 2;
    recipe.steps = 2;
    int64_t count = 0, failures = 0;
    for (const FeedBatch& batch : drain(images, &auxiliary, recipe, options(2))) {
        count += batch.count;
        failures += static_cast<int64_t>(batch.failures.size());
        EXPECT_EQ(batch.auxiliary, 0);
        EXPECT_EQ(batch.auxiliary_failures.size(), 2u);
        EXPECT_EQ(batch.pixels.size(), static_cast<size_t>(batch.count * 4 * 4 * 3));
        for (const LoadFailure& failure : batch.failures) EXPECT_EQ(failure.reason, "broken on purpose");
    }
    EXPECT_EQ(count, 7);
    EXPECT_EQ(failures, 2);
    images.broken = {0, 1, 2, 3, 4, 5, 6, 7, 8};
    const auto none = drain(images, &auxiliary, recipe, options());
    ASSERT_EQ(none.size(), 2u);
    EXPECT_EQ(none[0].count, 0);
    EXPECT_EQ(none[0].failures.size(), 8u);
}

TEST(Feed, ImagesMustBeOfOneSize) {
    const Numbered images(9);
    Recipe recipe = small_recipe();
    recipe.augmentation.crop.reset();
    try {
        drain(images, nullptr, recipe, options());
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::Usage);
        EXPECT_THAT(error.what(), HasSubstr("would differ in size; 'crop' or 'resize'"));
    }
}

}  // namespace
}  // namespace gs::train
