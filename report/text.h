// Numbers and columns for human eyes and for files, independent of the locale.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/numbers.h"  // fixed, significant

namespace gs {

// 0.8251 -> "82.51" (two decimals); NaN -> "n/a".
std::string percent(double fraction);

// 1234567 -> "1,234,567".
std::string grouped(int64_t count);
// "1 image", "1,234 images".
std::string counted(int64_t count, const std::string& noun);

// Seconds as "0:07", "12:34", "1:02:03".
std::string clock_time(double seconds);

// Columns of a terminal that the text takes: combining marks take none, East Asian wide characters and emoji
// two. Bytes that are not UTF-8 count one each.
size_t display_width(std::string_view text);

// Spaces added up to `width` columns; longer texts come back as they are.
std::string pad_right(std::string_view text, size_t width);
std::string pad_left(std::string_view text, size_t width);
std::string pad_center(std::string_view text, size_t width);

// At most `width` columns: the middle of a longer text gives way to `mark`.
std::string elided(std::string_view text, size_t width, std::string_view mark);

}  // namespace gs
