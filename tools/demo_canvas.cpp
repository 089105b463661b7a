#include "tools/demo_canvas.h"

#include <algorithm>
#include <cmath>

namespace gs::demo {
namespace {

uint8_t to_byte(double value) {
    return static_cast<uint8_t>(std::clamp(value + 0.5, 0.0, 255.0));
}

double smooth_step(double t) {
    return t * t * (3 - 2 * t);
}

}  // namespace

Colour mix(Colour a, Colour b, double share_of_b) {
    const double keep = 1 - share_of_b;
    return {keep * a.r + share_of_b * b.r, keep * a.g + share_of_b * b.g, keep * a.b + share_of_b * b.b};
}

Colour random_colour(Random& random) {
    const double r = random.uniform(10, 245), g = random.uniform(10, 245), b = random.uniform(10, 245);
    return {r, g, b};
}

Colour random_colour_unlike(Colour other, double contrast, Random& random) {
    Colour colour;
    do {
        colour = random_colour(random);
    } while (std::abs(colour.r - other.r) + std::abs(colour.g - other.g) + std::abs(colour.b - other.b) <
             3 * contrast);
    return colour;
}

SmoothField::SmoothField(int64_t n, Random& random) : n_(n), values_(static_cast<size_t>(n * n)) {
    for (double& value : values_) value = random.uniform(0, 1);
}

double SmoothField::at(double u, double v) const {
    const double x = u * static_cast<double>(n_ - 1), y = v * static_cast<double>(n_ - 1);
    const int64_t i = std::clamp<int64_t>(static_cast<int64_t>(x), 0, n_ - 2);
    const int64_t j = std::clamp<int64_t>(static_cast<int64_t>(y), 0, n_ - 2);
    const double s = smooth_step(x - static_cast<double>(i)), t = smooth_step(y - static_cast<double>(j));
    const double* row = &values_[static_cast<size_t>(j * n_ + i)];
    const double above = (1 - s) * row[0] + s * row[1], below = (1 - s) * row[n_] + s * row[n_ + 1];
    return (1 - t) * above + t * below;
}

Canvas::Canvas(int64_t width, int64_t height)
    : width_(width), height_(height), pixels_(static_cast<size_t>(width * height)) {}

void Canvas::fill(Colour a, Colour b, const SmoothField& field) {
    for (int64_t y = 0; y < height_; ++y)
        for (int64_t x = 0; x < width_; ++x) {
            const double u = (static_cast<double>(x) + 0.5) / static_cast<double>(width_);
            const double v = (static_cast<double>(y) + 0.5) / static_cast<double>(height_);
            at(x, y) = mix(a, b, field.at(u, v));
        }
}

void Canvas::paint(const Outline& outline, const Placement& placement, Colour a, Colour b) {
    const Point axis = placement.direction;
    for (int64_t y = 0; y < height_; ++y)
        for (int64_t x = 0; x < width_; ++x) {
            const double dx = (static_cast<double>(x) + 0.5 - placement.centre.x) / placement.radius;
            const double dy = (static_cast<double>(y) + 0.5 - placement.centre.y) / placement.radius;
            const Point p{axis.x * dx + axis.y * dy, axis.x * dy - axis.y * dx};
            const double cover = std::clamp(0.5 - outline(p) * placement.radius, 0.0, 1.0);
            const double share = std::clamp(0.5 + 0.5 * p.y, 0.0, 1.0);
            at(x, y) = mix(at(x, y), mix(a, b, share), cover);
        }
}

Image Canvas::finish(double grain, Random& random) const {
    Image image{width_, height_, {}};
    image.rgb.reserve(pixels_.size() * 3);
    for (const Colour& colour : pixels_)
        for (const double channel : {colour.r, colour.g, colour.b})
            image.rgb.push_back(to_byte(channel + grain * random.noise()));
    return image;
}

}  // namespace gs::demo
