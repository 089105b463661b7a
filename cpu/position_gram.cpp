#include "cpu/position_gram.h"

#include <array>

#include "cpu/map_type.h"

namespace gs::cpu {
namespace {

constexpr int64_t kDepth = 256;  // of one block of the vectors: its panel is 32 KB

}  // namespace

size_t gram_scratch(const Kernels& kernels) {
    return static_cast<size_t>(kDepth * kernels.gemm_columns);
}

void gram_strip(const Kernels& kernels, const Vectors& v, const float* scale, const Strip& strip,
                float* scratch, float* to, int64_t to_pitch, bool accumulate) {
    const int64_t columns = kernels.gemm_columns;
    for (int64_t k = 0; k < v.depth; k += kDepth) {
        GemmTile tile{};
        tile.k = std::min(kDepth, v.depth - k);
        kernels.transpose(v.data + strip.first * v.pitch + k, v.pitch, strip.width, tile.k,
                          scale == nullptr ? nullptr : scale + k, scratch);
        tile.lda = v.pitch;
        tile.b = scratch;
        tile.ldc = to_pitch;
        tile.columns = columns;
        tile.accumulate = accumulate || k > 0;
        for (int64_t i = 0; i < strip.rows(); i += kernels.gemm_rows) {
            tile.a = v.data + i * v.pitch + k;
            tile.c = to + i * to_pitch;
            tile.rows = std::min(kernels.gemm_rows, strip.rows() - i);
            kernels.gemm_tile(tile);
        }
    }
}

const float* map_rows(const Kernels& kernels, const View& map, int64_t sample, int64_t count,
                      float* widened) {
    const int64_t at = sample * map.shape.per_sample();
    if (map.dtype == DType::F32) return map.f32() + at;
    kernels.widen(map.bf16() + at, count * map.shape.c, widened);
    return widened;
}

PositionGram::PositionGram(const Kernels& kernels, const ConvSpec& spec, const View& x, NormRoute route)
    : kernels_(kernels),
      spec_(spec),
      map_(x),
      x_(x.shape.with_n(1)),
      y_(spec.output_shape(x_)),
      route_(route) {
    GS_REQUIRE(route != NormRoute::Direct);
    GS_REQUIRE(!shifts() || taps_of(spec) <= kMostTaps);
}

// Of the pixels' matrix: a shift may read that far beyond the last column, where there are zeros.
int64_t PositionGram::pitch() const {
    const int64_t columns = kernels_.gemm_columns, beyond = spec_.pad * (y_.w + 1) + columns;
    return (div_up(y_.pixels(), columns) + div_up(beyond, columns)) * columns;
}

size_t PositionGram::stored_floats() const {
    return shifts() ? static_cast<size_t>(y_.pixels() * pitch()) : 0;
}

size_t PositionGram::scratch_floats() const {
    const int64_t columns = kernels_.gemm_columns;
    const int64_t panel = (y_.pixels() + 2) * columns, masks = (2 * spec_.pad + 1) * columns;
    const int64_t widened = map_.dtype == DType::F32 ? 0 : div_up(x_.per_sample(), 16) * 16;
    const int64_t rest = route_ == NormRoute::Ghost ? panel : std::max(masks, widened);
    return gram_scratch(kernels_) + static_cast<size_t>(rest);
}

void PositionGram::prepare(int64_t sample, int64_t i, float* stored, float* scratch) const {
    if (!shifts()) return;
    const Strip strip = this->strip(i);
    const Vectors pixels{map_rows(kernels_, map_, sample, strip.rows(), scratch + gram_scratch(kernels_)),
                         x_.c, x_.c};
    gram_strip(kernels_, pixels, nullptr, strip, scratch, stored + strip.first, pitch());
    if (strip.rows() < y_.pixels()) return;
    const int64_t end = strips() * kernels_.gemm_columns;
    for (int64_t s = 0; s < y_.pixels(); ++s)
        std::fill(stored + s * pitch() + end, stored + (s + 1) * pitch(), 0.0f);
}

void PositionGram::compute(int64_t sample, int64_t i, const float* stored, float* scratch, float* to) const {
    const Strip strip = this->strip(i);
    if (shifts()) {
        sum_over_taps(strip, stored, masks(strip, scratch), to);
    } else if (route_ == NormRoute::PixelGram) {
        const float* x = map_rows(kernels_, map_, sample, strip.rows(), scratch + gram_scratch(kernels_));
        gram_strip(kernels_, {x, x_.c, x_.c}, nullptr, strip, scratch, to, kernels_.gemm_columns);
    } else {
        with_type(map_, [&](auto type) { unfolded<decltype(type)>(sample, strip, scratch, to); });
    }
    for (int64_t s = strip.first; s < strip.rows(); ++s) {
        float* row = to + s * kernels_.gemm_columns;
        std::fill_n(row, s - strip.first, 0.0f);
        row[s - strip.first] *= 0.5f;
    }
}

template <class T>
void PositionGram::unfolded(int64_t sample, const Strip& strip, float* scratch, float* to) const {
    const int64_t columns = kernels_.gemm_columns;
    float* panel = scratch + gram_scratch(kernels_);
    UnfoldBlock<T> block{map_.as<T>() + sample * x_.per_sample(),
                         x_.h,
                         x_.w,
                         x_.c,
                         spec_.kernel_w,
                         spec_.stride,
                         spec_.pad,
                         y_.w,
                         0,
                         strip.rows(),
                         0,
                         0};
    for (int64_t k = 0; k < fan_in(); k += columns) {
        block.column = k;
        block.columns = std::min(columns, fan_in() - k);
        kernels_.maps<T>().unfold(block, panel);
        gram_strip(kernels_, {panel, columns, columns}, nullptr, strip, scratch, to, columns, k > 0);
    }
}

// [dw + pad][column of the strip]: whether the pixel dw right of that position lies in the map's row.
float* PositionGram::masks(const Strip& strip, float* scratch) const {
    float* masks = scratch + gram_scratch(kernels_);
    float* to = masks;
    for (int64_t dw = -spec_.pad; dw <= spec_.pad; ++dw)
        for (int64_t t = 0; t < kernels_.gemm_columns; ++t) {
            const int64_t w = (strip.first + t) % y_.w + dw;
            *to++ = w >= 0 && w < y_.w ? 1.0f : 0.0f;
        }
    return masks;
}

// <X_s, X_t> = sum over taps of the product of the pixels that s and t see. In memory a tap is a constant
// distance. Taps at which s sees padding are left out; t that do are masked, or meet the zeros right of the
// last pixel.
void PositionGram::sum_over_taps(const Strip& strip, const float* pixels, const float* masks,
                                 float* to) const {
    const int64_t columns = kernels_.gemm_columns, pad = spec_.pad, row = pitch();
    std::array<TapRow, kMostTaps> taps;
    for (int64_t s = 0, h = 0, w = 0; s < strip.rows(); ++s, to += columns) {
        const int64_t up = std::max(-pad, -h), down = std::min(pad, y_.h - 1 - h);
        const int64_t left = std::max(-pad, -w), right = std::min(pad, y_.w - 1 - w);
        int64_t count = 0;
        for (int64_t dh = up; dh <= down; ++dh)
            for (int64_t dw = left; dw <= right; ++dw) {
                const int64_t shift = dh * y_.w + dw;
                taps[static_cast<size_t>(count++)] = {pixels + (s + shift) * row + strip.first + shift,
                                                      dw == 0 ? nullptr : masks + (dw + pad) * columns};
            }
        // On the diagonal's tile columns left of it may not have been written.
        kernels_.sum_taps(taps.data(), count, std::max<int64_t>(0, s - strip.first), to);
        if (++w == y_.w) {
            w = 0;
            ++h;
        }
    }
}

}  // namespace gs::cpu
