// The pieces of our pictures: text that XML and HTML leave alone, ranges, ticks, elements.
#pragma once

#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gs {

// Text for XML and HTML, in elements and in quoted attributes. Control characters and bytes that are not
// UTF-8 show as \xNN; a text longer than about `limit` bytes ends in "...".
std::string xml_escaped(std::string_view text, size_t limit = 4000);

namespace svg {

struct Range {
    double low = std::numeric_limits<double>::infinity(), high = -low;
    void take(double value);
    bool empty() const { return !(low <= high); }
    double size() const { return high - low; }
};

// The range to draw `values` in: with zero where that is asked for, and with room around values that are all
// the same, so that nothing is divided by zero and no curve lies on the frame.
Range range_to_draw(Range values, bool from_zero);

// 1, 2 or 5 times a power of ten, such that about `count` of them fill the range.
double tick_step(const Range& range, int count);
// Its multiples within the range.
std::vector<double> ticks(const Range& range, double step);
// Their texts: as many digits as tell them apart, all of them plain ("0.15"), or all with an exponent
// ("2e-5") where that is shorter and plain ones would be long or of many zeros.
std::vector<std::string> tick_texts(const std::vector<double>& ticks, double step);

// A number as coordinates want it: at most `decimals`, no zeros at the end.
std::string number(double value, int decimals = 1);

struct Point {
    double x = 0, y = 0;
};

// The attribute d of a path through the points, in steps from point to point on a grid of 1 / 10^decimals;
// points that fall onto the one before are left out.
std::string path_through(const std::vector<Point>& points, int decimals = 1);

// ' name="value"' for each; values are escaped, and whole however long.
using Attribute = std::pair<std::string_view, std::string>;
std::string attributes(std::initializer_list<Attribute> list);

}  // namespace svg
}  // namespace gs
