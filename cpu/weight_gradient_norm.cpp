// Per-sample norms of weight gradients: what is left of a gradient after each kind of convolution.
#include <cmath>
#include <vector>

#include "core/contract.h"
#include "core/norm_cost.h"
#include "cpu/cpu_backend.h"
#include "cpu/ghost_norm.h"
#include "cpu/gradient_rows.h"
#include "cpu/map_type.h"

namespace gs::cpu {
namespace {

double power(double v, double p) {
    v = std::abs(v);
    return p == 1 || std::isinf(p) ? v : p == 2 ? v * v : std::pow(v, p);
}
// Once there is a NaN it stays.
double combine(double total, double value, double p) {
    if (!std::isinf(p)) return total + value;
    return value <= total || std::isnan(total) ? total : value;
}
double scale_of(const View& scale, int64_t o) {
    return scale ? static_cast<double>(scale.f32()[o]) : 1.0;
}

// The power sum of scale(c) * x[row, c].
template <class Scale>
double row_power(const View& x, int64_t row, double p, const Scale& scale) {
    return with_type(x, [&](auto type) {
        const auto* values = x.as<decltype(type)>() + row * x.shape.c;
        double sum = 0;
        for (int64_t c = 0; c < x.shape.c; ++c)
            sum = combine(sum, power(static_cast<float>(values[c]) * scale(c), p), p);
        return sum;
    });
}

// S = 1: the gradient is an outer product, and ||a f^T||_p = ||a||_p ||f||_p.
void outer_products(const WeightGradientNorm& args, const PowerSum& norm) {
    for (int64_t row = 0; row < args.dy.shape.n; ++row) {
        const double left =
            row_power(args.dy, row, norm.p, [&](int64_t o) { return scale_of(args.scale, o); });
        const double right = row_power(args.x, row % args.x.shape.n, norm.p, [](int64_t) { return 1.0; });
        norm.out.f32()[row] = static_cast<float>(left * right);
    }
}

// Depthwise: sums[c] of one tap, G[c, tap]; vectors run over channels, float32 over a row of the map.
template <class X, class Y>
void depthwise_tap(const WeightGradientNorm& args, int64_t row, int64_t tap, std::span<float> line,
                   std::span<double> sums) {
    const Shape &x = args.x.shape, &y = args.dy.shape;
    const X* inputs = args.x.as<X>() + row % x.n * x.per_sample();
    const Y* gradients = args.dy.as<Y>() + row * y.per_sample();
    const int64_t dh = tap / args.spec.kernel_w - args.spec.pad,
                  dw = tap % args.spec.kernel_w - args.spec.pad;
    std::fill(sums.begin(), sums.end(), 0.0);
    for (int64_t h = 0; h < y.h; ++h) {
        const int64_t ih = h * args.spec.stride + dh;
        if (ih < 0 || ih >= x.h) continue;
        std::fill(line.begin(), line.end(), 0.0f);
        for (int64_t w = 0; w < y.w; ++w) {
            const int64_t iw = w * args.spec.stride + dw;
            if (iw < 0 || iw >= x.w) continue;
            const Y* a = gradients + (h * y.w + w) * y.c;
            const X* b = inputs + (ih * x.w + iw) * x.c;
            for (size_t c = 0; c < line.size(); ++c)
                line[c] += static_cast<float>(a[c]) * static_cast<float>(b[c]);
        }
        for (size_t c = 0; c < line.size(); ++c) sums[c] += static_cast<double>(line[c]);
    }
}

// Memory of one thread: a tap's sums, the dots with the weights, a total an exponent, a row's float32 sums.
class DepthwiseScratch {
  public:
    DepthwiseScratch(Context& context, const WeightGradientNorm& args)
        : channels_(static_cast<size_t>(args.dy.shape.c)),
          norms_(args.norms.size()),
          memory_(context.workspace.get<double>(size() * static_cast<size_t>(context.threads))) {}
    struct Part {
        std::span<double> sums, dots, totals;
        std::span<float> line;
    };
    Part of(int worker) const {
        double* sums = memory_ + size() * static_cast<size_t>(worker);
        double *dots = sums + channels_, *totals = dots + channels_;
        return {{sums, channels_},
                {dots, channels_},
                {totals, norms_},
                {reinterpret_cast<float*>(totals + norms_), channels_}};
    }

