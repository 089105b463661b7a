#include "cuda/kernels/gradient_rows.h"
#include "cuda/kernels/gradient_tiles.h"
#include "cuda/kernels/launch.h"

namespace gs::cuda {
namespace {

// A block for each output channel of each row of the launch.
__global__ void __launch_bounds__(kBlock) gradient_rows_kernel(RowArguments args) {
    const auto outputs = static_cast<unsigned>(args.outputs);
    const int64_t o = blockIdx.x % outputs, of_launch = blockIdx.x / outputs,
                  row = args.order.row(args.first + of_launch);
    float* g = args.g + of_launch * args.slices * args.per_row + o * args.stride_o;
    double sum = 0, slope = 0, dot = 0;
    for (int64_t i = threadIdx.x; i < args.k; i += blockDim.x) {
        float whole = g[i * args.stride_k];
        for (int64_t slice = 1; slice < args.slices; ++slice)
            whole += g[slice * args.per_row + i * args.stride_k];
        if (args.slices > 1) g[i * args.stride_k] = whole;  // read again by this thread alone
        const double value = whole;
        sum += value;
        if (args.standardised != nullptr)
            slope += value * static_cast<double>(args.standardised[o * args.k + i]);
        if (args.dgamma != nullptr) dot += value * static_cast<double>(args.gamma_weights[o * args.k + i]);
    }
    if (args.dgamma != nullptr) {
        dot = sum_over_block(dot);
        const int64_t at = row * args.outputs + o;
        if (threadIdx.x == 0)
            args.dgamma[at] = static_cast<float>(dot + static_cast<double>(args.shift[o]) *
                                                           static_cast<double>(args.dbeta[at]));
    }
    float mean = 0, mean_dot = 0;
    if (args.standardised != nullptr) {
        mean = static_cast<float>(sum_over_block(sum) / static_cast<double>(args.k));
        mean_dot = static_cast<float>(sum_over_block(slope) / static_cast<double>(args.k));
    }
    const float scale = args.row_scale == nullptr ? 1.0f : args.row_scale[o];
    for (int n = 0; n < args.exponents.count; ++n) {
        const Exponent exponent = args.exponents.of[n];
        double total = 0;
        for (int64_t i = threadIdx.x; i < args.k; i += blockDim.x) {
            float value = g[i * args.stride_k];
            if (args.standardised != nullptr)
                value = fmaf(-args.standardised[o * args.k + i], mean_dot, value - mean);
            total = combined(total, static_cast<double>(power(scale * value, exponent)), exponent);
        }
        total = combined_over_block(total, exponent);
        if (threadIdx.x == 0) args.partial[(row * args.exponents.count + n) * args.outputs + o] = total;
    }
}

// Row blockIdx.x, exponent blockIdx.y: `count` partial values each.
__global__ void __launch_bounds__(kBlock)
    combine_partial_kernel(const double* partial, int64_t count, Exponents exponents, NormOutputs outs) {
    const Exponent exponent = exponents.of[blockIdx.y];
    const double* from = partial + (static_cast<int64_t>(blockIdx.x) * exponents.count + blockIdx.y) * count;
    double total = 0;
    for (int64_t i = threadIdx.x; i < count; i += blockDim.x) total = combined(total, from[i], exponent);
    total = combined_over_block(total, exponent);
    if (threadIdx.x == 0) outs.of[blockIdx.y][blockIdx.x] = static_cast<float>(total);
}

// dgamma[row][o] = the sum over the tiles of a row + shift[o] * dbeta[row][o]. A thread a value.
__global__ void __launch_bounds__(kBlock)
    gamma_kernel(const float* row_sums, int64_t tiles_k, int64_t outputs, int64_t count, const float* shift,
                 const float* dbeta, float* dgamma) {
    const int64_t at = static_cast<int64_t>(blockIdx.x) * kBlock + threadIdx.x;
    if (at >= count) return;
    const int64_t row = at / outputs, o = at % outputs;
    double dot = static_cast<double>(shift[o]) * static_cast<double>(dbeta[at]);
    for (int64_t t = 0; t < tiles_k; ++t)
        dot += static_cast<double>(row_sums[((row * tiles_k + t) * kRowSums + kGammaDot) * outputs + o]);
    dgamma[at] = static_cast<float>(dot);
}

}  // namespace

void launch_gradient_rows(Context& context, const RowArguments& args, int64_t rows) {
    launch(context, "rows of a weight gradient", gradient_rows_kernel, grid_size(args.outputs * rows), kBlock,
           0, args);
}

void combine_partial_norms(Context& context, const double* partial, int64_t rows, int64_t count,
                           const Exponents& exponents, const NormOutputs& outs) {
    launch(context, "sum of partial norms", combine_partial_kernel,
           dim3(grid_size(rows), static_cast<unsigned>(exponents.count)), kBlock, 0, partial, count,
           exponents, outs);
}

void sum_gamma(Context& context, const float* row_sums, int64_t tiles_k, const FoldedGamma& gamma) {
    const int64_t count = gamma.out.shape.size();
    launch(context, "gradient of a folded gamma", gamma_kernel, blocks_for(count), kBlock, 0, row_sums,
           tiles_k, gamma.out.shape.c, count, gamma.shift.f32(), gamma.dbeta.f32(), gamma.out.f32());
}

}  // namespace gs::cuda
