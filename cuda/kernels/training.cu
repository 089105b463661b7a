// What training does value by value: dropout, weight standardisation, the update of parameters.
#include "core/contract.h"
#include "core/training.h"
#include "cuda/cuda_backend.h"
#include "cuda/kernels/device.cuh"
#include "cuda/kernels/launch.h"

namespace gs::cuda {
namespace {

__device__ int64_t global_index() {
    return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

// A block for each output: mean, then the deviations' squares around it, in float64.
__global__ void __launch_bounds__(kBlock)
    standardise_kernel(const float* weights, int64_t k, float* standardised, float* scales) {
    const int64_t first = blockIdx.x * k;
    double sum = 0, squares = 0;
    for (int64_t i = threadIdx.x; i < k; i += blockDim.x) sum += static_cast<double>(weights[first + i]);
    const double mean = sum_over_block(sum) / static_cast<double>(k);
    for (int64_t i = threadIdx.x; i < k; i += blockDim.x) {
        const double d = static_cast<double>(weights[first + i]) - mean;
        squares += d * d;
    }
    const double scale = 1 / sqrt(sum_over_block(squares) / static_cast<double>(k) + kStandardiseEps);
    for (int64_t i = threadIdx.x; i < k; i += blockDim.x)
        standardised[first + i] =
            static_cast<float>((static_cast<double>(weights[first + i]) - mean) * scale);
    if (threadIdx.x == 0) scales[blockIdx.x] = static_cast<float>(scale);
}

__global__ void __launch_bounds__(kBlock)
    dropout_kernel(const float* x, int64_t count, uint64_t key, uint32_t threshold, float factor, float* y) {
    const int64_t i = global_index();
    if (i >= count) return;
    const bool kept = dropout_bits(key, static_cast<uint64_t>(i)) >= threshold;
    y[i] = kept ? x[i] * factor : 0.0f;
}

struct SgdStep {
    float learning_rate, momentum, weight_decay;
    bool nesterov;
};

__global__ void __launch_bounds__(kBlock)
    sgd_kernel(float* w, const float* g, float* v, int64_t count, SgdStep step) {
    const int64_t i = global_index();
    if (i >= count) return;
    const float d = fmaf(step.weight_decay, w[i], g[i]), moved = fmaf(step.momentum, v[i], d);
    v[i] = moved;
    w[i] = fmaf(-step.learning_rate, step.nesterov ? fmaf(step.momentum, moved, d) : moved, w[i]);
}

}  // namespace

void CudaBackend::standardise_weights(const StandardiseWeights& args) {
    contract::standardise_weights(args);
    launch(*context_, "weight standardisation", standardise_kernel, grid_size(args.w.shape.n), kBlock, 0,
           args.w.f32(), args.w.shape.per_sample(), args.standardised.f32(), args.scale.f32());
}

void CudaBackend::dropout(const Dropout& args) {
    contract::dropout(args);
    if (args.x.shape.size() == 0) return;
    launch(*context_, "dropout", dropout_kernel, blocks_for(args.x.shape.size()), kBlock, 0, args.x.f32(),
           args.x.shape.size(), args.key, dropout_threshold(args.rate), 1 / (1 - args.rate), args.y.f32());
}

void CudaBackend::sgd_update(const SgdUpdate& args) {
    contract::sgd_update(args);
    if (args.w.shape.size() == 0) return;
    launch(*context_, "update of parameters", sgd_kernel, blocks_for(args.w.shape.size()), kBlock, 0,
           args.w.f32(), args.g.f32(), args.v.f32(), args.w.shape.size(),
           SgdStep{args.learning_rate, args.momentum, args.weight_decay, args.nesterov});
}

}  // namespace gs::cuda
