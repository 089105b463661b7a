// The demo's data: a small detection task drawn from a seed, the same pixels on every machine. Ten classes of
// figures and patterns are in-distribution; textures, and figures of no class, are out-of-distribution.
#pragma once

#include <cstdint>
#include <filesystem>

#include "data/image.h"

namespace gs::demo {

// 48 wide and 40 high: resizing to a net's 32 x 32 and cropping have something to do.
inline constexpr int64_t kWidth = 48, kHeight = 40;

// Image number `index` of a class (label: place in kClasses), or of an out-of-distribution set. An image
// depends on (seed, set, index) alone.
Image draw_class(size_t label, uint64_t seed, uint64_t index);
Image draw_ood_texture(uint64_t seed, uint64_t index);  // smooth noise, cells, warped grids, ripples in turn
Image draw_ood_shape(uint64_t seed, uint64_t index);    // spirals, strokes, two figures at once in turn

struct DrawOptions {
    uint64_t seed = 1;
    int64_t id_per_class = 60;
    int64_t ood = 300;  // images in each out-of-distribution set
};

// Writes OUT/id/CLASS/NNNN.png, OUT/ood-textures/NNNN.png and OUT/ood-shapes/NNNN.png; every fourth image of
// a folder is a JPEG (.jpg) instead. OUT must be new or empty: left-overs would join the sets. Throws
// Error(Usage) where it is not, Error(Internal) naming the file where writing fails.
void draw_demo(const std::filesystem::path& out, const DrawOptions& options);

}  // namespace gs::demo
