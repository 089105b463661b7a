#include <algorithm>
#include <vector>

#include "cuda/kernels/device.cuh"
#include "cuda/kernels/launch.h"
#include "cuda/kernels/zero_test.h"

namespace gs::cuda {
namespace {

constexpr int64_t kMostBlocks = 1024;

struct Corner {
    int64_t per_sample, per_row, channels, rows, columns;
    GS_HOST_DEVICE bool has(int64_t at) const {
        return at < per_sample && at / per_row < rows && at % per_row / channels < columns;
    }
};

// counts[2 * block], counts[2 * block + 1]: values that are not 0 outside and inside the corner.
template <class T>
__global__ void __launch_bounds__(kBlock)
    count_nonzero_kernel(const T* dx, int64_t size, Corner corner, unsigned* counts) {
    unsigned outside = 0, inside = 0;
    const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
    for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < size; i += step) {
        if (static_cast<float>(dx[i]) == 0.0f) continue;
        ++(corner.has(i) ? inside : outside);
    }
    outside = sum_over_block(outside);
    inside = sum_over_block(inside);
    if (threadIdx.x != 0) return;
    counts[2 * blockIdx.x] = outside;
    counts[2 * blockIdx.x + 1] = inside;
}

}  // namespace

bool is_zero_outside(Context& context, View dx, int64_t rows, int64_t columns) {
    const Shape& shape = dx.shape;
    const Corner corner{shape.per_sample(), shape.w * shape.c, shape.c, rows, columns};
    const auto blocks =
        static_cast<unsigned>(std::min<int64_t>(kMostBlocks, std::max(1u, blocks_for(shape.size()))));
    const DeviceMemory counts = context.memory(2 * blocks * sizeof(unsigned));
    auto* to = reinterpret_cast<unsigned*>(counts.data());
    with_type(dx.dtype, [&](auto value) {
        using T = decltype(value);
        launch(context, "zero test", count_nonzero_kernel<T>, blocks, kBlock, 0,
               static_cast<const T*>(dx.data), shape.size(), corner, to);
    });
    std::vector<unsigned> host(2 * blocks);
    check(cudaMemcpyAsync(host.data(), to, host.size() * sizeof(unsigned), cudaMemcpyDeviceToHost,
                          context.stream()),
          "result of the zero test");
    check(cudaStreamSynchronize(context.stream()), "zero test");
    uint64_t outside = 0, inside = 0;
    for (size_t b = 0; b < blocks; ++b) {
        outside += host[2 * b];
        inside += host[2 * b + 1];
    }
    const bool has_corner = rows > 0 && columns > 0;
    return outside == 0 && (inside > 0) == has_corner;
}

}  // namespace gs::cuda
