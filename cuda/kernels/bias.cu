#include "cuda/kernels/bias.h"
#include "cuda/kernels/device.cuh"
#include "cuda/kernels/launch.h"

namespace gs::cuda {
namespace {

// W channels a thread: one read and one write of y; the bias stays in cache.
template <class T, int W>
__global__ void __launch_bounds__(kBlock)
    add_bias_kernel(T* y, const float* bias, int64_t packs, int64_t channels, Activation activation) {
    const int64_t pack = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (pack >= packs) return;
    const int64_t at = pack * W, c = at % channels;
    Values<W> values = load<W>(y + at);
    GS_UNROLL
    for (int i = 0; i < W; ++i)
        values[i] = activated(values[i] + (bias == nullptr ? 0.0f : bias[c + i]), activation);
    store<W>(y + at, values);
}

}  // namespace

void add_bias(Context& context, View y, const float* bias, Activation activation) {
    if (y.shape.size() == 0 || (bias == nullptr && activation == Activation::None)) return;
    with_type_and_width(y.dtype, y.shape.c, std::span<const View>(&y, 1), [&](auto value, auto width) {
        using T = decltype(value);
        constexpr int W = decltype(width)::kValue;
        const int64_t packs = y.shape.size() / W;
        launch(context, "bias", add_bias_kernel<T, W>, blocks_for(packs), kBlock, 0, static_cast<T*>(y.data),
               bias, packs, y.shape.c, activation);
    });
}

}  // namespace gs::cuda
