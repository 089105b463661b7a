// The picture of a training log: three panels over the same epochs, no script and no reference to elsewhere.
#include <algorithm>
#include <cmath>
#include <limits>

#include "report/text.h"
#include "report/training_log.h"

namespace gs {
namespace {

constexpr double kWidth = 860, kLeft = 64, kRight = 16, kTop = 48, kPanel = 190, kGap = 44;
constexpr const char* kTraining = "#1f6fb4";
constexpr const char* kValidation = "#d9730d";

struct Point {
    double x = 0, y = 0;
};

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

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '<')
            out += "&lt;";
        else if (c == '&')
            out += "&amp;";
        else
            out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    return out;
}

struct Range {
    double low = std::numeric_limits<double>::infinity(), high = -low;
    void take(double value) {
        low = std::min(low, value);
        high = std::max(high, value);
    }
};

// 1, 2 or 5 times a power of ten, such that about `count` of them fill the range.
double tick_step(const Range& range, int count) {
    const double rough = (range.high - range.low) / count;
    const double power = std::pow(10, std::floor(std::log10(rough)));
    for (const double factor : {1.0, 2.0, 5.0})
        if (factor * power >= rough) return factor * power;
    return 10 * power;
}

std::string tick_text(double value, double step) {
    if (std::abs(value) < step / 2) return "0";
    if (step < 1e-4) return shortest(std::round(value / step) * step).substr(0, 8);
    return fixed(value, step >= 1 ? 0 : static_cast<int>(std::ceil(-std::log10(step) - 1e-9)));
}

class Picture {
  public:
    Picture(const std::string& title, double epochs, size_t panels) : epochs_(std::max(epochs, 1e-9)) {
        const double height = kTop + static_cast<double>(panels) * (kPanel + kGap);
        svg_ = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + fixed(kWidth, 0) + " " +
               fixed(height, 0) + "\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n<title>" +
               escaped(title) + "</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n";
        text(kLeft, 22, title, "start", "font-size=\"15\"");
    }

    void panel(const Panel& panel) {
        Range range;
        for (const Curve& curve : panel.curves)
            for (const Point& point : curve.points) range.take(point.y);
        if (!(range.low <= range.high)) range = {0, 1};
        if (panel.from_zero) range.low = std::min(range.low, 0.0);
        const double least = 1e-9 * std::max({std::abs(range.low), std::abs(range.high), 1e-9});
        if (range.high - range.low < least) range.high = range.low + least;
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
                "\"" + (more.empty() ? "" : " " + more) + ">" + escaped(what) + "</text>\n";
    }
    void line(double x0, double y0, double x1, double y1, const char* colour) {
        svg_ += "<path d=\"M" + fixed(x0, 1) + " " + fixed(y0, 1) + "L" + fixed(x1, 1) + " " + fixed(y1, 1) +
                "\" stroke=\"" + colour + "\"/>\n";
    }

    void axes(const Panel& panel, const Range& range) {
        text(kLeft, top_ - 6, panel.title, "start", "font-weight=\"bold\"");
        const double down = tick_step(range, 5), along = std::max(tick_step({0, epochs_}, 10), 1e-9);
        for (double v = std::ceil(range.low / down - 1e-9) * down; v <= range.high + down * 1e-6; v += down) {
            line(kLeft, y(v, range), kWidth - kRight, y(v, range), "#ddd");
            text(kLeft - 6, y(v, range) + 4, tick_text(v, down), "end");
        }
        for (double e = 0; e <= epochs_ * (1 + 1e-9); e += along) {
            line(x(e), top_, x(e), top_ + kPanel, "#eee");
            text(x(e), top_ + kPanel + 15, tick_text(e, along), "middle");
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
        if (!curve.dots) return;
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
