// Per-sample norms of weight gradients. For each row and each group of outputs a tile of G, group x fan-in,
// is built in cache from blocks of positions, by the matrix product of the convolutions, and reduced while it
// is there.
#include <cmath>
#include <vector>

#include "cpu/cpu_backend.h"

namespace gs::cpu {
namespace {

constexpr int64_t kPositions = 512;          // of one block: the panel of inputs is then 64 KB
constexpr int64_t kTileFloats = 128 * 1024;  // of G in cache: 512 KB, half of a core's second level

struct Geometry {
    Shape x, y;  // of one sample
    ConvSpec spec;

    int64_t taps() const { return spec.kernel_h * spec.kernel_w; }
    int64_t fan_in() const { return taps() * x.c; }
    // Pixels of x that positions [s, s + pixels.size()) of y read through a tap; -1 for padding.
    void sources(int64_t s, int64_t tap, std::span<int64_t> pixels) const {
        const int64_t dh = tap / spec.kernel_w - spec.pad, dw = tap % spec.kernel_w - spec.pad;
        int64_t h = s / y.w, w = s % y.w;
        for (int64_t& pixel : pixels) {
            const int64_t ih = h * spec.stride + dh, iw = w * spec.stride + dw;
            pixel = ih >= 0 && ih < x.h && iw >= 0 && iw < x.w ? ih * x.w + iw : -1;
            if (++w == y.w) {
                w = 0;
                ++h;
            }
        }
    }
};

// One row's norm contribution of output o: sum over its fan-in, or the largest.
double row_value(const Kernels& kernels, const WeightGradientNorm& args, const float* g, int64_t o,
                 int64_t fan_in) {
    const float* w = args.standardised ? args.standardised.f32() + o * fan_in : nullptr;
    double mean = 0, slope = 0;
    if (w != nullptr) {
        kernels.row_sums(g, w, fan_in, &mean, &slope);
        mean /= static_cast<double>(fan_in);
        slope /= static_cast<double>(fan_in);
    }
    const double scale = args.scale ? std::abs(static_cast<double>(args.scale.f32()[o])) : 1.0;
    const auto m = static_cast<float>(mean), r = static_cast<float>(slope);
    if (args.p == 1) return scale * kernels.row_norm(g, w, m, r, fan_in, RowNorm::Absolute);
    if (args.p == 2) return scale * scale * kernels.row_norm(g, w, m, r, fan_in, RowNorm::Square);
    if (std::isinf(args.p)) return scale * kernels.row_norm(g, w, m, r, fan_in, RowNorm::Largest);
    double sum = 0;
    for (int64_t k = 0; k < fan_in; ++k) {
        const double v = w == nullptr ? g[k] : g[k] - mean - w[k] * slope;
        sum += std::pow(scale * std::abs(v), args.p);
    }
    return sum;
}

// Memory of one thread.
struct Workspace {
    float* tile;       // [group][fan_in]
    float* panel;      // [kPositions][gemm_columns] of the unfolded input
    int64_t* sources;  // [kPositions]
};

class Rows {
  public:
    Rows(Context& context, const WeightGradientNorm& args)
        : kernels_(context.kernels),
          args_(args),
          geometry_{args.x.shape.with_n(1), args.dy.shape.with_n(1), args.spec},
          columns_(kernels_.gemm_columns) {
        const int64_t rows = kernels_.gemm_rows, outputs = geometry_.y.c;
        const auto whole = [&](int64_t n) { return std::max<int64_t>((n + rows - 1) / rows, 1) * rows; };
        // As many outputs as keep the tile in cache, but several units of work for each thread.
        const int64_t units = (4 * context.threads + args.dy.shape.n - 1) / args.dy.shape.n;
        group_ = std::min(std::max(kTileFloats / geometry_.fan_in() / rows, int64_t{1}) * rows,
                          whole(outputs / units));
        groups_ = (outputs + group_ - 1) / group_;
        const size_t tile = static_cast<size_t>(group_ * geometry_.fan_in());
        const size_t panel = static_cast<size_t>(kPositions * columns_);
        per_thread_ = (tile + panel) * sizeof(float) + kPositions * sizeof(int64_t);
        per_thread_ = (per_thread_ + 63) / 64 * 64;
        memory_ = context.gradient.get<std::byte>(per_thread_ * static_cast<size_t>(context.threads));
    }
    Workspace workspace(int thread) const {
        std::byte* begin = memory_ + static_cast<size_t>(thread) * per_thread_;
        auto* sources = reinterpret_cast<int64_t*>(begin);
        auto* panel = reinterpret_cast<float*>(sources + kPositions);
        return {panel + kPositions * columns_, panel, sources};
    }
    int64_t groups() const { return groups_; }

