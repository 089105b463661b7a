#include "tools/demo_shapes.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "core/error.h"

namespace gs::demo {
namespace {

double length(Point p) {
    return std::sqrt(p.x * p.x + p.y * p.y);
}

double box(Point p, double half_width, double half_height) {
    return std::max(std::abs(p.x) - half_width, std::abs(p.y) - half_height);
}

// Triangle wave of period 2 and slope 1: 0 at whole numbers, 1/2 half way up, -1/2 half way down.
double wave(double u) {
    const double t = u - 2 * std::floor(u / 2);  // in [0, 2)
    return t < 1 ? 0.5 - std::abs(t - 0.5) : std::abs(t - 1.5) - 0.5;
}

double to_segment(Point p, Point a, Point b) {
    const Point ab{b.x - a.x, b.y - a.y}, ap{p.x - a.x, p.y - a.y};
    const double along = (ap.x * ab.x + ap.y * ab.y) / (ab.x * ab.x + ab.y * ab.y);
    const double t = std::clamp(along, 0.0, 1.0);
    return length({ap.x - t * ab.x, ap.y - t * ab.y});
}

// A pen of the given half width along the points.
Outline polyline(std::vector<Point> points, double half_width) {
    return [points = std::move(points), half_width](Point p) {
        double best = to_segment(p, points[0], points[1]);
        for (size_t i = 1; i + 1 < points.size(); ++i)
            best = std::min(best, to_segment(p, points[i], points[i + 1]));
        return best - half_width;
    };
}

// A closed polygon: distance to its edges, the sign by the even-odd rule.
Outline polygon(std::vector<Point> points) {
    return [points = std::move(points)](Point p) {
        double best = INFINITY;
        bool inside = false;
        for (size_t i = 0, j = points.size() - 1; i < points.size(); j = i++) {
            const Point a = points[i], b = points[j];
            best = std::min(best, to_segment(p, a, b));
            if ((a.y > p.y) != (b.y > p.y) && p.x < (b.x - a.x) * (p.y - a.y) / (b.y - a.y) + a.x)
                inside = !inside;
        }
        return inside ? -best : best;
    };
}

Outline disc(Random&) {
    return [](Point p) { return length(p) - 0.85; };
}

Outline ring(Random& random) {
    const double half_width = random.uniform(0.1, 0.2);
    return [half_width](Point p) { return std::abs(length(p) - 0.75) - half_width; };
}

Outline crescent(Random& random) {
    const double shift = random.uniform(0.35, 0.6);
    return [shift](Point p) { return std::max(length(p) - 0.9, 0.75 - length({p.x - shift, p.y})); };
}

Outline square(Random& random) {
    const double half_height = random.uniform(0.65, 0.8);
    return [half_height](Point p) { return box(p, 0.75, half_height); };
}

Outline cross(Random& random) {
    const double arm = random.uniform(0.18, 0.3);
    return [arm](Point p) { return std::min(box(p, 0.95, arm), box(p, arm, 0.95)); };
}

Outline triangle(Random& random) {
    const double skew = random.uniform(-0.25, 0.25);
    return polygon({{skew, -0.95}, {0.87, 0.6}, {-0.87, 0.6}});
}

Outline star(Random& random) {
    constexpr Point kTurn{0.80901699437494745, 0.58778525229247314};  // 36 degrees
    const double inner = random.uniform(0.38, 0.5);
    std::vector<Point> points;
    Point tip{1, 0};
    for (int i = 0; i < 10; ++i) {
        const double radius = i % 2 ? inner : 1.0;
        points.push_back({radius * tip.x, radius * tip.y});
        tip = {tip.x * kTurn.x - tip.y * kTurn.y, tip.x * kTurn.y + tip.y * kTurn.x};
    }
    return polygon(std::move(points));
}

Outline stripes(Random& random) {
    const double share = random.uniform(-0.15, 0.15);
    return [share](Point p) { return wave(2 * p.x) / 2 + share / 2; };
}

Outline checks(Random&) {
    return [](Point p) { return wave(2 * p.x) * wave(2 * p.y); };
}

Outline dots(Random& random) {
    const double radius = random.uniform(0.24, 0.36);
    return [radius](Point p) { return length({p.x - std::round(p.x), p.y - std::round(p.y)}) - radius; };
}

}  // namespace

Outline class_outline(std::string_view name, Random& random) {
    static const std::map<std::string_view, Outline (*)(Random&)> kMakers{
        {"checks", checks},   {"crescent", crescent}, {"cross", cross},   {"disc", disc},
        {"dots", dots},       {"ring", ring},         {"square", square}, {"star", star},
        {"stripes", stripes}, {"triangle", triangle}};
    const auto found = kMakers.find(name);
    GS_REQUIRE(found != kMakers.end());
    return found->second(random);
}

bool fills_plane(std::string_view name) {
    return name == "checks" || name == "dots" || name == "stripes";
}

Outline spiral_outline(Random& random) {
    constexpr Point kTurn{0.92106099400288510, 0.38941834230865052};  // 0.4 rad
    const int64_t steps = 28 + random.below(14);
    std::vector<Point> points;
    Point tip{1, 0};
    for (int64_t i = 0; i < steps; ++i) {
        const double radius = static_cast<double>(i + 1) / static_cast<double>(steps);
        points.push_back({radius * tip.x, radius * tip.y});
        tip = {tip.x * kTurn.x - tip.y * kTurn.y, tip.x * kTurn.y + tip.y * kTurn.x};
    }
    return polyline(std::move(points), random.uniform(0.06, 0.12));
}

Outline strokes_outline(Random& random) {
    const int64_t corners = 4 + random.below(3);
    std::vector<Point> points;
    for (int64_t i = 0; i < corners; ++i)
        points.push_back({random.uniform(-0.9, 0.9), random.uniform(-0.9, 0.9)});
    return polyline(std::move(points), random.uniform(0.07, 0.15));
}

}  // namespace gs::demo