  private:
    size_t channels_, norms_;
    double* memory_;
    size_t size() const { return 3 * channels_ + norms_; }
};

void depthwise_row(const WeightGradientNorm& args, int64_t row, const DepthwiseScratch::Part& scratch) {
    const std::span<double> sums = scratch.sums, totals = scratch.totals;
    const std::span<double> dots = scratch.dots.first(args.gamma.out ? sums.size() : 0);
    std::fill(totals.begin(), totals.end(), 0.0);
    std::fill(dots.begin(), dots.end(), 0.0);
    const int64_t taps = taps_of(args.spec);
    for (int64_t tap = 0; tap < taps; ++tap) {
        with_type(args.x, [&](auto x) {
            with_type(args.dy, [&](auto dy) {
                depthwise_tap<decltype(x), decltype(dy)>(args, row, tap, scratch.line, sums);
            });
        });
        for (size_t c = 0; c < dots.size(); ++c)
            dots[c] += sums[c] * args.gamma.weights.f32()[static_cast<int64_t>(c) * taps + tap];
        for (size_t n = 0; n < totals.size(); ++n) {
            const double p = args.norms[n].p;
            for (size_t c = 0; c < sums.size(); ++c)
                totals[n] =
                    combine(totals[n], power(scale_of(args.scale, static_cast<int64_t>(c)) * sums[c], p), p);
        }
    }
    for (size_t c = 0; c < dots.size(); ++c) write_gamma(args.gamma, row, static_cast<int64_t>(c), dots[c]);
    for (size_t n = 0; n < totals.size(); ++n) args.norms[n].out.f32()[row] = static_cast<float>(totals[n]);
}

void by_rows(Context& context, const WeightGradientNorm& args) {
    const int64_t rows = args.dy.shape.n, outputs = args.dy.shape.c;
    const GradientRows gradient(context, args);
    const size_t per_row = args.norms.size() * static_cast<size_t>(outputs);
    const std::span values(context.partial_sums.get<double>(static_cast<size_t>(rows) * per_row),
                           static_cast<size_t>(rows) * per_row);
    const auto of_row = [&](int64_t row) {
        return values.subspan(static_cast<size_t>(row) * per_row, per_row);
    };
    parallel_for(context.threads, rows * gradient.groups(), [&](int64_t unit, int worker) {
        const int64_t row = unit / gradient.groups();
        gradient.run(row, unit % gradient.groups(), worker, of_row(row));
    });
    for (int64_t row = 0; row < rows; ++row) {
        const double* value = of_row(row).data();
        for (const PowerSum& norm : args.norms) {
            double total = 0;
            for (int64_t o = 0; o < outputs; ++o) total = combine(total, *value++, norm.p);
            norm.out.f32()[row] = static_cast<float>(total);
        }
    }
}

void by_ghost(Context& context, const WeightGradientNorm& args, NormRoute route) {
    const std::span<const double> squares = ghost_norms(context, args, route);
    const View out = args.norms[0].out;
    for (int64_t row = 0; row < args.dy.shape.n; ++row) {
        const double square = squares[static_cast<size_t>(row)];
        if (square >= 0 || std::isnan(square)) {
            out.f32()[row] = static_cast<float>(square);
            continue;
        }
        const PowerSum norm{2, out.reshaped({args.dy.shape.n, 1, 1, 1}).samples(row, 1)};
        WeightGradientNorm alone = args;
        alone.x = args.x.samples(row % args.x.shape.n, 1);
        alone.dy = args.dy.samples(row, 1);
        alone.norms = {&norm, 1};
        by_rows(context, alone);
    }
}

}  // namespace

bool CpuBackend::squared_norm_reads_output(const ConvSpec& spec, const Shape& x) const {
    return spec.groups == 1 && map_type() == DType::F32 && cheapest_route(spec, x) != NormRoute::Direct;
}

void CpuBackend::weight_gradient_norm(const WeightGradientNorm& args) {
    contract::weight_gradient_norm(args);
    const int64_t rows = args.dy.shape.n;
    if (rows == 0) return;
    if (is_outer_product(args)) {
        for (const PowerSum& norm : args.norms) outer_products(args, norm);
        return;
    }
    if (args.spec.groups > 1) {
        const DepthwiseScratch scratch(*context_, args);
        each(rows, [&](int64_t row, int worker) { depthwise_row(args, row, scratch.of(worker)); });
        return;
    }
    const NormRoute route = cheapest_route(args.spec, args.x.shape.with_n(1));
    if (is_square_alone(args) && (!args.standardised || args.output.y) && route != NormRoute::Direct)
        return by_ghost(*context_, args, route);
    by_rows(*context_, args);
}

void CpuBackend::power_sums(View x, View scale, std::span<const PowerSum> norms) {
    contract::power_sums(x, scale, norms);
    for (const PowerSum& norm : norms)
        each(x.shape.n, [&](int64_t row) {
            const double sum = row_power(x, row, norm.p, [&](int64_t c) { return scale_of(scale, c); });
            norm.out.f32()[row] = static_cast<float>(sum);
        });
}

}  // namespace gs::cpu
