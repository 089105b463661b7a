#include "report/chart.h"

#include <algorithm>

#include "report/text.h"
#include "report/theme.h"

namespace gs {

using svg::attributes;
using svg::number;

namespace {

std::string element(const Chart& chart, const std::string& id, const std::string& more, double top,
                    const std::string& inside) {
    const std::string title_id = id + "-t", text_id = id + "-d";
    return "<svg" +
           attributes({{"class", "chart"},
                       {"id", id},
                       {"viewBox",
                        "0 " + number(-top) + " " + number(chart.width) + " " + number(chart.height + top)},
                       {"role", "img"},
                       {"aria-labelledby", title_id + " " + text_id}}) +
           more + chart.extra_attributes + ">\n<title id=\"" + title_id + "\">" + xml_escaped(chart.title()) +
           "</title><desc id=\"" + text_id + "\">" + xml_escaped(chart.description) + "</desc>\n" + inside +
           chart.body + "</svg>\n";
}

// The title, or the set on a line of its own where both do not fit into one.
std::vector<std::string> heading(const Chart& chart) {
    const double room = chart.width - 16;
    if (chart::text_width(chart.title()) <= room) return {chart.title()};
    return {chart::fitted(chart.subject, room), chart::fitted(chart.set, room)};
}

}  // namespace

std::string inline_svg(const Chart& chart, const std::string& id) {
    return element(chart, id, "", 0, "");
}

std::string standalone_svg(const Chart& chart) {
    constexpr double kLine = 16;
    const std::vector<std::string> lines = heading(chart);
    const double top = 8 + kLine * static_cast<double>(lines.size());
    std::string texts;
    for (size_t k = 0; k < lines.size(); ++k)
        texts += chart::text(8, kLine * static_cast<double>(k + 1) - top, lines[k]);
    const std::string ground = "<rect" +
                               attributes({{"y", number(-top)},
                                           {"width", number(chart.width)},
                                           {"height", number(chart.height + top)},
                                           {"fill", "#fff"}}) +
                               "/>\n";
    return element(chart, "chart",
                   " xmlns=\"http://www.w3.org/2000/svg\" width=\"" + number(2 * chart.width) + "\"", top,
                   "<style>\n" + chart_css_of_picture() + "</style>\n" + ground + texts);
}

namespace chart {

std::string box_attribute(const Box& box) {
    return attributes({{"data-plot", number(box.left) + " " + number(box.top) + " " + number(box.width) +
                                         " " + number(box.height)}});
}

std::string text(double x, double y, std::string_view what, std::string_view anchor,
                 std::string_view css_class) {
    std::string out = "<text" + attributes({{"x", number(x)}, {"y", number(y)}});
    if (anchor != "start") out += attributes({{"text-anchor", std::string(anchor)}});
    if (!css_class.empty()) out += attributes({{"class", std::string(css_class)}});
    return out + ">" + xml_escaped(what, 200) + "</text>\n";
}

double text_width(std::string_view text, double size) {
    constexpr std::string_view kNarrow = " !'(),-./:;IJ[\\]fijlrt|", kWide = "#%&+<=>@MWmw^~";
    double ems = 0;
    std::string others;
    for (const char c : text) {
        if (static_cast<unsigned char>(c) >= 0x80) {
            others += c;
        } else {
            const bool capital = c >= 'A' && c <= 'Z';
            const auto is_in = [c](std::string_view set) { return set.find(c) != set.npos; };
            ems += is_in(kNarrow) ? 0.37 : is_in(kWide) ? 0.88 : capital ? 0.72 : 0.63;
        }
    }
    return size * (ems + 0.66 * static_cast<double>(display_width(others)));
}

std::string fitted(std::string_view text, double room, double size) {
    const double most = std::max(room / (0.3 * size), 0.0);  // columns, however narrow the letters
    std::string shown(text);
    for (size_t columns = std::min(display_width(text), static_cast<size_t>(most) + 1);
         columns > 0 && text_width(shown, size) > room; --columns)
        shown = elided(text, columns, "…");
    return shown;
}

std::string line(double x0, double y0, double x1, double y1, std::string_view css_class) {
    return "<line" +
           attributes({{"class", std::string(css_class)},
                       {"x1", number(x0)},
                       {"y1", number(y0)},
                       {"x2", number(x1)},
                       {"y2", number(y1)}}) +
           "/>\n";
}

std::string percent_axes(const Box& box, std::string_view x_name, std::string_view y_name) {
    std::string out, grid;
    const double right = box.left + box.width, bottom = box.top + box.height;
    for (int tick = 0; tick <= 100; tick += 20) {
        const double x = box.left + box.width * tick / 100, y = bottom - box.height * tick / 100;
        grid += "M" + number(x) + " " + number(box.top) + "V" + number(bottom) + "M" + number(box.left) +
                " " + number(y) + "H" + number(right);
        out += text(x, bottom + 16, std::to_string(tick), "middle", "small");
        out += text(box.left - 6, y + 4, std::to_string(tick), "end", "small");
    }
    out = "<path class=\"grid\" d=\"" + grid + "\"/>\n" + out;
    out += text(box.left + box.width / 2, bottom + 33, x_name, "middle");
    const double middle = box.top + box.height / 2;
    out += "<text" +
           attributes({{"x", number(14)},
                       {"y", number(middle)},
                       {"text-anchor", "middle"},
                       {"transform", "rotate(-90 14 " + number(middle) + ")"}}) +
           ">" + xml_escaped(y_name) + "</text>\n";
    return out;
}

std::string stroke_class(size_t method) {
    const size_t dash = (method + method / kCurveColours) % kCurveDashes;
    return "s" + std::to_string(method % kCurveColours) + (dash > 0 ? " d" + std::to_string(dash) : "");
}

std::string fill_class(size_t method) {
    return "f" + std::to_string(method % kCurveColours);
}

}  // namespace chart
}  // namespace gs
