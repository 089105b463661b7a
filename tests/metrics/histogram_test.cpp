#include "metrics/histogram.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

namespace gs {
namespace {

using testing::ElementsAre;
using Values = std::vector<double>;

BinRange range_of(const std::vector<Values>& sets) {
    const std::vector<std::span<const double>> spans(sets.begin(), sets.end());
    return bin_range(spans);
}

TEST(Histogram, CountsEveryScoreOnce) {
    EXPECT_THAT(histogram(Values{0, 0.1, 0.5, 0.99, 1}, {0, 1}, 2), ElementsAre(2, 3));
    EXPECT_THAT(histogram(Values{-5, INFINITY, -INFINITY, 7, NAN}, {0, 1}, 3), ElementsAre(2, 0, 2));
    EXPECT_THAT(histogram(Values{}, {0, 1}, 2), ElementsAre(0, 0));
}

TEST(Histogram, RangeHoldsTheMiddleOfEverySet) {
    Values wide(1001), narrow{5, 6};
    std::iota(wide.begin(), wide.end(), 0.0);
    wide.back() = 1e9;
    const BinRange of_wide = range_of({wide});
    EXPECT_EQ(of_wide.low, 5);
    EXPECT_EQ(of_wide.high, 995);
    const BinRange both = range_of({narrow, {-3, NAN, INFINITY}});
    EXPECT_EQ(both.low, -3);
    EXPECT_EQ(both.high, 6);
}

TEST(Histogram, ARangeHasAWidth) {
    using Limits = std::numeric_limits<double>;
    constexpr double kMost = Limits::max(), kTiny = Limits::denorm_min();
    for (const auto& sets : std::vector<std::vector<Values>>{{},
                                                             {{}},
                                                             {{NAN, INFINITY}},
                                                             {{0}},
                                                             {{7, 7}},
                                                             {{-1e300}},
                                                             {{kMost}},
                                                             {{-kMost, kMost}},
                                                             {{kTiny, kTiny}},
                                                             {{0, kTiny}, {-kTiny}},
                                                             {{1e-310, 3e-310}},
                                                             {{Limits::min()}}}) {
        const BinRange range = range_of(sets);
        EXPECT_TRUE(std::isfinite(range.low) && std::isfinite(range.high));
        EXPECT_GT(range.high / 2 - range.low / 2, 0) << "bins are found by halves";
        for (const Values& set : sets) {
            const auto counts = histogram(set, range, 10);
            EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), int64_t{0}),
                      std::count_if(set.begin(), set.end(), [](double s) { return !std::isnan(s); }));
        }
    }
}

}  // namespace
}  // namespace gs
