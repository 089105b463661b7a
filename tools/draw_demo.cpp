#include "tools/draw_demo.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/files.h"
#include "tools/demo_canvas.h"
#include "tools/demo_shapes.h"
#include "tools/encode_image.h"

namespace gs::demo {
namespace {

// Stream numbers of Random beside the classes' labels.
constexpr uint64_t kTextureSet = 1000, kShapeSet = 1001;
constexpr int kJpegQuality = 90;

// What all images have in common, in or out of distribution, so that nothing but the content tells them
// apart: a background of two near colours, a foreground that stands out from it more or less, and grain.
struct Look {
    Colour back_a, back_b, front_a, front_b;
    double grain = 0;
};

// Here and below a full expression draws once, or in braces: the order of a call's arguments is the
// compiler's choice.
Look random_look(Random& random) {
    constexpr double kContrast = 28;
    Look look;
    look.back_a = random_colour(random);
    look.back_b = random_colour(random);
    look.back_b = mix(look.back_a, look.back_b, random.uniform(0, 0.5));
    look.front_a = random_colour_unlike(mix(look.back_a, look.back_b, 0.5), kContrast, random);
    look.front_b = random_colour_unlike(look.back_a, kContrast, random);
    look.front_b = mix(look.front_a, look.front_b, random.uniform(0, 0.4));
    look.grain = random.uniform(3, 26);
    return look;
}

Canvas background(const Look& look, Random& random) {
    Canvas canvas(kWidth, kHeight);
    canvas.fill(look.back_a, look.back_b, SmoothField(3 + random.below(3), random));
    return canvas;
}

Placement place_figure(Random& random) {
    Placement placement;
    placement.radius = random.uniform(8, 15);
    placement.centre = {kWidth / 2.0 + random.uniform(-6, 6), kHeight / 2.0 + random.uniform(-6, 6)};
    placement.direction = random.direction();
    return placement;
}

Placement place_pattern(Random& random) {
    Placement placement = place_figure(random);
    placement.radius = random.uniform(9, 16);
    return placement;
}

void paint_class(Canvas& canvas, std::string_view name, const Placement& placement, const Look& look,
                 Random& random) {
    canvas.paint(class_outline(name, random), placement, look.front_a, look.front_b);
}

Image smooth_noise(Random& random) {
    const Look look = random_look(random);
    Canvas canvas(kWidth, kHeight);
    canvas.fill(look.back_a, look.front_a, SmoothField(5 + random.below(6), random));
    const SmoothField fine(10 + random.below(8), random);
    for (int64_t y = 0; y < kHeight; ++y)
        for (int64_t x = 0; x < kWidth; ++x) {
            const double u = (static_cast<double>(x) + 0.5) / kWidth,
                         v = (static_cast<double>(y) + 0.5) / kHeight;
            canvas.at(x, y) = mix(canvas.at(x, y), look.front_b, 0.5 * fine.at(u, v));
        }
    return canvas.finish(look.grain, random);
}

// Voronoi cells, each of its own colour.
Image cells(Random& random) {
    struct Cell {
        Point centre;
        Colour colour;
    };
    const Look look = random_look(random);
    std::vector<Cell> all(static_cast<size_t>(8 + random.below(22)));
    for (Cell& cell : all) {
        cell.centre = {random.uniform(0, kWidth), random.uniform(0, kHeight)};
        cell.colour = mix(look.back_a, look.front_a, random.uniform(0, 1));
        cell.colour = mix(cell.colour, random_colour(random), 0.2);
    }
    Canvas canvas(kWidth, kHeight);
    for (int64_t y = 0; y < kHeight; ++y)
        for (int64_t x = 0; x < kWidth; ++x) {
            const auto distance = [&](const Cell& cell) {
                const double dx = static_cast<double>(x) + 0.5 - cell.centre.x;
                const double dy = static_cast<double>(y) + 0.5 - cell.centre.y;
                return dx * dx + dy * dy;
            };
            canvas.at(x, y) = std::ranges::min_element(all, {}, distance)->colour;
        }
    return canvas.finish(look.grain, random);
}

// A grid of lines bent by a smooth field.
Image warped_grid(Random& random) {
    const Look look = random_look(random);
    Canvas canvas = background(look, random);
    const SmoothField bend_x(4, random), bend_y(4, random);
    const double strength = random.uniform(1.5, 3), width = random.uniform(0.08, 0.16);
    const Outline grid = [&](Point p) {
        const double u = std::clamp(0.5 + p.x / 8, 0.0, 1.0), v = std::clamp(0.5 + p.y / 8, 0.0, 1.0);
        const double x = p.x + strength * bend_x.at(u, v), y = p.y + strength * bend_y.at(u, v);
        return std::min(std::abs(x - std::round(x)), std::abs(y - std::round(y))) - width;
    };
    canvas.paint(grid, place_pattern(random), look.front_a, look.front_b);
    return canvas.finish(look.grain, random);
}

// Rings of growing radius around a point in or near the image.
Image ripples(Random& random) {
    const Look look = random_look(random);
    Canvas canvas = background(look, random);
    const Outline rings = [](Point p) {
        const double radius = std::sqrt(p.x * p.x + p.y * p.y);
        return std::abs(radius - std::round(radius)) - 0.25;
    };
    Placement placement = place_pattern(random);
    placement.centre = {random.uniform(0, kWidth), random.uniform(0, kHeight)};
    canvas.paint(rings, placement, look.front_a, look.front_b);
    return canvas.finish(look.grain, random);
}

Image unknown_figure(Outline (*outline)(Random&), Random& random) {
    const Look look = random_look(random);
    Canvas canvas = background(look, random);
    const Placement placement = place_figure(random);
    canvas.paint(outline(random), placement, look.front_a, look.front_b);
    return canvas.finish(look.grain, random);
}

// Two figures of different classes side by side.
Image two_figures(Random& random) {
    static constexpr std::array<std::string_view, 5> kFigures{"cross", "disc", "ring", "square", "triangle"};
    const Look look = random_look(random);
    Canvas canvas = background(look, random);
    const int64_t first = random.below(5), second = (first + 1 + random.below(4)) % 5;
    const double x = kWidth / 2.0, tilt = random.uniform(-6, 6);
    const Placement left{{x - 8, kHeight / 2.0 - tilt}, random.uniform(6, 9), random.direction()};
    const Placement right{{x + 8, kHeight / 2.0 + tilt}, random.uniform(6, 9), random.direction()};
    paint_class(canvas, kFigures[static_cast<size_t>(first)], left, look, random);
    paint_class(canvas, kFigures[static_cast<size_t>(second)], right, look, random);
    return canvas.finish(look.grain, random);
}

void require_new_folder(const std::filesystem::path& out) {
    std::error_code error;
    const bool exists = std::filesystem::exists(out, error);
    const bool empty =
        exists && std::filesystem::is_directory(out, error) && std::filesystem::is_empty(out, error);
    if (error || (exists && !empty))
        throw Error(ErrorKind::Usage,
                    out.string() + ": not an empty folder; name a new one, or empty it first");
}

void write_image(const std::filesystem::path& folder, int64_t index, const Image& image) {
    const bool jpeg = index % 4 == 3;
    char name[32];
    std::snprintf(name, sizeof name, "%04lld.%s", static_cast<long long>(index), jpeg ? "jpg" : "png");
    const std::vector<std::byte> bytes = jpeg ? encode_jpeg(image, kJpegQuality) : encode_png(image);
    const std::filesystem::path path = folder / name;
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    file.close();
    if (!file) throw Error(ErrorKind::Internal, path.string() + ": cannot write (is the disk full?)");
}

void draw_folder(const std::filesystem::path& folder, int64_t count,
                 const std::function<Image(uint64_t index)>& draw) {
    make_folder(folder);
    for (int64_t i = 0; i < count; ++i) write_image(folder, i, draw(static_cast<uint64_t>(i)));
}

}  // namespace

Image draw_class(size_t label, uint64_t seed, uint64_t index) {
    GS_REQUIRE(label < kClasses.size());
    Random random(seed, label, index);
    const Look look = random_look(random);
    Canvas canvas = background(look, random);
    const std::string_view name = kClasses[label];
    const Placement placement = fills_plane(name) ? place_pattern(random) : place_figure(random);
    paint_class(canvas, name, placement, look, random);
    return canvas.finish(look.grain, random);
}

Image draw_ood_texture(uint64_t seed, uint64_t index) {
    static constexpr std::array kKinds{smooth_noise, cells, warped_grid, ripples};
    Random random(seed, kTextureSet, index);
    return kKinds[index % kKinds.size()](random);
}

Image draw_ood_shape(uint64_t seed, uint64_t index) {
    Random random(seed, kShapeSet, index);
    switch (index % 3) {
        case 0:
            return unknown_figure(spiral_outline, random);
        case 1:
            return unknown_figure(strokes_outline, random);
        default:
            return two_figures(random);
    }
}

void draw_demo(const std::filesystem::path& out, const DrawOptions& options) {
    GS_REQUIRE(options.id_per_class >= 0 && options.ood >= 0);
    require_new_folder(out);
    for (size_t label = 0; label < kClasses.size(); ++label)
        draw_folder(out / "id" / kClasses[label], options.id_per_class,
                    [&](uint64_t index) { return draw_class(label, options.seed, index); });
    draw_folder(out / "ood-textures", options.ood,
                [&](uint64_t index) { return draw_ood_texture(options.seed, index); });
    draw_folder(out / "ood-shapes", options.ood,
                [&](uint64_t index) { return draw_ood_shape(options.seed, index); });
}

}  // namespace gs::demo
