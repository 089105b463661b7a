#include "cpu/norm_route.h"

#include "core/norm_cost.h"
#include "cpu/gradient_gram.h"

namespace gs::cpu {

NormRoute cheapest_route(const ConvSpec& spec, const Shape& x) {
    const double most = taps_of(spec) == 1 ? 0.7 : 0.5;
    if (keeps_size(spec) && taps_of(spec) <= kMostTaps && pixel_gram_cost(spec, x) < most)
        return NormRoute::PixelGram;
    return ghost_cost(spec, x) < 0.7 ? NormRoute::Ghost : NormRoute::Direct;
}

// In multiply-adds of float32 for each sample; one of float64 costs three.
NormRoute cheapest_gram_route(const WeightGradientNorm& args) {
    constexpr double kWide = 3;
    const ConvSpec& spec = args.spec;
    const Shape x = args.x.shape.with_n(1);
    const bool plain = args.x.dtype == DType::F32 && args.dy.dtype == DType::F32;
    if (!plain || (args.standardised && !args.output.y)) return NormRoute::Direct;
    const auto positions = static_cast<double>(spec.output_shape(x).pixels());
    const auto outputs = static_cast<double>(spec.out_channels);
    const auto fan_in = static_cast<double>(taps_of(spec) * spec.in_channels);
    const auto cotangents = static_cast<double>(args.dy.shape.n / args.x.shape.n);
    const bool pixels = keeps_size(spec) && taps_of(spec) <= kMostTaps;
    const double width = pixels ? static_cast<double>(spec.in_channels) : fan_in;
    const double direct = outputs * fan_in * cotangents * (positions + kWide * (cotangents + 1) / 2);
    const double pairs = positions * positions * (width + kWide * cotangents * outputs) / 2;
    const double products = kWide * cotangents * cotangents * positions * outputs;
    if (pairs + products > 0.7 * direct) return NormRoute::Direct;
    return pixels ? NormRoute::PixelGram : NormRoute::Ghost;
}

}  // namespace gs::cpu
