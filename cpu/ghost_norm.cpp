#include "cpu/ghost_norm.h"

#include <iterator>
#include <numeric>

#include "cpu/map_type.h"

namespace gs::cpu {
namespace {

constexpr int64_t kDepth = 256;  // of one block of the vectors: its panel is 32 KB

int64_t round_up(int64_t n, int64_t to) {
    return (n + to - 1) / to * to;
}
int64_t fan_in(const ConvSpec& spec) {
    return spec.kernel_h * spec.kernel_w * spec.in_channels;
}
double gram_cost(const ConvSpec& spec, const Shape& x, int64_t width) {
    const auto positions = static_cast<double>(spec.output_shape(x).pixels());
    const auto outputs = static_cast<double>(spec.out_channels);
    return positions * (outputs + static_cast<double>(width)) /
           (2 * outputs * static_cast<double>(fan_in(spec)));
}
bool keeps_size(const ConvSpec& spec) {
    return spec.stride == 1 && spec.kernel_h == 2 * spec.pad + 1 && spec.kernel_w == 2 * spec.pad + 1;
}

}  // namespace

double ghost_cost(const ConvSpec& spec, const Shape& x) {
    return gram_cost(spec, x, fan_in(spec));
}
double pixel_gram_cost(const ConvSpec& spec, const Shape& x) {
    return gram_cost(spec, x, spec.in_channels);
}

NormRoute cheapest_route(const ConvSpec& spec, const Shape& x) {
    const bool one_tap = spec.kernel_h * spec.kernel_w == 1;
    if (keeps_size(spec) && pixel_gram_cost(spec, x) < (one_tap ? 0.7 : 0.5)) return NormRoute::PixelGram;
    return ghost_cost(spec, x) < 0.7 ? NormRoute::Ghost : NormRoute::Direct;
}

GhostNorm::GhostNorm(Context& context, const WeightGradientNorm& args, NormRoute route)
    : kernels_(context.kernels),
      args_(args),
      route_(route),
      x_(args.x.shape.with_n(1)),
      y_(args.dy.shape.with_n(1)),
      margin_(round_up(args.spec.pad + kernels_.gemm_columns, kernels_.gemm_columns)) {
    const int64_t columns = kernels_.gemm_columns, positions = y_.pixels();
    const auto matrix = static_cast<size_t>(positions * (round_up(positions, columns) + 2 * margin_));
    sizes_[0] = matrix;
    sizes_[1] = route == NormRoute::PixelGram ? matrix : 0;
    sizes_[2] = matrix;
    sizes_[3] = static_cast<size_t>(round_up(y_.size(), 16));
    sizes_[4] = route == NormRoute::Ghost ? static_cast<size_t>((positions + 2) * columns) : 0;
    sizes_[5] = static_cast<size_t>(kDepth * columns);
    const bool converts = args.x.dtype == DType::BF16 && route == NormRoute::PixelGram;
    sizes_[6] = converts ? static_cast<size_t>(round_up(x_.per_sample(), 16)) : 0;
    memory_ = context.gradient.get<float>(std::accumulate(std::begin(sizes_), std::end(sizes_), size_t{0}) *
                                          static_cast<size_t>(context.threads));
}

GhostNorm::Workspace GhostNorm::workspace(int thread) const {
    float* parts[7];
    parts[0] = memory_ +
               static_cast<size_t>(thread) * std::accumulate(std::begin(sizes_), std::end(sizes_), size_t{0});
    for (size_t i = 1; i < 7; ++i) parts[i] = parts[i - 1] + sizes_[i - 1];
    return {clear(parts[0], y_.pixels()),
            clear(parts[1], sizes_[1] == 0 ? 0 : y_.pixels()),
            clear(parts[2], y_.pixels()),
            parts[3],
            parts[4],
            parts[5],
            parts[6]};
}

GhostNorm::Gram GhostNorm::clear(float* data, int64_t count) const {
    const int64_t pitch = round_up(count, kernels_.gemm_columns) + 2 * margin_;
    std::fill_n(data, count * pitch, 0.0f);
    return {data + margin_, pitch};
}

double GhostNorm::run(int64_t row, int thread) const {
    const Workspace work = workspace(thread);
    const int64_t sample = row % args_.x.shape.n, positions = y_.pixels();
    scale_gradients(row, work.scaled);
    add_gram(work.scaled, positions, y_.c, y_.c, work.transposed, false, work.gradients);
    // Each pair once, in both orders.
    for (int64_t s = 0; s < positions; ++s)
        for (int64_t t = s + 1; t < positions; ++t) work.gradients.row(s)[t] *= 2;
    if (route_ == NormRoute::Ghost) {
        with_type(args_.x, [&](auto type) {
            using T = decltype(type);
            gram_of_unfolded(args_.x.as<T>() + sample * x_.per_sample(), work);
        });
        return sum_of_products(work.gradients, work.inputs, positions);
    }
    add_gram(as_floats(sample, work.widened), positions, x_.c, x_.c, work.transposed, false, work.inputs);
    return sum_over_taps(work);
}

const float* GhostNorm::as_floats(int64_t sample, float* widened) const {
    const int64_t at = sample * x_.per_sample();
    if (args_.x.dtype == DType::F32) return args_.x.f32() + at;
    kernels_.widen(args_.x.bf16() + at, x_.per_sample(), widened);
    return widened;
}

void GhostNorm::scale_gradients(int64_t row, float* scaled) const {
    const int64_t at = row * y_.per_sample();
    if (args_.dy.dtype == DType::BF16) {
        kernels_.widen(args_.dy.bf16() + at, y_.per_sample(), scaled);
    } else {
        std::copy_n(args_.dy.f32() + at, y_.per_sample(), scaled);
    }
    if (!args_.scale) return;
    const float* scale = args_.scale.f32();
    for (int64_t s = 0; s < y_.pixels(); ++s)
        for (int64_t o = 0; o < y_.c; ++o) scaled[s * y_.c + o] *= scale[o];
}

// gram[i][j] (+)= <vector i, vector j> for all j >= i; vectors `pitch` apart.
void GhostNorm::add_gram(const float* vectors, int64_t count, int64_t depth, int64_t pitch, float* transposed,
                         bool accumulate, const Gram& gram) const {
    const int64_t columns = kernels_.gemm_columns;
    for (int64_t j = 0; j < count; j += columns) {
        const int64_t width = std::min(columns, count - j);
        for (int64_t k = 0; k < depth; k += kDepth) {
            GemmTile tile{};
            tile.k = std::min(kDepth, depth - k);
            if (width < columns) std::fill_n(transposed, tile.k * columns, 0.0f);
            for (int64_t i = 0; i < width; ++i)
                for (int64_t d = 0; d < tile.k; ++d)
                    transposed[d * columns + i] = vectors[(j + i) * pitch + k + d];
            tile.lda = pitch;
            tile.b = transposed;
            tile.ldc = gram.pitch;
            tile.columns = columns;
            tile.accumulate = accumulate || k > 0;
            for (int64_t i = 0; i < j + width; i += kernels_.gemm_rows) {
                tile.a = vectors + i * pitch + k;
                tile.c = gram.row(i) + j;
                tile.rows = std::min(kernels_.gemm_rows, j + width - i);
                kernels_.gemm_tile(tile);
            }
        }
    }
}

template <class T>
void GhostNorm::gram_of_unfolded(const T* x, const Workspace& work) const {
    const int64_t columns = kernels_.gemm_columns, all = fan_in(args_.spec);
    for (int64_t k = 0; k < all; k += columns) {
        kernels_.maps<T>().unfold({x, x_.h, x_.w, x_.c, args_.spec.kernel_w, args_.spec.stride,
                                   args_.spec.pad, y_.w, 0, y_.pixels(), k, std::min(columns, all - k)},
                                  work.panel);
        add_gram(work.panel, y_.pixels(), columns, columns, work.transposed, k > 0, work.inputs);
    }
}

double GhostNorm::sum_of_products(const Gram& a, const Gram& b, int64_t count) const {
    double sum = 0;
    for (int64_t s = 0; s < count; ++s) sum += kernels_.dot(a.row(s) + s, b.row(s) + s, count - s);
    return sum;
}

// A copy of `gradients` without the second positions outside of columns [left, right) of the map.
GhostNorm::Gram GhostNorm::mask(const Workspace& work, int64_t left, int64_t right) const {
    if (left == 0 && right == y_.w) return work.gradients;
    for (int64_t s = 0; s < y_.pixels(); ++s) {
        float* to = work.masked.row(s);
        std::copy_n(work.gradients.row(s) + s, y_.pixels() - s, to + s);
        for (int64_t h = s / y_.w * y_.w; h < y_.pixels(); h += y_.w) {
            std::fill(to + h, to + h + left, 0.0f);
            std::fill(to + h + right, to + h + y_.w, 0.0f);
        }
    }
    return work.masked;
}

// <X_s, X_t> = sum over taps of the product of the pixels that s and t see. In memory a tap is a constant
// distance; pairs whose t sees padding are masked, and s that see padding are left out.
double GhostNorm::sum_over_taps(const Workspace& work) const {
    const int64_t pad = args_.spec.pad, w = y_.w;
    double sum = 0;
    for (int64_t dw = -pad; dw <= pad; ++dw) {
        const int64_t left = std::clamp<int64_t>(-dw, 0, w), right = std::clamp<int64_t>(w - dw, left, w);
        const Gram gradients = mask(work, left, right);
        for (int64_t dh = -pad; dh <= pad; ++dh) {
            const int64_t end = std::min(y_.h, y_.h - dh) * w, shift = dh * w + dw;
            for (int64_t s = std::max<int64_t>(0, -dh) * w; s < end; ++s)
                if (s % w >= left && s % w < right)
                    sum +=
                        kernels_.dot(gradients.row(s) + s, work.inputs.row(s + shift) + s + shift, end - s);
        }
    }
    return sum;
}

}  // namespace gs::cpu
