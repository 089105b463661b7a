#include "cpu/gradient_gram.h"
#include "cpu/position_sweep.h"

namespace gs::cpu {
namespace {

// P[t][o] = sum_s U_st dy[s,o] over a strip's positions t, times scale[o]^2.
void weigh_gradients(const Kernels& kernels, const double* strip, int64_t rows, const float* dy,
                     int64_t outputs, const float* scale, double* to) {
    kernels.wide_product(strip, rows, dy, outputs, to);
    for (int64_t t = 0; t < kernels.gemm_columns && scale != nullptr; ++t)
        for (int64_t o = 0; o < outputs; ++o) {
            const auto factor = static_cast<double>(scale[o]);
            to[t * outputs + o] *= factor * factor;
        }
}

}  // namespace

// With U the Gram matrix of the inputs and half its diagonal, P_a as above over s <= t:
// <G_a, G_b> = sum_{t,o} P_a[t,o] dy_b[t,o] + P_b[t,o] dy_a[t,o].
void gram_by_positions(Context& context, const WeightGradientNorm& args, NormRoute route,
                       std::span<double> grams, std::span<double> taken) {
    const Kernels& kernels = context.kernels;
    const Shape y = args.dy.shape.with_n(1);
    const int64_t samples = args.x.shape.n, cotangents = args.dy.shape.n / samples;
    const int64_t weighted = kernels.gemm_columns * y.c, wide = kernels.gemm_columns * y.pixels();
    const PositionSweep sweep(context, args, route,
                              sizeof(double) / sizeof(float) * static_cast<size_t>(weighted + wide));
    const int64_t strips = sweep.gram().strips(), each = cotangents * cotangents;
    double* halves = context.coefficients.get<double>(static_cast<size_t>(samples * strips * each));
    const auto gradient = [&](int64_t cotangent, int64_t sample) {
        return args.dy.f32() + (cotangent * samples + sample) * y.per_sample();
    };
    sweep.run([&](int64_t sample, int64_t i, const PositionSweep::Workspace& work) {
        const Strip strip = sweep.gram().strip(i);
        double *products = reinterpret_cast<double*>(work.own), *inputs = products + weighted;
        std::copy_n(work.inputs, strip.rows() * kernels.gemm_columns, inputs);
        double* half = halves + (sample * strips + i) * each;
        for (int64_t a = 0; a < cotangents; ++a) {
            weigh_gradients(kernels, inputs, strip.rows(), gradient(a, sample), y.c, args.scale.f32(),
                            products);
            for (int64_t b = 0; b < cotangents; ++b)
                half[a * cotangents + b] =
                    kernels.wide_dot(products, gradient(b, sample) + strip.first * y.c, strip.width * y.c);
        }
    });
    parallel_for(context.threads, samples * each, [&](int64_t at) {
        const int64_t sample = at / each, a = at % each / cotangents, b = at % cotangents;
        double sum = 0;
        for (int64_t i = 0; i < strips; ++i) {
            const double* half = halves + (sample * strips + i) * each;
            sum += half[a * cotangents + b] + half[b * cotangents + a];
        }
        const auto index = static_cast<size_t>(at);
        taken[index] = sweep.taken(a * samples + sample, b * samples + sample);
        grams[index] = sum - taken[index];
    });
}

}  // namespace gs::cpu
