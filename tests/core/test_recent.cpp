#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <unordered_map>

#include "core/recent.h"

namespace gs {
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
    for (const int i : {1, 2}) EXPECT_EQ(square(i), i * i);
    EXPECT_FALSE(squares.full());
    for (const int i : {3, 1}) EXPECT_EQ(square(i), i * i);
    EXPECT_TRUE(squares.full());
    EXPECT_EQ(made, 3);
    square(4);  // in the place of 2
    EXPECT_EQ(squares.size(), 3u);
    for (const int i : {1, 3, 4}) EXPECT_EQ(square(i), i * i);
    EXPECT_EQ(made, 4);
    square(2);
    EXPECT_EQ(made, 5);
    EXPECT_EQ(squares.size(), 3u);
}

TEST(Recent, MayHash) {
    Recent<std::string, int, std::unordered_map, std::hash<std::string>> lengths(2);
    for (const std::string word : {"one", "three", "four", "three"})
        EXPECT_EQ(lengths.get(word, [&] { return static_cast<int>(word.size()); }),
                  static_cast<int>(word.size()));
    EXPECT_EQ(lengths.size(), 2u);
}

TEST(Recent, StaysAsItWasWhereMakingFails) {
    Recent<int, int> values(1);
    values.get(1, [] { return 10; });
    EXPECT_THROW(values.get(2, []() -> int { throw std::runtime_error("made up"); }), std::runtime_error);
    EXPECT_EQ(values.get(1, [] { return 0; }), 10);
    EXPECT_EQ(values.get(2, [] { return 20; }), 20);
}

}  // namespace
}  // namespace gs
