#include "core/contract.h"

namespace gs::contract {
namespace {

bool alike(const View& a, const View& b) {
    return a.shape == b.shape && a.dtype == b.dtype;
}

// Absent, or of this shape and type.
bool fits(const View& v, const Shape& shape, DType type) {
    return !v || (v.shape == shape && v.dtype == type);
}

bool is_per_channel(const View& v, int64_t c) {
    return v && v.shape == Shape{1, 1, 1, c};
}

bool is_absent_or_per_channel(const View& v, int64_t c) {
    return !v || v.shape == Shape{1, 1, 1, c};
}

// A gradient's rows are whole cotangents of all samples.
bool are_rows_of(int64_t rows, int64_t samples) {
    return samples > 0 ? rows % samples == 0 : rows == 0;
}

// x, or a gradient at x, may be an image's; then it is float32 whatever maps are.
bool have_convolved_types(const View& x, const View& y) {
    return x.dtype == y.dtype || x.dtype == DType::F32;
}

void require_spec(const ConvSpec& spec) {
    GS_REQUIRE(spec.in_channels > 0 && spec.out_channels > 0 && spec.kernel_h > 0 && spec.kernel_w > 0);
    GS_REQUIRE(spec.stride > 0 && spec.pad >= 0);
    GS_REQUIRE(spec.groups == 1 || (spec.groups == spec.in_channels && spec.groups == spec.out_channels));
}

void require_convolved(const ConvSpec& spec, const View& x, const View& y) {
    GS_REQUIRE(y.shape == spec.output_shape(x.shape) && have_convolved_types(x, y));
}

void require_terms(std::span<const View> terms) {
    GS_REQUIRE(!terms.empty() && terms.size() <= kMostTerms);
    for (const View& term : terms) GS_REQUIRE(alike(term, terms.front()));
}

void require_sinks(const Shape& map, std::span<const TapSink> sinks) {
    for (const TapSink& sink : sinks) GS_REQUIRE(sink.out && sink.out.shape == (Shape{map.n, 1, 1, map.c}));
}

// Of a gradient with so many rows.
void require_gamma(const FoldedGamma& gamma, const ConvSpec& spec, int64_t rows) {
    const Shape sums{rows, 1, 1, spec.out_channels};
    GS_REQUIRE(gamma.out.shape == sums && gamma.dbeta.shape == sums);
    GS_REQUIRE(is_per_channel(gamma.shift, spec.out_channels));
    GS_REQUIRE(gamma.weights.shape.size() == weight_shape(spec).size());
}

void require_gradients(const WeightGradientNorm& args) {
    const ConvSpec& spec = args.spec;
    require_spec(spec);
    GS_REQUIRE(args.dy.shape.with_n(1) == spec.output_shape(args.x.shape.with_n(1)));
    GS_REQUIRE(are_rows_of(args.dy.shape.n, args.x.shape.n));
    GS_REQUIRE(is_absent_or_per_channel(args.scale, spec.out_channels));
    GS_REQUIRE(!args.standardised ||
               (spec.groups == 1 && args.standardised.shape.size() == weight_shape(spec).size()));
}

void require_output(const WeightGradientNorm& args) {
    const Shape map = args.dy.shape.with_n(args.x.shape.n);
    GS_REQUIRE(args.standardised && fits(args.output.y, map, DType::F32));
    GS_REQUIRE(is_per_channel(args.output.weight_squares, map.c));
}

void require_pool(const PoolSpec& spec, const View& x, const View& y) {
    GS_REQUIRE(spec.kernel > 0 && spec.kernel * spec.kernel < 255);  // winners are kept in a byte
    GS_REQUIRE(spec.stride > 0 && spec.pad >= 0 && spec.pad < spec.kernel);
    GS_REQUIRE(y.shape == spec.output_shape(x.shape) && x.dtype == y.dtype);
}

void require_window(const View& x, int64_t window_h, int64_t window_w, const View& y) {
    GS_REQUIRE(y.shape == (Shape{x.shape.n, 1, 1, x.shape.c}));
    GS_REQUIRE(window_h > 0 && window_h <= x.shape.h && window_w > 0 && window_w <= x.shape.w);
}

void require_subsampled(const View& x, int64_t stride, const View& y) {
    GS_REQUIRE(stride > 0 && x.shape.n == y.shape.n && y.shape.c >= x.shape.c && x.dtype == y.dtype);
    GS_REQUIRE(y.shape.h == (x.shape.h + stride - 1) / stride &&
               y.shape.w == (x.shape.w + stride - 1) / stride);
}

void require_affine(const View& x, const GroupNormParams& params) {
    GS_REQUIRE(is_per_channel(params.gamma, x.shape.c) && is_per_channel(params.beta, x.shape.c));
}

void require_batch_norm(const View& x, const View& stats, const View& gamma, const View& beta) {
    const int64_t c = x.shape.c;
    GS_REQUIRE(x && stats && stats.shape == (Shape{1, 1, 2, c}));
    GS_REQUIRE(is_per_channel(gamma, c) && is_per_channel(beta, c));
}

}  // namespace

void upload(std::span<const float> host, const View& to) {
    GS_REQUIRE(to.dtype == DType::F32 && host.size_bytes() == to.bytes());
}

void download(const View& from, std::span<float> host) {
    GS_REQUIRE(from.dtype == DType::F32 && host.size_bytes() == from.bytes());
}

void make_convolution(const ConvSpec& spec, std::span<const float> weights, std::span<const float> bias) {
    require_spec(spec);
    GS_REQUIRE(static_cast<int64_t>(weights.size()) == weight_shape(spec).size());
    GS_REQUIRE(bias.empty() || static_cast<int64_t>(bias.size()) == spec.out_channels);
}

void convolution_forward(const ConvSpec& spec, const View& x, const View& y) {
    require_convolved(spec, x, y);
}

void convolution_backward_data(const ConvSpec& spec, const View& dy, const View& dx) {
    require_convolved(spec, dx, dy);
}

void convolution_backward_weights(const ConvSpec& spec, const View& x, const View& dy, const View& dw) {
    require_convolved(spec, x, dy);
    GS_REQUIRE(dw.shape == weight_shape(spec));
}

void set_weights(const ConvSpec& spec, const View& weights, const View& bias, bool biased) {
    GS_REQUIRE(weights && weights.shape == weight_shape(spec));
    GS_REQUIRE(biased ? is_per_channel(bias, spec.out_channels) : !bias);
}

void weight_gradient_norm(const WeightGradientNorm& args) {
    require_gradients(args);
    const int64_t rows = args.dy.shape.n;
    GS_REQUIRE(args.gamma.out || !args.norms.empty());
    for (const PowerSum& norm : args.norms) GS_REQUIRE(norm.p > 0 && norm.out.shape.size() == rows);
    if (args.gamma.out) require_gamma(args.gamma, args.spec, rows);
    if (args.output.y) require_output(args);
}

void combined_gradient_norm(const CombinedGradientNorm& args) {
    const WeightGradientNorm& gradients = args.gradients;
    const int64_t samples = gradients.x.shape.n, results = args.coefficients.shape.n;
    require_gradients(gradients);
    GS_REQUIRE(gradients.spec.groups == 1 && gradients.norms.empty() && !gradients.gamma.out);
    GS_REQUIRE(are_rows_of(results, samples));
    if (samples == 0) return;
    GS_REQUIRE(args.coefficients.shape == (Shape{results, 1, 1, gradients.dy.shape.n / samples}));
    GS_REQUIRE(args.out.shape == (Shape{results, 1, 1, 1}));
}

void power_sums(const View& x, const View& scale, std::span<const PowerSum> norms) {
    GS_REQUIRE(x.shape.pixels() == 1 && is_absent_or_per_channel(scale, x.shape.c));
    for (const PowerSum& norm : norms)
        GS_REQUIRE(norm.p > 0 && norm.out.shape == (Shape{x.shape.n, 1, 1, 1}));
}

void stored_weight_gradient(const StoredWeightGradient& args) {
    const Shape& g = args.g.shape;
    GS_REQUIRE(is_absent_or_per_channel(args.scale, g.n));
    GS_REQUIRE(fits(args.standardised, g, DType::F32) && fits(args.dw, g, DType::F32));
    const FoldedGamma& gamma = args.gamma;
    if (!gamma.out) return;
    const Shape outputs{1, 1, 1, g.n};
    GS_REQUIRE(gamma.out.shape == outputs && gamma.shift.shape == outputs && gamma.dbeta.shape == outputs);
    GS_REQUIRE(gamma.weights.shape == g);
}

void sum_rows(const View& x, const View& scale, const View& out) {
    const int64_t c = x.shape.per_sample();
    GS_REQUIRE(out.shape == (Shape{1, 1, 1, c}) && is_absent_or_per_channel(scale, c));
}

void channel_affine(const View& x, const View& scale, const View& shift, const View& y) {
    GS_REQUIRE(alike(x, y) && is_per_channel(scale, x.shape.c) && is_per_channel(shift, x.shape.c));
}

void activate(const View& x, const View& y) {
    GS_REQUIRE(alike(x, y));
}

void add(const View& a, const View& b, const View& y) {
    GS_REQUIRE(alike(a, y) && alike(b, y));
}

void copy(const View& from, const View& to) {
    GS_REQUIRE(alike(from, to));
}

void pointwise_backward(const PointwiseBackward& args) {
    require_terms(args.terms);
    const Shape& shape = args.terms.front().shape;
    const DType type = args.terms.front().dtype;
    GS_REQUIRE(fits(args.dx, shape, type) && fits(args.addend, shape, type));
    GS_REQUIRE(is_absent_or_per_channel(args.scale, shape.c));
    require_sinks(shape, args.sinks);
    if (args.activation != Activation::None) {
        const int64_t samples = args.y.shape.n;
        GS_REQUIRE(args.y && fits(args.y, shape.with_n(samples), type) && are_rows_of(shape.n, samples));
    }
    const NormalisedSum& gamma = args.gamma;
    if (!gamma.out) return;
    const int64_t samples = gamma.x.shape.n;
    GS_REQUIRE(gamma.x && fits(gamma.x, shape.with_n(samples), type) && are_rows_of(shape.n, samples));
    GS_REQUIRE(args.activation == Activation::None || args.y.shape.n == samples);
    GS_REQUIRE(is_per_channel(gamma.mean, shape.c) && is_per_channel(gamma.rstd, shape.c));
    GS_REQUIRE(gamma.out.shape == (Shape{shape.n, 1, 1, shape.c}));
}

void reduce(const View& x, std::span<const TapSink> sinks) {
    require_sinks(x.shape, sinks);
}

void group_norm_stats(const View& x, const GroupNormParams& params, const View& stats) {
    GS_REQUIRE(params.groups > 0 && x.shape.c % params.groups == 0);
    GS_REQUIRE(stats && stats.shape == (Shape{x.shape.n, 1, params.groups, 2}));
}

void group_norm(const View& x, const View& stats, const GroupNormParams& params, const View& y) {
    group_norm_stats(x, params, stats);
    require_affine(x, params);
    GS_REQUIRE(alike(x, y));
}

void group_norm_backward(const GroupNormBackward& args, const GroupNormParams& params) {
    require_terms(args.terms);
    const Shape& shape = args.terms.front().shape;
    const DType type = args.terms.front().dtype;
    const int64_t samples = args.x.shape.n;
    GS_REQUIRE(args.x && fits(args.x, shape.with_n(samples), type) && are_rows_of(shape.n, samples));
    group_norm_stats(args.x, params, args.stats);
    require_affine(args.x, params);
    GS_REQUIRE(fits(args.dx, shape, type) && fits(args.addend, shape, type));
    require_sinks(shape, args.sinks);
    GS_REQUIRE(!args.dgamma || args.dgamma.shape == (Shape{shape.n, 1, 1, shape.c}));
}

void add_with_stats(const View& a, const View& b, const View& y, const GroupNormParams& params,
                    const View& stats) {
    add(a, b, y);
    group_norm_stats(y, params, stats);
}

void max_pool(const View& x, const PoolSpec& spec, const View& y, const View& winner) {
    require_pool(spec, x, y);
    GS_REQUIRE(fits(winner, y.shape, DType::U8));
}

void max_pool_backward(const View& dy, const View& winner, const PoolSpec& spec, const View& dx) {
    require_pool(spec, dx, dy);
    const int64_t samples = winner.shape.n;
    GS_REQUIRE(winner && fits(winner, dy.shape.with_n(samples), DType::U8) &&
               are_rows_of(dy.shape.n, samples));
}

void average_pool(const View& x, int64_t window_h, int64_t window_w, const View& y) {
    require_window(x, window_h, window_w, y);
}

void average_pool_backward(const View& dy, int64_t window_h, int64_t window_w, const View& dx) {
    require_window(dx, window_h, window_w, dy);
}

void pad_subsample(const View& x, int64_t stride, const View& y) {
    require_subsampled(x, stride, y);
}

void pad_subsample_backward(const View& dy, int64_t stride, const View& dx) {
    require_subsampled(dx, stride, dy);
}

void seed_logits(float temperature, int64_t target, const View& z, const View& dz) {
    GS_REQUIRE(z.shape == dz.shape && z.shape.pixels() == 1 && temperature > 0.0f);
    GS_REQUIRE(target >= 0 && target < z.shape.c);
}

void sign_step(const View& x, const View& g, const View& step, const View& out) {
    GS_REQUIRE(x.shape == out.shape && g.shape == out.shape && is_per_channel(step, x.shape.c));
}

void batch_norm_stats(const BatchNormStatistics& args) {
    const Shape& shape = args.x.shape;
    GS_REQUIRE(args.stats && args.stats.shape == (Shape{1, 1, 2, shape.c}));
    GS_REQUIRE(static_cast<bool>(args.running_mean) == static_cast<bool>(args.running_var));
    GS_REQUIRE(is_absent_or_per_channel(args.running_mean, shape.c));
    GS_REQUIRE(is_absent_or_per_channel(args.running_var, shape.c));
    GS_REQUIRE(shape.n * shape.pixels() > 1);
}

void batch_norm(const BatchNormForward& args) {
    require_batch_norm(args.x, args.stats, args.gamma, args.beta);
    GS_REQUIRE(args.y && alike(args.x, args.y) && fits(args.addend, args.x.shape, args.x.dtype));
}

void batch_norm_backward(const BatchNormBackward& args) {
    require_terms(args.terms);
    require_batch_norm(args.x, args.stats, args.gamma, args.beta);
    GS_REQUIRE(alike(args.x, args.terms.front()));
    GS_REQUIRE(static_cast<bool>(args.y) == static_cast<bool>(args.g));
    for (const View& v : {args.y, args.g, args.addend, args.dx})
        GS_REQUIRE(fits(v, args.x.shape, args.x.dtype));
    GS_REQUIRE(is_absent_or_per_channel(args.dgamma, args.x.shape.c));
    GS_REQUIRE(is_absent_or_per_channel(args.dbeta, args.x.shape.c));
}

void standardise_weights(const StandardiseWeights& args) {
    GS_REQUIRE(args.standardised && alike(args.standardised, args.w));
    GS_REQUIRE(is_per_channel(args.scale, args.w.shape.n));
}

void dropout(const Dropout& args) {
    GS_REQUIRE(args.x.shape == args.y.shape && args.rate >= 0 && args.rate < 1);
}

void sgd_update(const SgdUpdate& args) {
    GS_REQUIRE(args.w.shape == args.g.shape && args.w.shape == args.v.shape);
}

}  // namespace gs::contract
