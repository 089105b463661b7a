#include "report/svg.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>

#include "core/numbers.h"
#include "core/printable.h"
#include "report/text.h"

namespace gs {

std::string xml_escaped(std::string_view text, size_t limit) {
    std::string out;
    const std::string shown = printable(text, limit);
    for (size_t i = 0; i < shown.size(); ++i) {
        const char c = shown[i];
        // U+FFFE and U+FFFF are no characters of XML; U+FFFD stands for what cannot be shown.
        if (shown.compare(i, 3, "\xEF\xBF\xBE") == 0 || shown.compare(i, 3, "\xEF\xBF\xBF") == 0) {
            out += "\xEF\xBF\xBD";
            i += 2;
            continue;
        }
        switch (c) {
            case '&':
                out += "&amp;";
                break;
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '"':
                out += "&quot;";
                break;
            case '\'':
                out += "&#39;";
                break;
            default:
                out += c;
        }
    }
    return out;
}

namespace svg {

void Range::take(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
}

Range range_to_draw(Range values, bool from_zero) {
    constexpr double kNothing = 1e-18;
    if (values.empty()) return {0, 1};
    const double largest = std::max(std::abs(values.low), std::abs(values.high));
    if (values.size() > std::max(1e-9 * largest, kNothing)) {
        if (from_zero) values.take(0);
        return values;
    }
    const double middle = values.low / 2 + values.high / 2;
    if (largest <= kNothing) return {-1, 1};
    if (from_zero) return {std::min(0.0, 2 * middle), std::max(0.0, 2 * middle)};
    return {middle - largest / 10, middle + largest / 10};
}

double tick_step(const Range& range, int count) {
    const double rough = range.size() / count;
    const double power = std::pow(10, std::floor(std::log10(rough)));
    for (const double factor : {1.0, 2.0, 5.0})
        if (factor * power >= rough) return factor * power;
    return 10 * power;
}

std::vector<double> ticks(const Range& range, double step) {
    std::vector<double> values;
    const double first = std::ceil(range.low / step - 1e-9);
    for (double k = first; k * step <= range.high + step * 1e-6 && values.size() < 100; ++k)
        values.push_back(k * step);
    return values;
}

namespace {

// "d.ddde-05", with so many digits behind the point.
std::string scientific(double value, int decimals) {
    char text[64];
    return {text,
            std::to_chars(text, text + sizeof text, value, std::chars_format::scientific, decimals).ptr};
}

int exponent_of(const std::string& scientific_text) {
    return std::stoi(scientific_text.substr(scientific_text.find('e') + 1));
}

// The decimal place of the last digit other than 0, of four at most: -1 of 0.2 and of 2.5, 2 of 300.
int last_place(double value) {
    const std::string text = scientific(value, 3);
    const size_t last = text.find_last_not_of('0', text.find('e') - 1);
    return exponent_of(text) - (last > 1 ? static_cast<int>(last) - 1 : 0);
}

std::string without_end_zeros(std::string text) {
    if (text.find('.') == text.npos) return text;
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
    return text;
}

// Rounded at the place of the power of ten `last`: 0.00012 at -5 is "1.2e-4".
std::string with_exponent(double value, int last) {
    const int first = exponent_of(scientific(value, 14));  // fewer digits could round up to the next place
    const std::string text = scientific(value, std::clamp(first - last, 0, 16));
    return without_end_zeros(text.substr(0, text.find('e'))) + "e" + std::to_string(exponent_of(text));
}

size_t longest(const std::vector<std::string>& texts) {
    size_t length = 0;
    for (const std::string& text : texts) length = std::max(length, text.size());
    return length;
}

}  // namespace

std::vector<std::string> tick_texts(const std::vector<double>& ticks, double step) {
    constexpr size_t kLong = 7;
    constexpr int kMostDecimals = 20;  // beyond that exponents are shorter in any case
    const int last = last_place(step);
    std::vector<std::string> plain, exponents;
    for (const double value : ticks) {
        const bool zero = std::abs(value) < step / 2;
        plain.push_back(zero ? "0" : fixed(value, std::clamp(-last, 0, kMostDecimals)));
        exponents.push_back(zero ? "0" : with_exponent(value, last));
    }
    const bool many_zeros = step < 1e-4;
    const bool use_exponents = (many_zeros || longest(plain) > kLong) && longest(exponents) < longest(plain);
    return use_exponents ? exponents : plain;
}

std::string number(double value, int decimals) {
    const std::string text = without_end_zeros(fixed(value, decimals));
    return text == "-0" ? "0" : text;
}

namespace {

// In paths the zero before the point may go.
std::string short_number(double value, int decimals) {
    std::string text = number(value, decimals);
    const size_t first = text[0] == '-' ? 1 : 0;
    if (text.compare(first, 2, "0.") == 0) text.erase(first, 1);
    return text;
}

}  // namespace

std::string path_through(const std::vector<Point>& points, int decimals) {
    const double grid = std::pow(10, decimals);
    std::string path;
    int64_t last_x = 0, last_y = 0;
    for (const Point& p : points) {
        const int64_t x = std::llround(p.x * grid), y = std::llround(p.y * grid);
        if (!path.empty() && x == last_x && y == last_y) continue;
        const bool first = path.empty();
        path += first ? "M" : "l";
        const std::string dy = short_number(static_cast<double>(y - last_y) / grid, decimals);
        path +=
            short_number(static_cast<double>(x - last_x) / grid, decimals) + (dy[0] == '-' ? "" : " ") + dy;
        last_x = x;
        last_y = y;
    }
    return path;
}

std::string attributes(std::initializer_list<Attribute> list) {
    std::string text;
    for (const auto& [name, value] : list) {
        text += ' ';
        text += name;
        text += "=\"" + xml_escaped(value, SIZE_MAX) + '"';
    }
    return text;
}

}  // namespace svg
}  // namespace gs
