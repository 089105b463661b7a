#include "metrics/rank_correlation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace gs {
namespace {

using testing::ElementsAre;
using Values = std::vector<double>;

TEST(RankCorrelation, EqualValuesShareTheirMeanRank) {
    EXPECT_THAT(mean_ranks(Values{3, 1, 2}), ElementsAre(3, 1, 2));
    EXPECT_THAT(mean_ranks(Values{5, 1, 5, 5}), ElementsAre(3, 1, 3, 3));
    EXPECT_THAT(mean_ranks(Values{INFINITY, -INFINITY, 0}), ElementsAre(3, 1, 2));
    EXPECT_THAT(mean_ranks(Values{}), ElementsAre());
}

// The last two by Python's statistics.correlation of the mean ranks.
TEST(RankCorrelation, OfKnownPairs) {
    EXPECT_DOUBLE_EQ(rank_correlation(Values{1, 2, 3, 4}, Values{1, 10, 100, 1000}), 1);
    EXPECT_DOUBLE_EQ(rank_correlation(Values{1, 2, 3, 4}, Values{4, 3, 2, 1}), -1);
    EXPECT_NEAR(rank_correlation(Values{1, 2, 3, 4, 5}, Values{5, 6, 7, 8, 7}), 0.8207826816681233, 1e-15);
    EXPECT_NEAR(rank_correlation(Values{1, 1, 2, 3, 9, 9}, Values{2, 1, 1, 5, 3, 4}), 0.6717166132798487,
                1e-15);
}

TEST(RankCorrelation, NeedsTwoPairsThatDiffer) {
    EXPECT_TRUE(std::isnan(rank_correlation(Values{}, Values{})));
    EXPECT_TRUE(std::isnan(rank_correlation(Values{1}, Values{2})));
    EXPECT_TRUE(std::isnan(rank_correlation(Values{1, 1, 1}, Values{1, 2, 3})));
}

TEST(RankCorrelation, PairsWithNanAreLeftOut) {
    const Values a{1, NAN, 3, 4, 2}, b{10, 20, NAN, 40, 30};
    EXPECT_DOUBLE_EQ(rank_correlation(a, b), rank_correlation(Values{1, 4, 2}, Values{10, 40, 30}));
    const std::vector<Values> columns{a, b, {1, 2, 3, 4, 5}};
    const auto matrix = rank_correlations(columns);
    for (size_t i = 0; i < 3; ++i)
        for (size_t j = 0; j < 3; ++j)
            EXPECT_DOUBLE_EQ(matrix[i][j], rank_correlation(columns[i], columns[j])) << i << " " << j;
}

}  // namespace
}  // namespace gs
