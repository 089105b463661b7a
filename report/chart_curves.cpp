// ROC and precision-recall curves: one chart an OOD set, with a curve a method.
#include <algorithm>

#include "core/printable.h"
#include "report/chart.h"
#include "report/text.h"

namespace gs {
namespace {

using namespace chart;
using svg::attributes;
using svg::number;
using svg::Point;

constexpr Box kPlot{46, 10, 300, 300};
constexpr double kWidth = 360, kLegendTop = 362, kLegendLine = 19;
constexpr double kLegendGap = 8, kSample = 24;  // beside a column of the legend; the line before a name

// What sets the two kinds of chart apart.
struct Kind {
    const char *name, *x_name, *y_name, *what;
    const char* figure_name;
    double DetectionMetrics::*figure;
    bool from_origin, diagonal;
    Point (*place)(const RocCurve& counts, const RocPoint& point);  // in fractions
};

constexpr Kind kRoc{"ROC",
                    "FPR, %: OOD images accepted",
                    "TPR, %: ID images accepted",
                    "the share of ID images accepted over that of OOD images",
                    "AUROC",
                    &DetectionMetrics::auroc,
                    true,
                    true,
                    [](const RocCurve& counts, const RocPoint& p) -> Point {
                        return {counts.fpr(p), counts.recall(p)};
                    }};
constexpr Kind kPrecisionRecall{
    "Precision and recall",
    "recall, %: ID images accepted",
    "precision, %: ID among the accepted",
    "the share of ID among the accepted images over the share of ID images accepted",
    "AUPR-in",
    &DetectionMetrics::aupr_in,
    false,
    false,
    [](const RocCurve& counts, const RocPoint& p) -> Point {
        return {counts.recall(p), precision(p)};
    }};

Point in_plot(const Point& at) {
    return {kPlot.left + kPlot.width * at.x, kPlot.top + kPlot.height * (1 - at.y)};
}

class CurveChart {
  public:
    CurveChart(const RunReport& run, size_t set, const Kind& kind) : run_(run), set_(set), kind_(kind) {}

    Chart draw() const {
        Chart chart;
        chart.subject = kind_.name;
        chart.set = printable(run_.results.sets[set_].name, kNameLimit);
        chart.description = "A curve a method: " + std::string(kind_.what) + " of " + chart.set + ". " +
                            kind_.figure_name + ":";
        chart.width = kWidth;
        chart.extra_attributes = box_attribute(kPlot);
        chart.body = percent_axes(kPlot, kind_.x_name, kind_.y_name);
        if (kind_.diagonal)
            chart.body +=
                line(kPlot.left, kPlot.top + kPlot.height, kPlot.left + kPlot.width, kPlot.top, "diagonal");
        for (size_t m = 0; m < run_.methods.size(); ++m) {
            chart.body += curve(m);
            chart.description += (m ? ", " : " ") + name(m) + " " + figure(m);
        }
        chart.body += "<g class=\"legend\">\n";
        const size_t columns = legend_columns();
        for (size_t c = 0; c < std::min(columns, run_.methods.size()); ++c)
            chart.body += text(legend_right(c, columns), kLegendTop, kind_.figure_name, "end", "small");
        for (size_t m = 0; m < run_.methods.size(); ++m) chart.body += legend(m, columns);
        chart.body += "</g>\n";
        const size_t rows = (run_.methods.size() + columns - 1) / columns;
        chart.height = kLegendTop + kLegendLine * static_cast<double>(rows + 1) - 8;
        return chart;
    }

  private:
    const RunReport& run_;
    size_t set_;
    const Kind& kind_;

    std::string name(size_t method) const { return printable(run_.results.methods[method].name, kNameLimit); }

    std::string figure(size_t method) const {
        const MethodMetrics* m =
            run_.results.find(run_.results.methods[method].name, run_.results.sets[set_].name);
        return m != nullptr ? percent(m->metrics.*kind_.figure) : "n/a";
    }

    std::string curve(size_t method) const {
        const auto& reduced = run_.methods[method].curves[set_];
        if (!reduced) return "";
        const auto& scores = run_.methods[method].thresholds.scores;
        const RocCurve counts{{}, scores[0], scores[set_]};
        std::vector<Point> points;
        if (kind_.from_origin) points.push_back(in_plot({0, 0}));
        for (const RocPoint& p : reduced->points) points.push_back(in_plot(kind_.place(counts, p)));
        const size_t key = run_.method_keys[method];
        const auto at_95 = std::find_if(reduced->points.begin(), reduced->points.end(),
                                        [&](const RocPoint& p) { return counts.recall(p) >= 0.95; });
        const Point mark = in_plot(kind_.place(counts, *at_95));
        return "<path" +
               attributes({{"class", "curve " + stroke_class(key)},
                           {"data-m", std::to_string(key)},
                           {"d", svg::path_through(points, 2)}}) +
               "/>\n<circle" +
               attributes({{"class", "mark " + fill_class(key)},
                           {"data-m", std::to_string(key)},
                           {"cx", number(mark.x, 2)},
                           {"cy", number(mark.y, 2)},
                           {"r", "4"}}) +
               "/>\n";
    }

    // Two where all names fit into half of the width.
    size_t legend_columns() const {
        double widest = 0;
        for (size_t m = 0; m < run_.methods.size(); ++m) widest = std::max(widest, text_width(name(m)));
        return widest <= legend_room(2) && run_.methods.size() > 1 ? 2 : 1;
    }

    static double legend_column(size_t columns) {
        return (kWidth - kLegendGap) / static_cast<double>(columns);
    }
    static double legend_right(size_t column, size_t columns) {
        return legend_column(columns) * static_cast<double>(column + 1);
    }
    static constexpr double kNameLeft = kSample + 6;  // from the column's left
    // For a name between its line and its figure. The chosen method's is bold, hence a tenth wider.
    static double legend_room(size_t columns) {
        return (legend_column(columns) - kLegendGap - kNameLeft - 3) / 1.1 - text_width("100.00");
    }

    std::string legend(size_t method, size_t columns) const {
        const double column = legend_column(columns);
        const double x = kLegendGap + column * static_cast<double>(method % columns);
        const double y = kLegendTop + kLegendLine * static_cast<double>(method / columns + 1);
        const std::string shown = fitted(name(method), legend_room(columns));
        const size_t key = run_.method_keys[method];
        return "<g data-m=\"" + std::to_string(key) + "\">" +
               line(x, y - 4, x + kSample, y - 4, "curve " + stroke_class(key)) +
               text(x + kNameLeft, y, shown) +
               text(legend_right(method % columns, columns), y, figure(method), "end") + "</g>\n";
    }
};

}  // namespace

Chart roc_chart(const RunReport& run, size_t set) {
    return CurveChart(run, set, kRoc).draw();
}

Chart precision_recall_chart(const RunReport& run, size_t set) {
    return CurveChart(run, set, kPrecisionRecall).draw();
}

}  // namespace gs
