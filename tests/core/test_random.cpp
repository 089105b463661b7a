#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>
#include <vector>

#include "core/random.h"

namespace gs {
namespace {

TEST(Random, AStreamForEveryKey) {
    std::set<uint64_t> firsts;
    for (uint64_t a = 0; a < 10; ++a)
        for (uint64_t b = 0; b < 10; ++b) firsts.insert(Random{a, b}.next());
    firsts.insert(Random{0}.next());
    firsts.insert(Random{0, 0, 0}.next());
    EXPECT_EQ(firsts.size(), 102u);
    EXPECT_EQ((Random{7, 8}.next()), (Random{7, 8}.next()));
}

// 5 cells, 50,000 draws: a cell's count has a standard deviation of 89, so 5 of those are 447.
TEST(Random, BelowIsEven) {
    Random random{1};
    std::map<int64_t, int> counts;
    for (int i = 0; i < 50'000; ++i) ++counts[random.below(5)];
    ASSERT_EQ(counts.size(), 5u);
    for (const auto& [value, count] : counts) EXPECT_NEAR(count, 10'000, 447) << value;
    EXPECT_EQ(random.below(1), 0);
}

struct Moments {
    double mean = 0, variance = 0;
};
template <class Draw>
Moments moments(const Draw& draw, int count) {
    double sum = 0, squares = 0;
    for (int i = 0; i < count; ++i) {
        const double x = draw();
        sum += x;
        squares += x * x;
    }
    return {sum / count, squares / count - sum / count * sum / count};
}

// Tolerances: five standard deviations of the mean and (about) of the variance of 40,000 draws.
TEST(Random, NormalHasItsMoments) {
    Random random{2};
    const Moments m = moments([&] { return random.normal(); }, 40'000);
    EXPECT_NEAR(m.mean, 0, 0.025);
    EXPECT_NEAR(m.variance, 1, 0.036);
}

TEST(Random, BetaHasItsMoments) {
    for (const double a : {0.1, 0.5, 1.0, 3.0}) {
        Random random{3};
        bool inside = true;
        const Moments m = moments(
            [&] {
                const double x = random.beta(a);
                inside &= x >= 0 && x <= 1;
                return x;
            },
            40'000);
        EXPECT_TRUE(inside) << a;
        EXPECT_NEAR(m.mean, 0.5, 0.0125) << a;
        EXPECT_NEAR(m.variance, 1 / (4 * (2 * a + 1)), 0.004) << a;
    }
}

// Below 0.01 the gamma variates themselves would underflow: lambda is still 0 or 1, never NaN.
TEST(Random, BetaOfATinyShape) {
    Random random{4};
    int ones = 0;
    for (int i = 0; i < 1000; ++i) {
        const double x = random.beta(1e-4);
        ASSERT_FALSE(std::isnan(x));
        ones += x > 0.5;
    }
    EXPECT_NEAR(ones, 500, 80);
}

TEST(Permutation, EveryIndexOnce) {
    for (const int64_t n : {1, 2, 3, 4, 5, 16, 17, 63, 64, 65, 1000}) {
        const Permutation order(Random{5, static_cast<uint64_t>(n)}, n);
        std::vector<bool> seen(static_cast<size_t>(n));
        for (int64_t i = 0; i < n; ++i) {
            const int64_t to = order(i);
            ASSERT_TRUE(to >= 0 && to < n);
            EXPECT_FALSE(seen[static_cast<size_t>(to)]) << n;
            seen[static_cast<size_t>(to)] = true;
        }
    }
}

// Of the 24 orders of four each comes up about as often: 24,000 draws, five standard deviations are 155.
TEST(Permutation, EveryOrderAsOften) {
    std::map<std::vector<int64_t>, int> counts;
    for (uint64_t seed = 0; seed < 24'000; ++seed) {
        const Permutation order(Random{6, seed}, 4);
        ++counts[{order(0), order(1), order(2), order(3)}];
    }
    EXPECT_EQ(counts.size(), 24u);
    for (const auto& [order, count] : counts) EXPECT_NEAR(count, 1000, 155);
}

// Neighbours do not stay neighbours: the mean distance of a random order of n is n / 3.
TEST(Permutation, MixesNeighbours) {
    constexpr int64_t kCount = 50'000;
    const Permutation order(Random{7}, kCount);
    double sum = 0;
    for (int64_t i = 1; i < kCount; ++i) sum += std::abs(static_cast<double>(order(i) - order(i - 1)));
    EXPECT_NEAR(sum / kCount, kCount / 3.0, kCount * 0.01);
}

}  // namespace
}  // namespace gs
