#include "report/text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace gs {
namespace {

// The next code point and its length in bytes; a byte that begins no well-formed sequence stands for itself.
struct CodePoint {
    char32_t value;
    size_t bytes;
};

CodePoint next_code_point(std::string_view text) {
    const auto byte = [&](size_t k) { return static_cast<unsigned char>(text[k]); };
    const unsigned lead = byte(0);
    const size_t length = lead < 0x80   ? 1
                          : lead < 0xC2 ? 0
                          : lead < 0xE0 ? 2
                          : lead < 0xF0 ? 3
                          : lead < 0xF5 ? 4
                                        : 0;
    if (length <= 1 || length > text.size()) return {lead, 1};
    char32_t value = lead & (0x7Fu >> length);
    for (size_t k = 1; k < length; ++k) {
        if ((byte(k) & 0xC0) != 0x80) return {lead, 1};
        value = value << 6 | (byte(k) & 0x3F);
    }
    return {value, length};
}

struct Range {
    char32_t first, last;
};

template <size_t N>
bool is_in(char32_t c, const std::array<Range, N>& ranges) {
    return std::any_of(ranges.begin(), ranges.end(), [&](Range r) { return r.first <= c && c <= r.last; });
}

// The blocks that names are likely to hold; a terminal's own table may differ in rarer ones.
constexpr std::array<Range, 6> kNoWidth{
    {{0x300, 0x36F}, {0x483, 0x489}, {0x200B, 0x200F}, {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}}};
constexpr std::array<Range, 9> kWide{{{0x1100, 0x115F},
                                      {0x2E80, 0x303E},
                                      {0x3041, 0xA4CF},
                                      {0xA960, 0xA97F},
                                      {0xAC00, 0xD7A3},
                                      {0xF900, 0xFAFF},
                                      {0xFE30, 0xFE6F},
                                      {0xFF00, 0xFF60},
                                      {0x1F300, 0x1FAFF}}};

size_t width_of(char32_t c) {
    if (is_in(c, kNoWidth)) return 0;
    return is_in(c, kWide) || (c >= 0x20000 && c <= 0x3FFFD) ? 2 : 1;
}

size_t missing(std::string_view text, size_t width) {
    const size_t now = display_width(text);
    return now < width ? width - now : 0;
}

}  // namespace

std::string percent(double fraction) {
    return std::isnan(fraction) ? "n/a" : fixed(100 * fraction, 2);
}

std::string grouped(int64_t count) {
    std::string text = std::to_string(count);
    const size_t first = text[0] == '-' ? 1 : 0;
    for (size_t at = text.size(); at > first + 3;) text.insert(at -= 3, 1, ',');
    return text;
}

std::string counted(int64_t count, const std::string& noun) {
    return grouped(count) + ' ' + noun + (count == 1 ? "" : "s");
}

std::string clock_time(double seconds) {
    const auto total = static_cast<int64_t>(seconds > 0 ? std::min(seconds, 1e9) + 0.5 : 0.0);  // NaN too
    const auto two = [](int64_t v) { return (v < 10 ? "0" : "") + std::to_string(v); };
    const int64_t hours = total / 3600, minutes = total / 60 % 60;
    const std::string front =
        hours > 0 ? std::to_string(hours) + ":" + two(minutes) : std::to_string(minutes);
    return front + ":" + two(total % 60);
}

size_t display_width(std::string_view text) {
    size_t width = 0;
    while (!text.empty()) {
        const CodePoint c = next_code_point(text);
        width += width_of(c.value);
        text.remove_prefix(c.bytes);
    }
    return width;
}

std::string pad_right(std::string_view text, size_t width) {
    return std::string(text) + std::string(missing(text, width), ' ');
}

std::string pad_left(std::string_view text, size_t width) {
    return std::string(missing(text, width), ' ') + std::string(text);
}

std::string pad_center(std::string_view text, size_t width) {
    const size_t spaces = missing(text, width), left = spaces / 2;
    return std::string(left, ' ') + std::string(text) + std::string(spaces - left, ' ');
}

std::string elided(std::string_view text, size_t width, std::string_view mark) {
    if (display_width(text) <= width) return std::string(text);
    std::vector<CodePoint> points;
    for (std::string_view rest = text; !rest.empty(); rest.remove_prefix(points.back().bytes))
        points.push_back(next_code_point(rest));
    const size_t mark_width = display_width(mark), room = width > mark_width ? width - mark_width : 0;
    size_t head = 0, head_bytes = 0, tail = 0, tail_bytes = 0;
    for (const CodePoint& c : points) {
        if (head + width_of(c.value) > (room + 1) / 2) break;
        head += width_of(c.value);
        head_bytes += c.bytes;
    }
    for (size_t k = points.size(); k-- > 0 && head + tail + width_of(points[k].value) <= room;) {
        tail += width_of(points[k].value);
        tail_bytes += points[k].bytes;
    }
    return std::string(text.substr(0, head_bytes)) + std::string(mark) +
           std::string(text.substr(text.size() - tail_bytes));
}

}  // namespace gs
