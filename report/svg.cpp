#include "report/svg.h"

#include <algorithm>
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

std::string tick_text(double value, double step) {
    if (std::abs(value) < step / 2) return "0";
    if (step < 1e-4) return shortest(std::round(value / step) * step).substr(0, 8);
    return fixed(value, step >= 1 ? 0 : static_cast<int>(std::ceil(-std::log10(step) - 1e-9)));
}

std::string number(double value, int decimals) {
    std::string text = fixed(value, decimals);
    if (text.find('.') != text.npos) {
        text.erase(text.find_last_not_of('0') + 1);
        if (text.back() == '.') text.pop_back();
    }
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
