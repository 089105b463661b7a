// Gradients of the scores' losses at the logits, a block a sample, in float64.
#include "core/contract.h"
#include "cuda/cuda_backend.h"
#include "cuda/kernels/device.cuh"
#include "cuda/kernels/launch.h"

namespace gs::cuda {
namespace {

// The first index of the row's largest value, for every thread.
__device__ int64_t argmax(const float* z, int64_t classes) {
    float best = z[0];
    int64_t at = 0;
    for (int64_t c = threadIdx.x; c < classes; c += blockDim.x)
        if (z[c] > best) best = z[c], at = c;
    const float largest = max_over_block(best);
    // The smallest index among those that hold it, as the largest distance from the end. A thread that saw
    // nothing larger than z[0] holds index 0 rightly.
    const int64_t first = classes - max_over_block(best == largest ? classes - at : int64_t{0});
    return first < classes ? first : 0;  // NaN equals nothing
}

__global__ void __launch_bounds__(kBlock) seed_kernel(Seed seed, double temperature, int64_t target,
                                                      int64_t classes, const float* logits, float* gradient) {
    const float* z = logits + blockIdx.x * classes;
    float* dz = gradient + blockIdx.x * classes;
    const int64_t top = argmax(z, classes);
    if (seed == Seed::MaxLogit) {
        for (int64_t c = threadIdx.x; c < classes; c += blockDim.x) dz[c] = c == top ? 1.0f : 0.0f;
        return;
    }
    if (seed == Seed::ClassBinaryCrossEntropy) {  // sigmoid(u) - 1 as -sigmoid(-u): keeps its digits
        for (int64_t c = threadIdx.x; c < classes; c += blockDim.x) {
            const double u = static_cast<double>(z[c]) / temperature;
            const double value = c == target ? -1 / (1 + exp(u)) : 1 / (1 + exp(-u));
            dz[c] = static_cast<float>(value / temperature);
        }
        return;
    }
    const double largest = z[top];
    double mine = 0;
    for (int64_t c = threadIdx.x; c < classes; c += blockDim.x)
        mine += exp((static_cast<double>(z[c]) - largest) / temperature);
    const double log_sum = log(sum_over_block(mine));
    if (seed == Seed::UniformCrossEntropy) {  // C p - 1 as expm1(log p + log C): exact near uniform
        const double log_classes = log(static_cast<double>(classes));
        for (int64_t c = threadIdx.x; c < classes; c += blockDim.x) {
            const double log_p = (static_cast<double>(z[c]) - largest) / temperature - log_sum;
            dz[c] = static_cast<float>(expm1(log_p + log_classes) / temperature);
        }
        return;
    }
    // p_k - 1 as minus the sum of the others, which keeps its digits where p_k is nearly 1.
    const int64_t k = seed == Seed::PredictedCrossEntropy ? top : target;
    double others = 0;
    for (int64_t c = threadIdx.x; c < classes; c += blockDim.x) {
        const double p = exp((static_cast<double>(z[c]) - largest) / temperature - log_sum);
        if (c != k) others += p;
        if (c != k) dz[c] = static_cast<float>(p / temperature);
    }
    others = sum_over_block(others);
    if (threadIdx.x == 0) dz[k] = static_cast<float>(-others / temperature);
}

}  // namespace

void CudaBackend::seed_logits(Seed seed, float temperature, int64_t target, View z, View dz) {
    contract::seed_logits(temperature, target, z, dz);
    const int64_t classes = z.shape.c;
    if (z.shape.n == 0) return;
    launch(*context_, "seed at the logits", seed_kernel, grid_size(z.shape.n), kBlock, 0, seed,
           static_cast<double>(temperature), target, classes, z.f32(), dz.f32());
}

}  // namespace gs::cuda