    // values: [o], one a weight row
    void run(int64_t row, int64_t group, const Workspace& work, double* values) const {
        const int64_t first = group * group_, count = std::min(group_, geometry_.y.c - first);
        const int64_t fan_in = geometry_.fan_in(), positions = geometry_.y.pixels();
        for (int64_t s = 0; s < positions; s += kPositions)
            add_block(row, first, count, s, std::min(kPositions, positions - s), work);
        for (int64_t o = 0; o < count; ++o)
            values[first + o] = row_value(kernels_, args_, work.tile + o * fan_in, first + o, fan_in);
    }

  private:
    const Kernels& kernels_;
    const WeightGradientNorm& args_;
    Geometry geometry_;
    int64_t columns_, group_ = 0, groups_ = 0;
    size_t per_thread_ = 0;
    std::byte* memory_ = nullptr;

    // The tile's sums over positions [s, s + positions): dy as it lies in memory times panels of the unfolded
    // input.
    void add_block(int64_t row, int64_t first, int64_t count, int64_t s, int64_t positions,
                   const Workspace& work) const {
        const int64_t outputs = geometry_.y.c, channels = geometry_.x.c;
        const float* dy = args_.dy.f32() + row * geometry_.y.per_sample() + s * outputs + first;
        const float* x = args_.x.f32() + row % args_.x.shape.n * geometry_.x.per_sample();
        const std::span sources(work.sources, static_cast<size_t>(positions));
        // Where the unfolded input is the input, whole panels are read where they lie.
        const bool plain = geometry_.taps() == 1 && args_.spec.stride == 1 && args_.spec.pad == 0;
        GemmTile tile{};
        tile.lda = 1;
        tile.k_pitch = outputs;
        tile.k = positions;
        tile.ldc = geometry_.fan_in();
        tile.accumulate = s > 0;
        for (int64_t tap = 0; tap < geometry_.taps(); ++tap) {
            geometry_.sources(s, tap, sources);
            for (int64_t c = 0; c < channels; c += columns_) {
                tile.columns = std::min(columns_, channels - c);
                const bool in_place = plain && tile.columns == columns_;
                tile.b = in_place ? x + s * channels + c : work.panel;
                tile.b_pitch = in_place ? channels : columns_;
                if (!in_place) gather(x + c, sources, tile.columns, work.panel);
                for (int64_t o = 0; o < count; o += kernels_.gemm_rows) {
                    tile.a = dy + o;
                    tile.c = work.tile + o * geometry_.fan_in() + tap * channels + c;
                    tile.rows = std::min(kernels_.gemm_rows, count - o);
                    kernels_.gemm_tile(tile);
                }
            }
        }
    }

