#include "report/text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace gs {
namespace {

TEST(Text, Numbers) {
    EXPECT_EQ(percent(0.92091), "92.09");
    EXPECT_EQ(percent(1), "100.00");
    EXPECT_EQ(percent(0), "0.00");
    EXPECT_EQ(percent(std::nan("")), "n/a");
    EXPECT_EQ(fixed(41.25, 0), "41");
    EXPECT_EQ(fixed(1e300, 1).size(), 303u);
    EXPECT_EQ(grouped(0), "0");
    EXPECT_EQ(grouped(999), "999");
    EXPECT_EQ(grouped(1000), "1,000");
    EXPECT_EQ(grouped(-1234567), "-1,234,567");
    EXPECT_EQ(grouped(-123), "-123");
    EXPECT_EQ(counted(1, "image"), "1 image");
    EXPECT_EQ(counted(0, "image"), "0 images");
    EXPECT_EQ(counted(1234, "image"), "1,234 images");
}

TEST(Text, Times) {
    EXPECT_EQ(clock_time(0), "0:00");
    EXPECT_EQ(clock_time(59.6), "1:00");
    EXPECT_EQ(clock_time(754), "12:34");
    EXPECT_EQ(clock_time(3723), "1:02:03");
    EXPECT_EQ(clock_time(-5), "0:00");
    EXPECT_EQ(clock_time(std::nan("")), "0:00");
    EXPECT_EQ(clock_time(1e300), "277777:46:40");
}

TEST(Text, DisplayWidth) {
    EXPECT_EQ(display_width(""), 0u);
    EXPECT_EQ(display_width("abc"), 3u);
    EXPECT_EQ(display_width("FPR95↓"), 6u);
    EXPECT_EQ(display_width("纹理"), 4u);
    EXPECT_EQ(display_width("a\u0308"), 1u);
    EXPECT_EQ(display_width("🐟"), 2u);
    EXPECT_EQ(display_width("\xFF\xE2\x86"), 3u);  // no UTF-8: a byte, a column
}

TEST(Text, Padding) {
    EXPECT_EQ(pad_right("ä", 3), "ä  ");
    EXPECT_EQ(pad_left("纹", 3), " 纹");
    EXPECT_EQ(pad_center("ab", 5), " ab  ");
    EXPECT_EQ(pad_right("long", 2), "long");
}

TEST(Text, ElidedKeepsBothEnds) {
    EXPECT_EQ(elided("short", 5, "…"), "short");
    EXPECT_EQ(elided("abcdefghij", 5, "…"), "ab…ij");
    EXPECT_EQ(elided("abcdefghij", 6, ".."), "ab..ij");
    EXPECT_EQ(elided("纹理纹理纹理", 6, "…"), "纹…理");
    for (size_t width = 1; width < 14; ++width)
        EXPECT_LE(display_width(elided("a纹b理c纹d理e", width, "…")), width) << width;
}

}  // namespace
}  // namespace gs
