#include "cpu/ghost_norm.h"

namespace gs::cpu {
namespace {

// Of one thread: a strip, and rows of gradients that are not float32.
size_t own_floats(const Kernels& kernels, const View& dy) {
    const Shape& y = dy.shape;
    return static_cast<size_t>(y.pixels() * kernels.gemm_columns +
                               (dy.dtype == DType::F32 ? 0 : y.per_sample()));
}

}  // namespace

std::span<const double> ghost_norms(Context& context, const WeightGradientNorm& args, NormRoute route) {
    const Kernels& kernels = context.kernels;
    const PositionSweep sweep(context, args, route, own_floats(kernels, args.dy));
    const int64_t rows = args.dy.shape.n, samples = args.x.shape.n, strips = sweep.gram().strips();
    const int64_t outputs = args.dy.shape.c, columns = kernels.gemm_columns;
    double* results = context.coefficients.get<double>(static_cast<size_t>(rows * (1 + strips)));
    double* products = results + rows;  // [row][strip]
    const float* scale = args.scale.f32();
    sweep.run([&](int64_t sample, int64_t i, const PositionSweep::Workspace& work) {
        const Strip strip = sweep.gram().strip(i);
        float* widened = work.own + args.dy.shape.pixels() * columns;
        for (int64_t row = sample; row < rows; row += samples) {
            const float* dy = map_rows(kernels, args.dy, row, strip.rows(), widened);
            gram_strip(kernels, {dy, outputs, outputs}, scale, strip, work.scratch, work.own, columns);
            products[row * strips + i] = 2 * kernels.dot(work.inputs, work.own, strip.rows() * columns);
        }
    });
    parallel_for(context.threads, rows, [&](int64_t row) {
        double total = 0;
        for (int64_t i = 0; i < strips; ++i) total += products[row * strips + i];
        const double left = total - sweep.taken(row, row);
        results[row] = left < PositionSweep::kLeastKept * total ? -1 : left;
    });
    return {results, static_cast<size_t>(rows)};
}

}  // namespace gs::cpu
