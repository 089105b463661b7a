#include "cpu/gradient_rows.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "cpu/map_type.h"

namespace gs::cpu {
namespace {

constexpr int64_t kPositions = 256;     // of one block: its panel of inputs is 32 KB
constexpr int64_t kFoldedPanels = 128;  // a lane adds two values a panel in float32

// Exponents that have a kernel.
std::optional<RowNorm> row_norm_of(double p) {
    if (p == 1) return RowNorm::Absolute;
    if (p == 2) return RowNorm::Square;
    if (std::isinf(p)) return RowNorm::Largest;
    return std::nullopt;
}

// |scale|^p, what a row's scale makes of its norm.
double scale_of(const WeightGradientNorm& args, int64_t o, double p) {
    const double scale = args.scale ? std::abs(static_cast<double>(args.scale.f32()[o])) : 1.0;
    return p == 1 || std::isinf(p) ? scale : std::pow(scale, p);
}

// The projection of weight standardisation: g - mean - w * slope.
struct Projection {
    const float* w = nullptr;
    double mean = 0, slope = 0;

    Projection(const Kernels& kernels, const WeightGradientNorm& args, const float* g, int64_t o,
               int64_t fan_in) {
        if (!args.standardised) return;
        w = args.standardised.f32() + o * fan_in;
        double sum = 0, dot = 0;
        kernels.row_sums(g, w, fan_in, &sum, &dot);
        mean = sum / static_cast<double>(fan_in);
        slope = dot / static_cast<double>(fan_in);
    }
    double norm(const Kernels& kernels, const float* g, int64_t fan_in, double p) const {
        if (const auto kind = row_norm_of(p))
            return kernels.row_norm(g, w, static_cast<float>(mean), static_cast<float>(slope), fan_in, *kind);
        double sum = 0;
        for (int64_t k = 0; k < fan_in; ++k)
            sum += std::pow(std::abs(w == nullptr ? g[k] : g[k] - mean - w[k] * slope), p);
        return sum;
    }
};

}  // namespace

int64_t gradient_tile_floats() {
    static const int64_t floats = [] {
        const int64_t cache = sysconf(_SC_LEVEL2_CACHE_SIZE);  // 0 or -1 where nobody knows
        return std::clamp<int64_t>(cache / 2, 512 << 10, 1 << 20) / static_cast<int64_t>(sizeof(float));
    }();
    return floats;
}

GradientRows::GradientRows(Context& context, const WeightGradientNorm& args)
    : kernels_(context.kernels),
      args_(args),
      x_(args.x.shape.with_n(1)),
      y_(args.dy.shape.with_n(1)),
      fan_in_(taps_of(args.spec) * x_.c),
      panels_(div_up(fan_in_, kernels_.gemm_columns)),
      pitch_(gradient_pitch(kernels_, fan_in_)),
      blocks_(div_up(y_.pixels(), kPositions)),
      block_(div_up(y_.pixels(), blocks_)) {
    const auto norm = args.norms.size() == 1 ? row_norm_of(args.norms[0].p) : std::nullopt;
    reduces_ = norm.has_value() && !args.standardised && !args.gamma.out;
    norm_ = norm.value_or(RowNorm::Absolute);
    keeps_tile_ = !reduces_ || blocks_ > 1;
    choose_group(context.threads);
    // The kernels write a little beyond.
    sizes_[0] = static_cast<size_t>(div_up(group_, kernels_.gemm_rows) * kernels_.gemm_rows * block_);
    sizes_[1] = static_cast<size_t>((block_ + 2) * kernels_.gemm_columns);
    sizes_[2] = keeps_tile_ ? static_cast<size_t>(group_ * pitch_) : 0;
    sizes_[3] = static_cast<size_t>(group_ * kernels_.gemm_columns / 2);
    for (size_t& size : sizes_) size = (size + 15) / 16 * 16;
    memory_ = context.weight_gradient.get<float>(workspace_size() * static_cast<size_t>(context.threads));
}

// As many outputs as keep tile and gradients in cache; then as many groups as keep all threads busy.
void GradientRows::choose_group(int threads) {
    const int64_t rows = args_.dy.shape.n, step = kernels_.gemm_rows, tiles = div_up(y_.c, step);
    const int64_t floats = keeps_tile_ ? std::max(fan_in_, block_) : block_;
    groups_ = div_up(tiles, std::max<int64_t>(gradient_tile_floats() / floats / step, 1));
    const auto idle = [&](int64_t groups) {  // share of the threads' time
        const int64_t units = rows * groups, rounds = div_up(units, threads);
        return 1 - static_cast<double>(units) / static_cast<double>(rounds * threads);
    };
    while (groups_ < tiles && idle(groups_) > 0.1) ++groups_;
    group_ = div_up(tiles, groups_) * step;
    groups_ = div_up(y_.c, group_);
}

GradientRows::Workspace GradientRows::workspace(int worker) const {
    float* gradient = memory_ + static_cast<size_t>(worker) * workspace_size();
    float *panel = gradient + sizes_[0], *tile = panel + sizes_[1], *lanes = tile + sizes_[2];
    return {gradient, panel, tile, lanes};
}

void GradientRows::run(int64_t row, int64_t group, int worker, std::span<double> values) const {
    const Workspace work = workspace(worker);
    const Outputs outputs{group * group_, std::min(group_, y_.c - group * group_)};
    double* totals = reduces_ ? values.data() + outputs.first : nullptr;
    if (reduces_) {
        std::fill_n(work.lanes, outputs.count * kernels_.gemm_columns / 2, 0.0f);
        std::fill_n(totals, outputs.count, 0.0);
    }
    with_type(args_.x, [&](auto type) {
        for (int64_t s = 0; s < y_.pixels(); s += block_)
            run_block<decltype(type)>(row, outputs, s, std::min(block_, y_.pixels() - s), work, totals);
    });
    if (!reduces_) return reduce_tile(row, outputs, work, values);
    for (int64_t o = 0; o < outputs.count; ++o)
        totals[o] *= scale_of(args_, outputs.first + o, args_.norms[0].p);
}

void pack_gradients(const Kernels& kernels, const View& dy, int64_t row, int64_t first, int64_t count,
                    int64_t o, int64_t outputs, float* to) {
    with_type(dy, [&](auto type) {
        using T = decltype(type);
        kernels.maps<T>().pack_gradient(dy.as<T>() + row * dy.shape.per_sample() + first * dy.shape.c + o,
                                        dy.shape.c, count, outputs, to);
    });
}

// Adds positions [first, first + count) to the tile; with the last ones, reduces it where that is possible.
template <class T>
void GradientRows::run_block(int64_t row, const Outputs& outputs, int64_t first, int64_t count,
                             const Workspace& work, double* totals) const {
    const bool reduce = reduces_ && first + count == y_.pixels();
    pack_gradients(kernels_, args_.dy, row, first, count, outputs.first, outputs.count, work.gradient);
    auto unfold = unfold_block<T>(args_, row % args_.x.shape.n, first, count);
    for (int64_t i = 0; i < panels_; ++i) {
        unfold.column = i * kernels_.gemm_columns;
        unfold.columns = std::min(kernels_.gemm_columns, fan_in_ - unfold.column);
        kernels_.maps<T>().unfold(unfold, work.panel);
        kernels_.gradient_panel({work.gradient, work.panel, count, outputs.count, work.tile + unfold.column,
                                 pitch_, first > 0, reduce ? work.lanes : nullptr, norm_});
        if (reduce && ((i + 1) % kFoldedPanels == 0 || i + 1 == panels_))
            kernels_.fold_lanes(work.lanes, outputs.count, norm_, totals);
    }
}

void GradientRows::reduce_tile(int64_t row, const Outputs& outputs, const Workspace& work,
                               std::span<double> values) const {
    for (int64_t i = 0; i < outputs.count; ++i) {
        const int64_t o = outputs.first + i;
        const float* g = work.tile + i * pitch_;
        if (args_.gamma.out) {
            double sum = 0, dot = 0;
            kernels_.row_sums(g, args_.gamma.weights.f32() + o * fan_in_, fan_in_, &sum, &dot);
            write_gamma(args_.gamma, row, o, dot);
        }
        const Projection projection(kernels_, args_, g, o, fan_in_);
        for (size_t n = 0; n < args_.norms.size(); ++n) {
            const double p = args_.norms[n].p;
            values[n * static_cast<size_t>(y_.c) + static_cast<size_t>(o)] =
                scale_of(args_, o, p) * projection.norm(kernels_, g, fan_in_, p);
        }
    }
}

}  // namespace gs::cpu
