#include <gtest/gtest.h>

#include <stdexcept>

#include "cpu/recent.h"

namespace gs::cpu {
namespace {

TEST(Recent, KeepsThoseThatWereUsedLast) {
    Recent<int, int> squares(3);
    int made = 0;
    const auto square = [&](int i) {
        return squares.get(i, [&] {
            ++made;
            return i * i;
        });
    };
    for (const int i : {1, 2, 3, 1}) EXPECT_EQ(square(i), i * i);
    EXPECT_EQ(made, 3);
    square(4);  // in the place of 2
    EXPECT_EQ(squares.size(), 3u);
    for (const int i : {1, 3, 4}) EXPECT_EQ(square(i), i * i);
    EXPECT_EQ(made, 4);
    square(2);
    EXPECT_EQ(made, 5);
    EXPECT_EQ(squares.size(), 3u);
}

TEST(Recent, StaysAsItWasWhereMakingFails) {
    Recent<int, int> values(1);
    values.get(1, [] { return 10; });
    EXPECT_THROW(values.get(2, []() -> int { throw std::runtime_error("made up"); }), std::runtime_error);
    EXPECT_EQ(values.get(1, [] { return 0; }), 10);
    EXPECT_EQ(values.get(2, [] { return 20; }), 20);
}

}  // namespace
}  // namespace gs::cpu
