// What the demo's images are painted on: colours, smooth fields, figures, grain.
#pragma once

#include <vector>

#include "data/image.h"
#include "tools/demo_random.h"
#include "tools/demo_shapes.h"

namespace gs::demo {

struct Colour {
    double r = 0, g = 0, b = 0;  // 0 to 255
};
Colour mix(Colour a, Colour b, double share_of_b);
Colour random_colour(Random& random);
// A colour whose difference from `other` is at least `contrast` in the mean over the channels.
Colour random_colour_unlike(Colour other, double contrast, Random& random);

// Smooth values in [0, 1] over the unit square: random values on an n x n lattice, blended between.
class SmoothField {
  public:
    SmoothField(int64_t n, Random& random);
    double at(double u, double v) const;  // u, v in [0, 1]

  private:
    int64_t n_;
    std::vector<double> values_;
};

struct Placement {
    Point centre;
    double radius = 1;      // pixels
    Point direction{1, 0};  // unit vector: where the figure's x axis points
};

class Canvas {
  public:
    Canvas(int64_t width, int64_t height);

    int64_t width() const { return width_; }
    int64_t height() const { return height_; }
    Colour& at(int64_t x, int64_t y) { return pixels_[static_cast<size_t>(y * width_ + x)]; }

    // Two colours blended by a smooth field.
    void fill(Colour a, Colour b, const SmoothField& field);
    // Fills an outline, anti-aliased over one pixel; the colour runs from a to b along the figure's y axis.
    void paint(const Outline& outline, const Placement& placement, Colour a, Colour b);
    // Adds noise of the given standard deviation, and rounds to bytes.
    Image finish(double grain, Random& random) const;

  private:
    int64_t width_, height_;
    std::vector<Colour> pixels_;
};

}  // namespace gs::demo
