// Charts as SVG: in the page, where its colours follow the reader's scheme, and as pictures of their own.
#pragma once

#include <string>
#include <vector>

#include "report/run_report.h"
#include "report/svg.h"

namespace gs {

struct Chart {
    std::string subject, set;  // "ROC", "dtd"
    std::string description;   // one sentence of what is to be seen, for those who do not see it
    double width = 0, height = 0;
    std::string body;                   // elements, with the classes of assets/chart.css
    std::string extra_attributes = {};  // of the <svg>: what the page's script reads
    std::string title() const { return subject + ": " + set; }
};

// The chart as an element of a page: an image with a name and a description. `id` is unique in the page.
std::string inline_svg(const Chart& chart, const std::string& id);
// The chart as a file: the same with its styles, its title above, and a white ground.
std::string standalone_svg(const Chart& chart);

// Curves of all methods on one OOD set.
Chart roc_chart(const RunReport& run, size_t set);
Chart precision_recall_chart(const RunReport& run, size_t set);
// A method's scores of the ID set and of one OOD set.
Chart score_chart(const RunReport& run, size_t method, size_t set);
// The agreement of the methods on one set.
Chart agreement_chart(const RunReport& run, size_t set);

// The parts of charts.
namespace chart {

// Of sets and methods, in bytes; what is drawn is cut to its room.
inline constexpr size_t kNameLimit = 400;

struct Box {  // of the plot within the chart
    double left = 0, top = 0, width = 0, height = 0;
};
std::string box_attribute(const Box& box);  // for the page's script

std::string text(double x, double y, std::string_view what, std::string_view anchor = "start",
                 std::string_view css_class = "");
// Sizes of texts (assets/chart.css).
inline constexpr double kTextSize = 12, kSmallSize = 11;

// About how wide a text is, from widths of DejaVu Sans, the widest of the fonts that charts ask for.
double text_width(std::string_view text, double size = kTextSize);
// The text, or as much of its beginning and end as is no wider than `room`.
std::string fitted(std::string_view text, double room, double size = kTextSize);

std::string line(double x0, double y0, double x1, double y1, std::string_view css_class);

// A square of percentages with its frame, grid, ticks and the names of its axes.
std::string percent_axes(const Box& box, std::string_view x_name, std::string_view y_name);

// The colour and dash of a method: "s3 d1".
std::string stroke_class(size_t method);
std::string fill_class(size_t method);

}  // namespace chart
}  // namespace gs
