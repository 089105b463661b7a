#include "cuda/kernels/launch.h"
#include "cuda/kernels/weights.h"

namespace gs::cuda {
namespace {

// Threads run over `from`, whose neighbours are inputs.
__global__ void __launch_bounds__(kBlock)
    stored_order_kernel(const float* from, int64_t from_inputs, int64_t values, int64_t inputs, int64_t taps,
                        float* to) {
    const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= values) return;
    const int64_t c = i % from_inputs, tap = i / from_inputs % taps, o = i / from_inputs / taps;
    if (c < inputs) to[(o * inputs + c) * taps + tap] = from[i];
}

__global__ void __launch_bounds__(kBlock)
    sum_depthwise_kernel(const float* from, int64_t rows, int64_t taps, int64_t channels, float* to) {
    const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= taps * channels) return;
    double sum = 0;
    for (int64_t row = 0; row < rows; ++row) sum += static_cast<double>(from[row * taps * channels + i]);
    to[i % channels * taps + i / channels] = static_cast<float>(sum);
}

}  // namespace

void to_stored_order(Context& context, const float* from, int64_t from_inputs, int64_t outputs,
                     int64_t inputs, int64_t taps, float* to) {
    const int64_t values = outputs * taps * from_inputs;
    launch(context, "stored order of a weight gradient", stored_order_kernel, blocks_for(values), kBlock, 0,
           from, from_inputs, values, inputs, taps, to);
}

void sum_depthwise_rows(Context& context, const float* from, int64_t rows, int64_t taps, int64_t channels,
                        float* to) {
    launch(context, "sum of depthwise weight gradients", sum_depthwise_kernel, blocks_for(taps * channels),
           kBlock, 0, from, rows, taps, channels, to);
}

}  // namespace gs::cuda