    // `width` channels of each source pixel; zeros for padding and beyond the width.
    void gather(const float* x, std::span<const int64_t> sources, int64_t width, float* to) const {
        for (const int64_t pixel : sources) {
            const int64_t kept = pixel < 0 ? 0 : width;
            if (kept > 0) std::copy_n(x + pixel * geometry_.x.c, kept, to);
            if (kept < columns_) std::fill(to + kept, to + columns_, 0.0f);
            to += columns_;
        }
    }
};

double combine(double total, double value, double p) {
    return std::isinf(p) ? std::max(total, value) : total + value;
}

// S = 1: the gradient is an outer product, and ||a f^T||_p = ||a||_p ||f||_p.
void outer_products(const WeightGradientNorm& args) {
    const auto power = [&](double v) {
        return std::isinf(args.p) ? std::abs(v) : std::pow(std::abs(v), args.p);
    };
    for (int64_t row = 0; row < args.dy.shape.n; ++row) {
        const float* a = args.dy.f32() + row * args.dy.shape.c;
        const float* f = args.x.f32() + row % args.x.shape.n * args.x.shape.c;
        double left = 0, right = 0;
        for (int64_t o = 0; o < args.dy.shape.c; ++o)
            left = combine(left, power(a[o] * (args.scale ? static_cast<double>(args.scale.f32()[o]) : 1.0)),
                           args.p);
        for (int64_t c = 0; c < args.x.shape.c; ++c) right = combine(right, power(f[c]), args.p);
        args.out.f32()[row] = static_cast<float>(left * right);
    }
}

// Depthwise: G[c, tap] is one sum a channel; vectors run over channels.
double depthwise_row(const WeightGradientNorm& args, const Geometry& geometry, int64_t row) {
    const int64_t channels = geometry.x.c;
    const float* x = args.x.f32() + row % args.x.shape.n * geometry.x.per_sample();
    const float* dy = args.dy.f32() + row * geometry.y.per_sample();
    std::vector<float> line(static_cast<size_t>(channels));
    std::vector<int64_t> sources(static_cast<size_t>(geometry.y.pixels()));
    std::vector<double> sums(static_cast<size_t>(channels));
    double total = 0;
    for (int64_t tap = 0; tap < geometry.taps(); ++tap) {
        std::fill(sums.begin(), sums.end(), 0.0);
        geometry.sources(0, tap, sources);
        for (int64_t h = 0; h < geometry.y.h; ++h) {
            std::fill(line.begin(), line.end(), 0.0f);
            for (int64_t s = h * geometry.y.w; s < (h + 1) * geometry.y.w; ++s) {
                const int64_t pixel = sources[static_cast<size_t>(s)];
                if (pixel < 0) continue;
                const float *a = dy + s * channels, *b = x + pixel * channels;
                for (int64_t c = 0; c < channels; ++c) line[static_cast<size_t>(c)] += a[c] * b[c];
            }
            for (size_t c = 0; c < line.size(); ++c) sums[c] += line[c];
        }
        for (int64_t c = 0; c < channels; ++c) {
            const double scale = args.scale ? static_cast<double>(args.scale.f32()[c]) : 1.0;
            const double v = std::abs(scale * sums[static_cast<size_t>(c)]);
            total = combine(total, std::isinf(args.p) ? v : args.p == 1 ? v : std::pow(v, args.p), args.p);
        }
    }
    return total;
}

}  // namespace

void CpuBackend::weight_gradient_norm(const WeightGradientNorm& args) {
    const int64_t rows = args.dy.shape.n, outputs = args.dy.shape.c;
    GS_REQUIRE(args.dy.shape.with_n(1) == args.spec.output_shape(args.x.shape.with_n(1)) && args.p > 0);
    GS_REQUIRE(rows % args.x.shape.n == 0 && args.out.shape.size() == rows);
    const bool linear = args.x.shape.pixels() == 1 && args.spec.kernel_h == 1 && args.spec.kernel_w == 1;
    if (linear && args.spec.groups == 1 && !args.standardised) return outer_products(args);
    if (args.spec.groups > 1) {
        GS_REQUIRE(!args.standardised);
        const Geometry geometry{args.x.shape.with_n(1), args.dy.shape.with_n(1), args.spec};
        each(rows, [&](int64_t row) {
            args.out.f32()[row] = static_cast<float>(depthwise_row(args, geometry, row));
        });
        return;
    }
    const Rows tiles(*context_, args);
    std::vector<double> values(static_cast<size_t>(rows * outputs));
    each(rows * tiles.groups(), [&](int64_t unit) {
        const int64_t row = unit / tiles.groups();
        tiles.run(row, unit % tiles.groups(), tiles.workspace(omp_get_thread_num()),
                  values.data() + row * outputs);
    });
    for (int64_t row = 0; row < rows; ++row) {
        double total = 0;
        for (int64_t o = 0; o < outputs; ++o)
            total = combine(total, values[static_cast<size_t>(row * outputs + o)], args.p);
        args.out.f32()[row] = static_cast<float>(total);
    }
}

}  // namespace gs::cpu
