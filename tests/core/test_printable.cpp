#include <gtest/gtest.h>

#include "core/printable.h"

namespace gs {
namespace {

TEST(Printable, Utf8) {
    for (const char* good : {"", "abc", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"})
        EXPECT_TRUE(is_utf8(good)) << good;
    for (const char* bad : {"\x80", "\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
                            "\xf4\x90\x80\x80", "\xff", "a\xe2\x82"})
        EXPECT_FALSE(is_utf8(bad)) << bad;
}

TEST(Printable, ControlsAndBrokenBytesAreEscaped) {
    EXPECT_EQ(printable("caf\xc3\xa9"), "caf\xc3\xa9");
    EXPECT_EQ(printable("a\n\x1b[2J\x7f"), "a\\x0a\\x1b[2J\\x7f");
    EXPECT_EQ(printable("\xff\xc2\x9b"), "\\xff\\xc2\\x9b");
    EXPECT_EQ(printable("abcdef", 3), "abc...");
    EXPECT_EQ(printable("abc", 3), "abc");
}

}  // namespace
}  // namespace gs
