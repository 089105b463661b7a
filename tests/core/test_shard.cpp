#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "core/error.h"
#include "core/shard.h"

namespace gs {
namespace {

TEST(Shard, IsWrittenAsIOfN) {
    EXPECT_EQ(parse_shard("0/1"), (Shard{0, 1}));
    EXPECT_EQ(parse_shard("3/4"), (Shard{3, 4}));
    EXPECT_EQ(parse_shard("9223372036854775806/9223372036854775807"),
              (Shard{std::numeric_limits<int64_t>::max() - 1, std::numeric_limits<int64_t>::max()}));
    EXPECT_EQ(to_string(Shard{3, 4}), "3/4");
}

TEST(Shard, AnythingElseIsRefused) {
    for (const char* bad : {"", "/", "1", "1/", "/2", "2/2", "4/3", "-1/2", "0/0", "0/-1", "+0/1", " 0/1",
                            "0/1 ", "0 /1", "0/1/2", "a/b", "0.5/2", "0/9223372036854775808"})
        try {
            parse_shard(bad);
            ADD_FAILURE() << bad;
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::Usage);
            EXPECT_THAT(error.what(), testing::HasSubstr("--shard: '" + std::string(bad) + "'"));
        }
}

TEST(Shard, RangesFollowEachOtherAndAreEven) {
    for (const int64_t n : {0, 1, 2, 7, 30, 1000})
        for (const int64_t shards : {1, 2, 3, 7, 31, 64}) {
            int64_t next = 0;
            for (int64_t i = 0; i < shards; ++i) {
                const IndexRange range = shard_range(n, {i, shards});
                EXPECT_EQ(range.first, next) << i << "/" << shards << " of " << n;
                EXPECT_GE(range.size(), n / shards);
                EXPECT_LE(range.size(), (n + shards - 1) / shards);
                next = range.last;
            }
            EXPECT_EQ(next, n);
        }
    EXPECT_EQ(shard_range(10, {1, 3}), (IndexRange{3, 6})) << "floor(10/3), floor(20/3)";
}

TEST(Shard, ProductsBeyond64BitsAreRight) {
    constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
    EXPECT_EQ(shard_range(kMost, {kMost - 1, kMost}), (IndexRange{kMost - 1, kMost}));
    EXPECT_EQ(shard_range(kMost, {1, 2}), (IndexRange{kMost / 2, kMost}));
    EXPECT_EQ(shard_range(3, {kMost - 1, kMost}), (IndexRange{2, 3}));
    EXPECT_EQ(shard_range(3, {0, kMost}), (IndexRange{0, 0}));
}

}  // namespace
}  // namespace gs
