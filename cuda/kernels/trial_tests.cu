#include <algorithm>
#include <vector>

#include "cuda/kernels/device.cuh"
#include "cuda/kernels/launch.h"
#include "cuda/kernels/trial_tests.h"

namespace gs::cuda {
namespace {

constexpr int64_t kMostBlocks = 1024;

struct Corner {
    int64_t per_sample, per_row, channels, rows, columns;
    GS_HOST_DEVICE bool has(int64_t at) const {
        return at < per_sample && at / per_row < rows && at % per_row / channels < columns;
    }
};

struct IsNotZero {
    GS_HOST_DEVICE bool operator()(float value) const { return value != 0.0f; }
};
struct IsNumber {
    GS_HOST_DEVICE bool operator()(float value) const { return value == value; }
};

// counts[2 * block], counts[2 * block + 1]: values outside and inside the corner of which `is_counted`.
template <class T, class Predicate>
__global__ void __launch_bounds__(kBlock)
    count_kernel(const T* values, int64_t size, Corner corner, Predicate is_counted, unsigned* counts) {
    unsigned outside = 0, inside = 0;
    const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
    for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < size; i += step) {
        if (!is_counted(static_cast<float>(values[i]))) continue;
        ++(corner.has(i) ? inside : outside);
    }
    outside = sum_over_block(outside);
    inside = sum_over_block(inside);
    if (threadIdx.x != 0) return;
    counts[2 * blockIdx.x] = outside;
    counts[2 * blockIdx.x + 1] = inside;
}

struct Counts {
    uint64_t outside = 0, inside = 0;
};
template <class Predicate>
Counts count(Context& context, View map, int64_t rows, int64_t columns, const Predicate& is_counted) {
    const Shape& shape = map.shape;
    const Corner corner{shape.per_sample(), shape.w * shape.c, shape.c, rows, columns};
    const auto blocks =
        static_cast<unsigned>(std::min<int64_t>(kMostBlocks, std::max(1u, blocks_for(shape.size()))));
    const DeviceMemory memory = context.memory(2 * blocks * sizeof(unsigned));
    auto* to = reinterpret_cast<unsigned*>(memory.data());
    with_type(map.dtype, [&](auto value) {
        using T = decltype(value);
        launch(context, "test of a trial", count_kernel<T, Predicate>, blocks, kBlock, 0,
               static_cast<const T*>(map.data), shape.size(), corner, is_counted, to);
    });
    std::vector<unsigned> host(2 * blocks);
    check(cudaMemcpyAsync(host.data(), to, host.size() * sizeof(unsigned), cudaMemcpyDeviceToHost,
                          context.stream()),
          "result of a trial's test");
    check(cudaStreamSynchronize(context.stream()), "test of a trial");
    Counts counts;
    for (size_t b = 0; b < blocks; ++b) {
        counts.outside += host[2 * b];
        counts.inside += host[2 * b + 1];
    }
    return counts;
}

}  // namespace

bool is_zero_outside(Context& context, View dx, int64_t rows, int64_t columns) {
    const Counts counts = count(context, dx, rows, columns, IsNotZero{});
    const bool has_corner = rows > 0 && columns > 0;
    return counts.outside == 0 && (counts.inside > 0) == has_corner;
}

bool is_nan_everywhere(Context& context, View y) {
    return count(context, y, 0, 0, IsNumber{}).outside == 0;
}

}  // namespace gs::cuda
