// The loader: order, batches, failures and endings do not depend on timing or on the number of threads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include "core/files.h"
#include "data/loader.h"

namespace gs::test {
namespace {

using namespace std::chrono_literals;

// Image i is filled with the byte i; it may come late, be broken, be of another size, or throw.
struct FakeSet : ImageSet {
    int64_t count = 100;
    bool delays = false, sizes = false;
    std::set<int64_t> broken, throwing;
    mutable std::atomic<int64_t> decoded{0}, highest{-1};

    int64_t size() const override { return count; }
    ImageItem item(int64_t index) const override { return {"image " + std::to_string(index), index % 10}; }
    std::vector<std::byte> bytes(int64_t index) const override { return {static_cast<std::byte>(index)}; }
    Image decode(int64_t index, std::span<const std::byte> bytes, const DecodeLimits&) const override {
        if (delays) std::this_thread::sleep_for(std::chrono::microseconds((index * 7919) % 13 * 100));
        ++decoded;
        for (int64_t seen = highest; seen < index && !highest.compare_exchange_weak(seen, index);) continue;
        if (broken.contains(index)) throw Error(ErrorKind::Data, item(index).path + ": broken on purpose");
        if (throwing.contains(index)) throw std::runtime_error("not the image's fault");
        const int64_t side = sizes ? 2 + index / 5 % 3 : 4;
        return {side, side,
                std::vector<uint8_t>(static_cast<size_t>(side * side * 3), static_cast<uint8_t>(bytes[0]))};
    }
};

Preprocess keep_size() {
    Preprocess p;
    p.mean = {0, 0, 0};
    p.std = {1, 1, 1};
    return p;
}

Preprocess crop(int64_t side) {
    Preprocess p = keep_size();
    p.crop = Size{side, side};
    return p;
}

// Everything a loader gives, in one comparable text; pixels are checked on the way.
std::string drain(const ImageSet& set, const Preprocess& preprocess, const LoaderOptions& options) {
    Loader loader(set, preprocess, options);
    std::string log;
    while (auto batch = loader.next()) {
        EXPECT_EQ(batch->count, static_cast<int64_t>(batch->indices.size()));
        EXPECT_LE(batch->count, options.batch);
        const int64_t each = batch->height * batch->width * 3;
        EXPECT_EQ(batch->pixels.size(), static_cast<size_t>(batch->count * each));
        log += "[" + std::to_string(batch->width) + ":";
        for (int64_t i = 0; i < batch->count; ++i) {
            const int64_t index = batch->indices[static_cast<size_t>(i)];
            log += " " + std::to_string(index);
            for (int64_t p = 0; p < each; ++p)
                EXPECT_EQ(batch->pixels[static_cast<size_t>(i * each + p)],
                          static_cast<float>(index) / 255.0f);
            if (options.digests) {
                EXPECT_EQ(batch->digests.at(static_cast<size_t>(i)), sha256_hex(set.bytes(index)));
            }
        }
        for (const LoadFailure& failure : batch->failures)
            log += " !" + std::to_string(failure.index) + "(" + failure.reason + ")";
        log += "]";
        loader.recycle(std::move(*batch));
    }
    EXPECT_FALSE(loader.next());  // the end is the end
    return log;
}

TEST(Loader, KeepsOrder) {
    FakeSet set;
    set.delays = true;
    set.count = 10;
    const std::string want = "[4: 0 1 2 3][4: 4 5 6 7][4: 8 9]";
    EXPECT_EQ(drain(set, crop(4), {.batch = 4, .threads = 3, .digests = true}), want);
    EXPECT_EQ(drain(set, keep_size(), {.batch = 4, .threads = 3, .digests = true}), want);
}

TEST(Loader, WhatIsReadyIsWhatComesNextAndStaysInItsPlace) {
    FakeSet set;
    set.count = 10;
    for (const Preprocess& preprocess : {crop(4), keep_size()}) {
        Loader loader(set, preprocess, {.batch = 4, .threads = 2});
        for (int batch = 0; batch < 3; ++batch) {
            while (loader.ready().empty()) std::this_thread::sleep_for(1ms);
            const std::span<const float> ready = loader.ready();
            const auto next = loader.next();
            EXPECT_EQ(ready.data(), next->pixels.data());
            EXPECT_EQ(ready.size(), next->pixels.size());
        }
        EXPECT_FALSE(loader.next());
        EXPECT_TRUE(loader.ready().empty());
    }
}

TEST(Loader, AnyNumberOfThreadsGivesTheSame) {
    for (const bool sizes : {false, true})
        for (const bool crops : {false, true}) {
            FakeSet set;
            set.delays = true;
            set.sizes = sizes;
            set.broken = {0, 1, 17, 40, 41, 42, 43, 44, 45, 46, 47, 99};
            const Preprocess preprocess = crops ? crop(2) : keep_size();
            const std::string want = drain(set, preprocess, {.batch = 8, .threads = 1});
            for (int threads : {2, 5, 16})
                EXPECT_EQ(drain(set, preprocess, {.batch = 8, .threads = threads}), want) << threads;
        }
}

TEST(Loader, ReportsFailuresInTheirPlace) {
    FakeSet set;
    set.count = 9;
    set.broken = {1, 4, 5, 6, 7};
    const std::string b = "(broken on purpose)";
    const std::string want =
        "[4: 0 2 3 !1" + b + "][4: !4" + b + " !5" + b + " !6" + b + " !7" + b + "][4: 8]";
    EXPECT_EQ(drain(set, crop(4), {.batch = 4, .threads = 2}), want);
    set.broken = {0, 8};
    EXPECT_EQ(drain(set, keep_size(), {.batch = 4, .threads = 2}),
              "[4: 1 2 3 !0" + b + "][4: 4 5 6 7][0: !8" + b + "]");
}

TEST(Loader, SplitsBySize) {
    FakeSet set;
    set.sizes = true;  // 5 of 2x2, 5 of 3x3, 5 of 4x4, ...
    set.count = 12;
    set.broken = {6};
    EXPECT_EQ(drain(set, keep_size(), {.batch = 8, .threads = 3}),
              "[2: 0 1 2 3 4][3: 5 7 !6(broken on purpose)][3: 8 9][4: 10 11]");
}

TEST(Loader, Range) {
    FakeSet set;
    set.count = 10;
    EXPECT_EQ(drain(set, crop(4), {.batch = 3, .threads = 2, .first = 4, .last = 9}), "[4: 4 5 6][4: 7 8]");
    EXPECT_EQ(drain(set, crop(4), {.batch = 3, .threads = 2, .first = 8, .last = 100}), "[4: 8 9]");
    EXPECT_EQ(drain(set, crop(4), {.batch = 3, .threads = 2, .first = 10}), "");
    EXPECT_EQ(drain(set, crop(4), {.batch = 3, .threads = 2, .first = 5, .last = 5}), "");
}

TEST(Loader, RunsOnlyAFewBatchesAhead) {
    FakeSet set;
    set.count = 1000;
    Loader loader(set, crop(4), {.batch = 4, .threads = 2});
    ASSERT_TRUE(loader.next());
    while (set.highest < 8) std::this_thread::sleep_for(1ms);  // it does run ahead
    for (int64_t before = -1; before != set.decoded; std::this_thread::sleep_for(50ms)) before = set.decoded;
    EXPECT_LT(set.highest, 24);
}

TEST(Loader, StopsInTheMiddle) {
    FakeSet set;
    set.count = 1'000'000;
    set.delays = true;
    const auto begin = std::chrono::steady_clock::now();
    for (int taken : {0, 1, 7}) {
        Loader loader(set, crop(4), {.batch = 4, .threads = 4});
        for (int i = 0; i < taken; ++i) ASSERT_TRUE(loader.next());
    }
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
    EXPECT_LT(set.decoded, 1000);
}

TEST(Loader, PassesOnOtherExceptions) {
    for (const bool crops : {false, true}) {
        FakeSet set;
        set.throwing = {50};
        Loader loader(set, crops ? crop(4) : keep_size(), {.batch = 4, .threads = 3});
        const auto all = [&] {
            while (loader.next()) continue;
        };
        EXPECT_THROW(all(), std::runtime_error);
        EXPECT_THROW(loader.next(), std::runtime_error);
    }
}

TEST(Loader, ReusesBuffers) {
    FakeSet set;
    set.count = 400;
    Loader loader(set, crop(4), {.batch = 4, .threads = 2});
    std::set<const float*> buffers;
    while (auto batch = loader.next()) {
        buffers.insert(batch->pixels.data());
        loader.recycle(std::move(*batch));
    }
    EXPECT_LE(buffers.size(), 8u);
}

TEST(Loader, RawArraysAndRealImages) {
    const std::string sets = std::string(GS_SOURCE_DIR) + "/tests/data/sets/";
    const auto arrays = open_image_set("npy:" + sets + "float32.npy");
    Loader raw(*arrays, crop(4), {.batch = 2, .threads = 2});
    const auto batch = raw.next();
    ASSERT_TRUE(batch);
    EXPECT_EQ(batch->count, 2);
    EXPECT_EQ(batch->height, 4);
    EXPECT_EQ(batch->width, 6);  // used as they are: not cropped
    EXPECT_EQ(batch->pixels[0], 0.0f);
    EXPECT_EQ(batch->pixels[72], 10.0f);

    const auto files = open_image_set("folder:" + std::string(GS_SOURCE_DIR) + "/tests/data/images");
    Preprocess preprocess;
    preprocess.short_side = 32;
    preprocess.crop = Size{32, 32};
    Loader loader(*files, preprocess, {.batch = 16, .threads = 2});
    int64_t good = 0;
    std::vector<std::string> bad;
    while (auto images = loader.next()) {
        good += images->count;
        for (const LoadFailure& failure : images->failures) {
            bad.push_back(files->item(failure.index).path);
            EXPECT_EQ(failure.reason.find(bad.back()), std::string::npos) << failure.reason;
        }
    }
    EXPECT_EQ(good + static_cast<int64_t>(bad.size()), files->size());
    EXPECT_THAT(bad, testing::ElementsAre("jpeg_no_end.jpg", "jpeg_progressive_no_end.jpg",
                                          "jpeg_progressive_truncated.jpg", "jpeg_truncated.jpg",
                                          "png_bad_ihdr_crc.png", "png_truncated.png"));
}

}  // namespace
}  // namespace gs::test
