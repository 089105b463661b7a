#include "cpu/position_sweep.h"

#include <numeric>

namespace gs::cpu {

PositionSweep::PositionSweep(Context& context, const WeightGradientNorm& args, NormRoute route,
                             size_t own_floats)
    : context_(context),
      kernels_(context.kernels),
      args_(args),
      gram_(kernels_, args.spec, args.x, route),
      x_(args.x.shape.with_n(1)),
      y_(args.dy.shape.with_n(1)),
      samples_(args.x.shape.n),
      rows_(args.dy.shape.n) {
    GS_REQUIRE(!standardised() || (args.output.y && args.x.dtype == DType::F32 &&
                                   args.dy.dtype == DType::F32 && args.output.y.dtype == DType::F32));
    sizes_ = {gram_.stored_floats(), std::max(gram_.scratch_floats(), gram_scratch(kernels_)),
              gram_.strip_floats(), own_floats};
    for (size_t& size : sizes_) size = (size + 15) / 16 * 16;
    const size_t each = std::accumulate(sizes_.begin(), sizes_.end(), size_t{0});
    memory_ = context.weight_gradient.get<float>(each * static_cast<size_t>(context.threads));
    if (standardised())
        row_sums_ = context.sinks.get<float>(static_cast<size_t>(rows_ * gram_.strips() * 2 * y_.c));
}

// Whole samples go to a thread each; the threads share what is left over (two_sweeps).
PositionSweep::Workspace PositionSweep::workspace(int64_t sample, int worker) const {
    const size_t each = std::accumulate(sizes_.begin(), sizes_.end(), size_t{0});
    float* mine = memory_ + static_cast<size_t>(worker) * each;
    const bool whole = sample < samples_ - samples_ % context_.threads;
    float *scratch = mine + sizes_[0], *inputs = scratch + sizes_[1];
    return {whole ? mine : memory_, scratch, inputs, inputs + sizes_[2]};
}

void PositionSweep::prepare(int64_t sample, int64_t i, const Workspace& work) const {
    gram_.prepare(sample, i, work.stored, work.scratch);
    if (standardised()) sum_rows(sample, i, work.inputs);
}

// Over the strip's positions.
void PositionSweep::sum_rows(int64_t sample, int64_t i, float* boxes) const {
    const Strip strip = gram_.strip(i);
    for (int64_t s = 0; s < strip.width; ++s) boxes[s] = static_cast<float>(box_sum(sample, strip.first + s));
    const int64_t at = strip.first * y_.c;
    const float* y = args_.output.y.f32() + sample * y_.per_sample() + at;
    for (int64_t row = sample; row < rows_; row += samples_)
        kernels_.projection_sums(args_.dy.f32() + row * y_.per_sample() + at, y, boxes, strip.width, y_.c,
                                 row_sums(row, i), row_sums(row, i) + y_.c);
}

// sum_k X_sk: a window's rows are stretches of memory.
double PositionSweep::box_sum(int64_t sample, int64_t position) const {
    const ConvSpec& spec = args_.spec;
    const int64_t top = position / y_.w * spec.stride - spec.pad,
                  left = position % y_.w * spec.stride - spec.pad;
    const int64_t from = std::max<int64_t>(left, 0), to = std::min(left + spec.kernel_w, x_.w);
    double box = 0;
    for (int64_t h = std::max<int64_t>(top, 0); h < std::min(top + spec.kernel_h, x_.h) && from < to; ++h) {
        const float* x = args_.x.f32() + sample * x_.per_sample() + (h * x_.w + from) * x_.c;
        double sum = 0, squares = 0;
        kernels_.row_sums(x, x, (to - from) * x_.c, &sum, &squares);
        box += sum;
    }
    return box;
}

PositionSweep::Sums PositionSweep::sums(int64_t row, int64_t o) const {
    Sums total{};
    for (int64_t i = 0; i < gram_.strips(); ++i) {
        total.plain += static_cast<double>(row_sums(row, i)[o]);
        total.weighted += static_cast<double>(row_sums(row, i)[y_.c + o]);
    }
    return total;
}

double PositionSweep::taken(int64_t row, int64_t other) const {
    if (!standardised()) return 0;
    const auto fan_in = static_cast<double>(taps_of(args_.spec) * x_.c);
    double taken = 0;
    for (int64_t o = 0; o < y_.c; ++o) {
        const Sums a = sums(row, o), b = other == row ? a : sums(other, o);
        const double scale = args_.scale ? static_cast<double>(args_.scale.f32()[o]) : 1.0;
        const double squares = static_cast<double>(args_.output.weight_squares.f32()[o]) / fan_in;
        taken += scale * scale * (a.plain * b.plain + (2 - squares) * a.weighted * b.weighted) / fan_in;
    }
    return taken;
}

}  // namespace gs::cpu
