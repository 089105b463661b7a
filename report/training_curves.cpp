// The picture of a training log: three panels over the same epochs, no script and no reference to elsewhere.
#include <algorithm>
#include <cmath>
#include <limits>

#include "report/svg.h"
#include "report/text.h"
#include "report/training_log.h"

namespace gs {
namespace {

using svg::Point;
using svg::Range;
using svg::tick_step;

constexpr double kWidth = 860, kLeft = 64, kRight = 16, kTop = 48, kPanel = 190, kGap = 56;
constexpr const char* kTraining = "#1f6fb4";
constexpr const char* kValidation = "#d9730d";

struct Curve {
    std::string name, colour;
    std::vector<Point> points;
    bool dots = false;
};

struct Panel {
    std::string title;
    std::vector<Curve> curves;
    bool from_zero = false;
};

class Picture {
  public:
    Picture(const std::string& title, double epochs, size_t panels) : epochs_(std::max(epochs, 1e-9)) {
        const double height = kTop + static_cast<double>(panels) * (kPanel + kGap);
        svg_ = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + fixed(kWidth, 0) + " " +
               fixed(height, 0) + "\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n<title>" +
               xml_escaped(title) + "</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n";
        text(kLeft, 22, title, "start", "font-size=\"15\"");
    }

    void panel(const Panel& panel) {
        Range range;
        for (const Curve& curve : panel.curves)
            for (const Point& point : curve.points) range.take(point.y);
        range = svg::range_to_draw(range, panel.from_zero);
        axes(panel, range);
        double legend = kWidth - kRight;
        for (auto curve = panel.curves.rbegin(); curve != panel.curves.rend(); ++curve) {
            if (curve->points.empty()) continue;
            draw(*curve, range);
            text(legend, top_ - 6, curve->name, "end", "fill=\"" + curve->colour + "\"");
            legend -= 9.0 + 7.0 * static_cast<double>(curve->name.size());
        }
        top_ += kPanel + kGap;
    }

    std::string finish() const { return svg_ + "</svg>\n"; }

  private:
    double epochs_, top_ = kTop;
    std::string svg_;

    double x(double epoch) const { return kLeft + (kWidth - kLeft - kRight) * epoch / epochs_; }
    double y(double value, const Range& range) const {
        return top_ + kPanel * (range.high - value) / (range.high - range.low);
    }
    void text(double at_x, double at_y, const std::string& what, const char* anchor,
              const std::string& more = "") {
        svg_ += "<text x=\"" + fixed(at_x, 1) + "\" y=\"" + fixed(at_y, 1) + "\" text-anchor=\"" + anchor +
                "\"" + (more.empty() ? "" : " " + more) + ">" + xml_escaped(what) + "</text>\n";
    }
    void line(double x0, double y0, double x1, double y1, const char* colour) {
        svg_ += "<path d=\"M" + fixed(x0, 1) + " " + fixed(y0, 1) + "L" + fixed(x1, 1) + " " + fixed(y1, 1) +
                "\" stroke=\"" + colour + "\"/>\n";
    }

    void axes(const Panel& panel, const Range& range) {
        text(kLeft, top_ - 6, panel.title, "start", "font-weight=\"bold\"");
        const double down = tick_step(range, 5), along = std::max(tick_step({0, epochs_}, 10), 1e-9);
        const std::vector<double> values = svg::ticks(range, down), epochs = svg::ticks({0, epochs_}, along);
        const std::vector<std::string> value_texts = svg::tick_texts(values, down),
                                       epoch_texts = svg::tick_texts(epochs, along);
        for (size_t k = 0; k < values.size(); ++k) {
            const double at = y(values[k], range);
            line(kLeft, at, kWidth - kRight, at, "#ddd");
            text(kLeft - 6, at + 4, value_texts[k], "end");
        }
        for (size_t k = 0; k < epochs.size(); ++k) {
            line(x(epochs[k]), top_, x(epochs[k]), top_ + kPanel, "#eee");
            text(x(epochs[k]), top_ + kPanel + 15, epoch_texts[k], "middle");
        }
        line(kLeft, top_ + kPanel, kWidth - kRight, top_ + kPanel, "#888");
        text(kWidth - kRight, top_ + kPanel + 28, "epoch", "end");
    }

    void draw(const Curve& curve, const Range& range) {
        svg_ += "<path fill=\"none\" stroke-width=\"1.5\" stroke=\"" + curve.colour + "\" d=\"";
        for (size_t i = 0; i < curve.points.size(); ++i)
            svg_ += (i == 0 ? "M" : "L") + fixed(x(curve.points[i].x), 1) + " " +
                    fixed(y(curve.points[i].y, range), 1);
        svg_ += "\"/>\n";
        if (!curve.dots && curve.points.size() > 1) return;  // a path of one point draws nothing
        for (const Point& p : curve.points)
            svg_ += "<circle r=\"2.5\" fill=\"" + curve.colour + "\" cx=\"" + fixed(x(p.x), 1) + "\" cy=\"" +
                    fixed(y(p.y, range), 1) + "\"/>\n";
    }
};

void add(Curve& curve, double epoch, const std::optional<double>& value) {
    constexpr double kMost = 1e30;  // nothing that is learnt reaches it, and differences stay finite
    if (value && std::abs(*value) <= kMost) curve.points.push_back({epoch, *value});
}

}  // namespace

std::string training_curves_svg(const std::vector<TrainingLine>& lines, const std::string& title,
                                int64_t steps_an_epoch) {
    Panel loss{"loss", {{"training", kTraining, {}, false}, {"validation", kValidation, {}, true}}, true};
    Panel accuracy{
        "accuracy, %", {{"training", kTraining, {}, false}, {"validation", kValidation, {}, true}}, false};
    Panel rate{"learning rate", {{"", kTraining, {}, false}}, true};
    double last = 0;
    const auto percent_of = [](const std::optional<double>& share) {
        return share ? std::optional(100 * *share) : std::nullopt;
    };
    for (const TrainingLine& line : lines) {
        const double epoch =
            static_cast<double>(line.step) / static_cast<double>(std::max<int64_t>(steps_an_epoch, 1));
        last = std::max(last, epoch);
        if (line.epoch_end) {
            add(loss.curves[1], epoch, line.validation_loss);
            add(accuracy.curves[1], epoch, percent_of(line.validation_accuracy));
        } else {
            add(loss.curves[0], epoch, line.loss);
            add(accuracy.curves[0], epoch, percent_of(line.accuracy));
            add(rate.curves[0], epoch, line.learning_rate);
        }
    }
    Picture picture(title, last, 3);
    for (const Panel& panel : {loss, accuracy, rate}) picture.panel(panel);
    return picture.finish();
}

}  // namespace gs
