// Small operations on gradients of parameters: their norms, sums over a batch, and the way to stored weights.
#include "core/contract.h"
#include "cuda/cuda_backend.h"
#include "cuda/kernels/launch.h"
#include "cuda/kernels/power.cuh"

namespace gs::cuda {
namespace {

// A block a row.
__global__ void __launch_bounds__(kBlock)
    power_sum_kernel(const float* x, int64_t count, const float* scale, Exponent exponent, float* out) {
    double total = 0;
    for (int64_t i = threadIdx.x; i < count; i += blockDim.x) {
        const float factor = scale == nullptr ? 1.0f : scale[i];
        const double value = power(factor * x[blockIdx.x * count + i], exponent);
        total = combined(total, value, exponent);
    }
    total = combined_over_block(total, exponent);
    if (threadIdx.x == 0) out[blockIdx.x] = static_cast<float>(total);
}

__device__ float put(float before, double value, Grad mode) {
    return static_cast<float>(mode == Grad::Add ? static_cast<double>(before) + value : value);
}

__global__ void __launch_bounds__(kBlock) sum_rows_kernel(const float* x, int64_t rows, int64_t channels,
                                                          const float* scale, Grad mode, float* out) {
    const int64_t c = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (c >= channels) return;
    double sum = 0;
    for (int64_t n = 0; n < rows; ++n) sum += static_cast<double>(x[n * channels + c]);
    out[c] = put(out[c], scale == nullptr ? sum : static_cast<double>(scale[c]) * sum, mode);
}

struct StoredRows {
    const float *g, *scale, *standardised, *gamma_weights, *shift, *dbeta;
    float *dw, *dgamma;  // null: nobody asks
    int64_t k;
    Grad mode;
};

// A block for each output channel. dw may be g: a thread writes only what it alone has read since the
// barrier.
__global__ void __launch_bounds__(kBlock) stored_rows_kernel(StoredRows args) {
    const int64_t o = blockIdx.x, first = o * args.k;
    const float* g = args.g + first;
    double sum = 0, slope = 0, dot = 0;
    for (int64_t i = threadIdx.x; i < args.k; i += blockDim.x) {
        const double value = g[i];
        sum += value;
        if (args.standardised != nullptr) slope += value * static_cast<double>(args.standardised[first + i]);
        if (args.dgamma != nullptr) dot += value * static_cast<double>(args.gamma_weights[first + i]);
    }
    if (args.dgamma != nullptr) {
        dot = sum_over_block(dot);
        if (threadIdx.x == 0)
            args.dgamma[o] =
                put(args.dgamma[o],
                    dot + static_cast<double>(args.shift[o]) * static_cast<double>(args.dbeta[o]), args.mode);
    }
    if (args.dw == nullptr) return;
    double mean = 0, mean_dot = 0;
    if (args.standardised != nullptr) {
        mean = sum_over_block(sum) / static_cast<double>(args.k);
        mean_dot = sum_over_block(slope) / static_cast<double>(args.k);
    }
    const double scale = args.scale == nullptr ? 1.0 : static_cast<double>(args.scale[o]);
    for (int64_t i = threadIdx.x; i < args.k; i += blockDim.x) {
        double value = g[i];
        if (args.standardised != nullptr)
            value -= mean + static_cast<double>(args.standardised[first + i]) * mean_dot;
        args.dw[first + i] =
            put(args.mode == Grad::Add ? args.dw[first + i] : 0.0f, scale * value, args.mode);
    }
}

}  // namespace

void CudaBackend::power_sums(View x, View scale, std::span<const PowerSum> norms) {
    contract::power_sums(x, scale, norms);
    if (x.shape.n == 0) return;
    for (const PowerSum& norm : norms)
        launch(*context_, "power sums", power_sum_kernel, grid_size(x.shape.n), kBlock, 0, x.f32(), x.shape.c,
               scale.f32(), Exponent(norm.p), norm.out.f32());
}

void CudaBackend::sum_rows(View x, View scale, Grad mode, View out) {
    contract::sum_rows(x, scale, out);
    const int64_t c = x.shape.per_sample();
    launch(*context_, "sum of rows", sum_rows_kernel, blocks_for(c), kBlock, 0, x.f32(), x.shape.n, c,
           scale.f32(), mode, out.f32());
}

void CudaBackend::stored_weight_gradient(const StoredWeightGradient& args) {
    contract::stored_weight_gradient(args);
    const FoldedGamma& gamma = args.gamma;
    launch(*context_, "gradient of stored weights", stored_rows_kernel, grid_size(args.g.shape.n), kBlock, 0,
           StoredRows{.g = args.g.f32(),
                      .scale = args.scale.f32(),
                      .standardised = args.standardised.f32(),
                      .gamma_weights = gamma.weights.f32(),
                      .shift = gamma.shift.f32(),
                      .dbeta = gamma.dbeta.f32(),
                      .dw = args.dw.f32(),
                      .dgamma = gamma.out.f32(),
                      .k = args.g.shape.per_sample(),
                      .mode = args.mode});
}

}  // namespace gs::cuda
