#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <limits>

#include "core/numbers.h"

namespace gs {
namespace {

TEST(Numbers, AreWrittenAsShortAsTheyReadBack) {
    EXPECT_EQ(shortest(0.1), "0.1");
    EXPECT_EQ(shortest(0.1f), "0.1");
    EXPECT_EQ(shortest(0.0014), "0.0014");
    EXPECT_EQ(shortest(1000.0), "1000");
    EXPECT_EQ(shortest(1e30), "1e+30");
    EXPECT_EQ(shortest(std::numeric_limits<int64_t>::min()), "-9223372036854775808");
    EXPECT_EQ(shortest(-std::numeric_limits<double>::denorm_min()), "-5e-324");
    EXPECT_EQ(shortest(-std::numeric_limits<double>::max()), "-1.7976931348623157e+308");
    EXPECT_EQ(shortest(-std::nan("")), "nan");
    EXPECT_EQ(shortest(-std::numeric_limits<double>::infinity()), "-inf");
}

// As printf writes them where the decimal point is one.
TEST(Numbers, AreRoundedAsPrintfDoes) {
    for (const double value : {0.485, 0.4850001, 1.0 / 3, 1e-5, 123456.7, 1e7, 0.0, -2.5, 0.1 + 0.2, 1e300}) {
        char text[400];
        std::snprintf(text, sizeof text, "%.6g", value);
        EXPECT_EQ(significant(value, 6), text);
        std::snprintf(text, sizeof text, "%.6f", value);
        EXPECT_EQ(fixed(value, 6), text);
    }
    EXPECT_EQ(significant(std::nan(""), 4), "nan");
    EXPECT_EQ(fixed(-std::numeric_limits<double>::infinity(), 4), "-inf");
}

TEST(Numbers, AreTheWholeText) {
    EXPECT_EQ(parse_number<int64_t>("-12"), -12);
    EXPECT_EQ(parse_number<double>("1e-3"), 0.001);
    EXPECT_EQ(parse_number<double>("-inf"), -std::numeric_limits<double>::infinity());
    for (const char* none : {"", " 1", "1 ", "+1", "0x1", "1,5", "one", "-"}) {
        EXPECT_EQ(parse_number<int64_t>(none), std::nullopt) << none;
        EXPECT_EQ(parse_number<double>(none), std::nullopt) << none;
    }
    EXPECT_EQ(parse_number<int64_t>("1.0"), std::nullopt);
    EXPECT_EQ(parse_number<int64_t>("9223372036854775808"), std::nullopt);
    EXPECT_EQ(parse_number<double>("1e999"), std::nullopt);
    EXPECT_EQ(parse_number<uint32_t>("-1"), std::nullopt);
    EXPECT_EQ(parse_number<int32_t>(std::string_view("12345", 2)), 12);
}

}  // namespace
}  // namespace gs
