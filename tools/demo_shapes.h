// The figures of the demo's images: outlines as functions of the plane.
#pragma once

#include <array>
#include <functional>
#include <string_view>

#include "tools/demo_random.h"

namespace gs::demo {

// Signed distance of a point to the outline: negative inside, in units of the figure's radius. Only the sign
// and a slope of about 1 near the outline matter, so an upper bound of the distance will do.
using Outline = std::function<double(Point)>;

// The classes, in the order of the labels (sorted, as folder names are).
inline constexpr std::array<std::string_view, 10> kClasses{
    "checks", "crescent", "cross", "disc", "dots", "ring", "square", "star", "stripes", "triangle"};

// A figure of a class, its proportions drawn anew each time.
Outline class_outline(std::string_view name, Random& random);
// checks, dots and stripes fill the whole plane; the radius is their pitch.
bool fills_plane(std::string_view name);

// Figures that no class knows: a spiral, and strokes as of a pen.
Outline spiral_outline(Random& random);
Outline strokes_outline(Random& random);

}  // namespace gs::demo
