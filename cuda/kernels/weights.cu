#include "cuda/kernels/device.cuh"
#include "cuda/kernels/launch.h"
#include "cuda/kernels/weights.h"

namespace gs::cuda {
namespace {

__device__ int64_t global_index() {
    return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

struct Sizes {
    int64_t outputs, inputs, taps;
};

// Threads run over `to`, whose neighbours are inputs.
template <class T>
__global__ void __launch_bounds__(kBlock)
    kernel_order_kernel(const float* from, Sizes of, KernelForm form, int64_t values, T* to) {
    const int64_t i = global_index();
    if (i >= values) return;
    const int64_t place = i % form.inputs, tap = i / form.inputs % of.taps, o = i / form.inputs / of.taps;
    const int64_t c = form.twice && place >= of.inputs ? place - of.inputs : place;
    const bool there = o < of.outputs && c < of.inputs;
    const float value = there ? from[(o * of.inputs + c) * of.taps + tap] : 0.0f;
    to[i] = static_cast<T>(form.rounded ? as_stored<Bf16>(value) : value);
}

// Threads run over `to`.
__global__ void __launch_bounds__(kBlock)
    stored_order_kernel(const float* from, Sizes of, KernelForm form, int64_t values, float* to) {
    const int64_t i = global_index();
    if (i >= values) return;
    const int64_t tap = i % of.taps, c = i / of.taps % of.inputs, o = i / of.taps / of.inputs;
    const float* row = from + (o * of.taps + tap) * form.inputs;
    to[i] = form.twice ? row[c] + row[c + of.inputs] : row[c];
}

__global__ void __launch_bounds__(kBlock)
    tap_order_kernel(const float* from, int64_t channels, int64_t taps, bool rounded, float* to) {
    const int64_t i = global_index();
    if (i >= channels * taps) return;
    const float value = from[i % channels * taps + i / channels];
    to[i] = rounded ? as_stored<Bf16>(value) : value;
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

void to_kernel_order(Context& context, const float* from, int64_t outputs, int64_t inputs, int64_t taps,
                     const KernelForm& form, void* to) {
    const int64_t values = form.outputs * taps * form.inputs;
    with_type(form.type, [&](auto value) {
        using T = decltype(value);
        launch(context, "kernel order of weights", kernel_order_kernel<T>, blocks_for(values), kBlock, 0,
               from, Sizes{outputs, inputs, taps}, form, values, static_cast<T*>(to));
    });
}

void to_stored_order(Context& context, const float* from, const KernelForm& form, int64_t outputs,
                     int64_t inputs, int64_t taps, float* to) {
    const int64_t values = outputs * inputs * taps;
    launch(context, "stored order of a weight gradient", stored_order_kernel, blocks_for(values), kBlock, 0,
           from, Sizes{outputs, inputs, taps}, form, values, to);
}

void to_tap_order(Context& context, const float* from, int64_t channels, int64_t taps, bool rounded,
                  float* to) {
    launch(context, "tap order of weights", tap_order_kernel, blocks_for(channels * taps), kBlock, 0, from,
           channels, taps, rounded, to);
}

void sum_depthwise_rows(Context& context, const float* from, int64_t rows, int64_t taps, int64_t channels,
                        float* to) {
    launch(context, "sum of depthwise weight gradients", sum_depthwise_kernel, blocks_for(taps * channels),
           kBlock, 0, from, rows, taps, channels, to);
}

}  // namespace gs::cuda
