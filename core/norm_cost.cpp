#include "core/norm_cost.h"

namespace gs {
namespace {

double gram_cost(const ConvSpec& spec, const Shape& x, int64_t width) {
    const auto positions = static_cast<double>(spec.output_shape(x).pixels());
    const auto outputs = static_cast<double>(spec.out_channels);
    return positions * (outputs + static_cast<double>(width)) /
           (2 * outputs * static_cast<double>(taps_of(spec) * spec.in_channels));
}

}  // namespace

bool is_outer_product(const WeightGradientNorm& args) {
    return args.x.shape.pixels() == 1 && args.dy.shape.pixels() == 1 && taps_of(args.spec) == 1 &&
           args.spec.groups == 1 && !args.standardised && !args.gamma.out;
}

bool is_square_alone(const WeightGradientNorm& args) {
    return args.norms.size() == 1 && args.norms[0].p == 2 && !args.gamma.out;
}

bool keeps_size(const ConvSpec& spec) {
    return spec.stride == 1 && spec.kernel_h == 2 * spec.pad + 1 && spec.kernel_w == 2 * spec.pad + 1;
}

double ghost_cost(const ConvSpec& spec, const Shape& x) {
    return gram_cost(spec, x, taps_of(spec) * spec.in_channels);
}

double pixel_gram_cost(const ConvSpec& spec, const Shape& x) {
    return gram_cost(spec, x, spec.in_channels);
}

}  // namespace gs
