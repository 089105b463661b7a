// Histograms of a method's scores, the ID set's behind an OOD set's. Heights are square roots of shares:
// scores that saturate put most of a set into one bin, and the tails are what matters.
#include <algorithm>
#include <cmath>

#include "core/numbers.h"
#include "core/printable.h"
#include "report/chart.h"
#include "report/text.h"

namespace gs {
namespace {

using namespace chart;
using svg::number;
using svg::Point;

constexpr Box kPlot{12, 26, 276, 130};
constexpr double kWidth = 300, kHeight = 192;

// Shares of the set in each bin, of its images with a score.
std::vector<double> shares(const std::vector<int64_t>& counts) {
    double all = 0;
    for (const int64_t c : counts) all += static_cast<double>(c);
    std::vector<double> result;
    for (const int64_t c : counts) result.push_back(all > 0 ? static_cast<double>(c) / all : 0);
    return result;
}

std::string outline(const std::vector<double>& bins, double highest, const char* css_class) {
    const double bottom = kPlot.top + kPlot.height, width = kPlot.width / static_cast<double>(bins.size());
    std::vector<Point> points{{kPlot.left, bottom}};
    for (size_t k = 0; k < bins.size(); ++k) {
        const double y = bottom - kPlot.height * (highest > 0 ? std::sqrt(bins[k] / highest) : 0);
        points.push_back({kPlot.left + width * static_cast<double>(k), y});
        points.push_back({kPlot.left + width * static_cast<double>(k + 1), y});
    }
    points.push_back({kPlot.left + kPlot.width, bottom});
    return "<path class=\"" + std::string(css_class) + "\" d=\"" + svg::path_through(points) + "\"/>\n";
}

double place(double score, const BinRange& range) {
    const double at = (score / 2 - range.low / 2) / (range.high / 2 - range.low / 2);
    return kPlot.left + kPlot.width * std::clamp(at, 0.0, 1.0);
}

struct Ticks {
    std::vector<double> values;
    std::vector<std::string> texts;
};

// About four, or as many as their texts have room for.
Ticks ticks_with_room(const svg::Range& drawn) {
    for (int count = 4;; --count) {
        const double step = svg::tick_step(drawn, count);
        Ticks ticks{svg::ticks(drawn, step), {}};
        ticks.texts = svg::tick_texts(ticks.values, step);
        double widest = 0;
        for (const std::string& t : ticks.texts) widest = std::max(widest, text_width(t, kSmallSize));
        if (count == 1 || widest + 8 <= kPlot.width * step / drawn.size()) return ticks;
    }
}

std::string score_axis(const BinRange& range) {
    std::string out = line(kPlot.left, kPlot.top + kPlot.height, kPlot.left + kPlot.width,
                           kPlot.top + kPlot.height, "frame");
    const svg::Range drawn{range.low, range.high};
    if (!std::isfinite(drawn.size())) return out;
    const Ticks ticks = ticks_with_room(drawn);
    for (size_t k = 0; k < ticks.values.size(); ++k) {
        const double x = place(ticks.values[k], range);
        const double half = text_width(ticks.texts[k], kSmallSize) / 2;
        if (x < half || x > kWidth - half) continue;
        out += line(x, kPlot.top + kPlot.height, x, kPlot.top + kPlot.height + 4, "frame");
        out += text(x, kPlot.top + kPlot.height + 17, ticks.texts[k], "middle", "small");
    }
    return out;
}

}  // namespace

Chart score_chart(const RunReport& run, size_t method, size_t set) {
    const MethodReport& m = run.methods[method];
    const std::string name = printable(run.results.methods[method].name, kNameLimit),
                      id = printable(run.results.sets[0].name, kNameLimit);
    Chart chart;
    chart.subject = "Scores of " + name;
    chart.set = printable(run.results.sets[set].name, kNameLimit);
    chart.description = "Histogram of the scores that " + name + " gives " + id +
                        (set != 0 ? " (filled) and " + chart.set + " (outlined)" : "") +
                        "; the height of a bin is the square root of its share. Higher scores mean more "
                        "in-distribution.";
    chart.width = kWidth;
    chart.height = kHeight;
    const std::vector<double> of_id = shares(m.histograms[0]), of_set = shares(m.histograms[set]);
    const double highest = std::max(*std::max_element(of_id.begin(), of_id.end()),
                                    *std::max_element(of_set.begin(), of_set.end()));
    const std::string heights = "√ of shares, to " + fixed(100 * highest, highest < 0.1 ? 1 : 0) + " %";
    const double room = kPlot.width - text_width(heights, kSmallSize) - 10;
    chart.body = text(kPlot.left, 16, fitted(chart.set, room)) +
                 text(kPlot.left + kPlot.width, 16, heights, "end", "small") +
                 outline(of_id, highest, "of-id");
    if (set != 0) chart.body += outline(of_set, highest, "of-ood");
    chart.body += score_axis(m.bins);
    if (!m.thresholds.thresholds.empty()) {
        const double x = place(m.thresholds.thresholds[m.thresholds.at_95], m.bins);
        chart.body += line(x, kPlot.top, x, kPlot.top + kPlot.height, "cut");
    }
    chart.body += text(kPlot.left + kPlot.width / 2, kHeight - 4, "score", "middle", "small");
    chart.extra_attributes = box_attribute(kPlot) + svg::attributes({{"data-low", shortest(m.bins.low)},
                                                                     {"data-high", shortest(m.bins.high)}});
    return chart;
}

}  // namespace gs
