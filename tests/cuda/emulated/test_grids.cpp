// A grid has at most 65535 blocks along y and z: the rows of a batch go along x, and the slabs of a map grow
// with it.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <functional>

#include "core/training.h"
#include "cuda/kernels/launch.h"
#include "tests/support/device_tensor.h"
#include "tests/support/expect_close.h"
#include "tests/support/random.h"

namespace gs::test {
namespace {

TEST(Grids, HaveRoomForAnyRowsAndPixels) {
    for (const Shape& shape : {Shape{70000, 4, 4, 64}, Shape{1, 16384, 16384, 64},
                               Shape{1000, 512, 512, 2048}, Shape{1, 1, 1, 1 << 20}})
        for (const int width : {1, 4, 8}) {
            const cuda::Sweep sweep(shape, width);
            const dim3 grid = sweep.grid();
            EXPECT_EQ(grid.x, shape.n);
            EXPECT_EQ(grid.y, sweep.slabs);
            EXPECT_LE(grid.y, 65535u);
            EXPECT_LE(grid.z, 65535u);
            EXPECT_GE(int64_t{grid.z} * sweep.lanes * width, shape.c);
            EXPECT_GE(sweep.slabs * sweep.slab_pixels(), shape.pixels());
        }
    EXPECT_THROW(cuda::grid_size(int64_t{1} << 31), Error);
    EXPECT_THROW(cuda::blocks_for(int64_t{1} << 40), Error);
}

using Results = std::vector<std::vector<float>>;

constexpr int64_t kRows = 11, kChannels = 12;
const Shape kMap{kRows, 5, 4, kChannels};

DeviceTensor map_of(Backend& backend, uint64_t seed, const Shape& shape = kMap) {
    return {backend, random_tensor(shape, Fill::Normal, seed)};
}
DeviceTensor channels_of(Backend& backend, uint64_t seed) {
    return {backend, random_values(kChannels, Fill::OffKinks, seed)};
}

Results group_norm(Backend& backend) {
    const DeviceTensor x = map_of(backend, 1), dy = map_of(backend, 2), gamma = channels_of(backend, 3),
                       beta = channels_of(backend, 4), stats(backend, Shape{kRows, 1, 3, 2}),
                       y(backend, kMap), dx(backend, kMap), dgamma(backend, Shape{kRows, 1, 1, kChannels});
    const GroupNormParams params{3, 1e-5f, gamma, beta};
    const View terms[] = {dy};
    backend.group_norm_stats(x, params, stats);
    backend.group_norm(x, stats, params, Activation::Relu, y);
    backend.group_norm_backward(
        {.terms = terms, .x = x, .stats = stats, .activation = Activation::Relu, .dx = dx, .dgamma = dgamma},
        params);
    return {stats.download().values, y.download().values, dx.download().values, dgamma.download().values};
}

Results batch_norm(Backend& backend) {
    const Shape shape = kMap;
    const DeviceTensor x = map_of(backend, 1, shape), dy = map_of(backend, 2, shape),
                       gamma = channels_of(backend, 3), beta = channels_of(backend, 4),
                       stats(backend, Shape{1, 1, 2, kChannels}), y(backend, shape), dx(backend, shape);
    const View terms[] = {dy};
    backend.batch_norm_stats({.x = x, .stats = stats});
    backend.batch_norm({.x = x, .stats = stats, .gamma = gamma, .beta = beta, .y = y});
    backend.batch_norm_backward(
        {.terms = terms, .x = x, .stats = stats, .gamma = gamma, .beta = beta, .dx = dx});
    return {stats.download().values, y.download().values, dx.download().values};
}

Results pools(Backend& backend) {
    const PoolSpec spec;
    const Shape pooled = spec.output_shape(kMap);
    const DeviceTensor x = map_of(backend, 1), y(backend, pooled), winner(backend, pooled, DType::U8),
                       dx(backend, kMap), mean(backend, Shape{kRows, 1, 1, kChannels}), spread(backend, kMap);
    backend.max_pool(x, spec, y, winner);
    backend.max_pool_backward(y, winner, spec, dx);
    backend.average_pool(x, 5, 4, mean);
    backend.average_pool_backward(mean, 5, 4, spread);
    return {y.download().values, dx.download().values, mean.download().values, spread.download().values};
}

Results depthwise(Backend& backend) {
    const ConvSpec spec{kChannels, kChannels, 3, 3, 1, 1, kChannels};
    const auto convolution =
        backend.make_convolution(spec, random_values(weight_shape(spec).size(), Fill::Normal, 1), {});
    const DeviceTensor x = map_of(backend, 1), dy = map_of(backend, 2), y(backend, kMap), dx(backend, kMap),
                       dw(backend, weight_shape(spec)), norms(backend, Shape{kRows, 1, 1, 1});
    convolution->forward(x, y, Activation::None);
    convolution->backward_data(dy, dx);
    convolution->backward_weights(x, dy, dw);
    const PowerSum norm{1, norms};
    backend.weight_gradient_norm({.spec = spec, .x = x, .dy = dy, .norms = {&norm, 1}});
    return {y.download().values, dx.download().values, dw.download().values, norms.download().values};
}

// Of a long row: partial tiles, and a block for each of their rows.
Results sliced_norms(Backend& backend) {
    const ConvSpec spec{4, 24, 1, 1, 1, 0, 1};
    const Shape shape{2, 64, 64, 4};
    const DeviceTensor x = map_of(backend, 1, shape), dy = map_of(backend, 2, spec.output_shape(shape)),
                       norms(backend, Shape{2, 1, 1, 1});
    const PowerSum norm{1, norms};
    backend.weight_gradient_norm({.spec = spec, .x = x, .dy = dy, .norms = {&norm, 1}});
    return {norms.download().values};
}

Results joins(Backend& backend) {
    const DeviceTensor a = map_of(backend, 1), b = map_of(backend, 2), y = map_of(backend, 3),
                       dx(backend, kMap), sum(backend, Shape{kRows, 1, 1, kChannels});
    const View terms[] = {a, b};
    const TapSink sink{Reduction::Sum, sum};
    backend.pointwise_backward(
        {.terms = terms, .activation = Activation::Relu, .y = y, .dx = dx, .sinks = {&sink, 1}});
    return {dx.download().values, sum.download().values};
}

// On a device whose grids are lower than the batch is large, as 65535 blocks are for batches that are.
TEST(Grids, LargeBatchesAreTheSameBits) {
    const std::pair<const char*, std::function<Results(Backend&)>> operations[] = {
        {"group norm", group_norm}, {"batch norm", batch_norm},     {"pools", pools},
        {"depthwise", depthwise},   {"sliced norms", sliced_norms}, {"joins", joins}};
    const auto backend = make_cuda_backend({});
    for (const auto& [name, run] : operations) {
        SCOPED_TRACE(name);
        const Results want = run(*backend);
        emulated::limit_grid(8);  // exponents of a norm, which are few, may lie along y
        Results got;
        EXPECT_NO_THROW(got = run(*backend));
        emulated::limit_grid(65535);
        ASSERT_EQ(got.size(), want.size());
        for (size_t i = 0; i < want.size(); ++i)
            expect_same_bits("result " + std::to_string(i), got[i], want[i]);
    }
}

}  // namespace
}  // namespace gs::test
