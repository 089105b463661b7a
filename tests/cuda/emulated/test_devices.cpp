// Backends of several devices in one process, and threads other than the one that made a backend.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>

#include "tests/support/device_tensor.h"
#include "tests/support/expect_close.h"
#include "tests/support/random.h"

namespace gs::test {
namespace {

class TwoDevices : public testing::Test {
  protected:
    TwoDevices() { ::setenv("GRADSCORE_EMULATED_DEVICES", "2", 1); }
    ~TwoDevices() override { ::unsetenv("GRADSCORE_EMULATED_DEVICES"); }
};

// What makes memory, events, library handles and kernels' attributes, and what runs again when it is
// recorded.
std::vector<std::vector<float>> work(Backend& backend) {
    const ConvSpec spec{16, 24, 3, 3, 1, 1, 1};
    const Shape map{2, 9, 8, 16};
    const auto convolution =
        backend.make_convolution(spec, random_values(weight_shape(spec).size(), Fill::Normal, 1), {});
    const DeviceTensor x(backend, random_tensor(map, Fill::Normal, 2)),
        dy(backend, random_tensor(spec.output_shape(map), Fill::Normal, 3)),
        y(backend, spec.output_shape(map)), dx(backend, map), norms(backend, Shape{2, 1, 1, 1});
    const PowerSum norm{1, norms};
    const auto all = [&] {
        convolution->forward(x, y, Activation::Relu6);
        convolution->backward_data(dy, dx);
        backend.weight_gradient_norm({.spec = spec, .x = x, .dy = dy, .norms = {&norm, 1}});
    };
    all();
    const auto recording = backend.record(all);
    EXPECT_TRUE(recording && recording->replay());
    EXPECT_GT(backend.working_set().memory_bytes, 0u);
    return {y.download().values, dx.download().values, norms.download().values};
}

TEST_F(TwoDevices, BackendsStayOnTheirOwn) {
    const auto second = make_cuda_backend({.device = 1}), first = make_cuda_backend({.device = 0});
    const auto want = work(*first);
    const size_t before = emulated::allocated_bytes_of(0);
    EXPECT_EQ(work(*second), want);
    EXPECT_EQ(emulated::allocated_bytes_of(0), before);
    EXPECT_EQ(work(*first), want);
}

TEST_F(TwoDevices, AnotherThreadMayUseABackend) {
    const auto backend = make_cuda_backend({.device = 1});
    const size_t before = emulated::allocated_bytes_of(0);
    const auto want = work(*backend);
    std::vector<std::vector<float>> got;
    std::string error;
    std::thread([&] {
        try {
            got = work(*backend);
        } catch (const std::exception& e) {
            error = e.what();
        }
    }).join();
    EXPECT_EQ(error, "");
    EXPECT_EQ(got, want);
    EXPECT_EQ(emulated::allocated_bytes_of(0), before);
}

// More shared memory than a kernel has without asking.
TEST(SharedMemory, OfAGroupOfThousandsOfChannels) {
    const auto backend = make_cuda_backend({});
    constexpr int64_t kChannels = 4096;
    const Shape map{1, 2, 1, kChannels};
    const DeviceTensor x(*backend, random_tensor(map, Fill::Normal, 1)),
        dy(*backend, random_tensor(map, Fill::Normal, 2)),
        gamma(*backend, std::vector<float>(kChannels, 1.0f)),
        beta(*backend, std::vector<float>(kChannels, 0.0f)), stats(*backend, Shape{1, 1, 1, 2}),
        dx(*backend, map);
    const GroupNormParams params{1, 1e-5f, gamma, beta};
    const View terms[] = {dy};
    backend->group_norm_stats(x, params, stats);
    EXPECT_NO_THROW(backend->group_norm_backward({.terms = terms, .x = x, .stats = stats, .dx = dx}, params));
    double sum = 0;
    for (const float value : dx.download().values) sum += static_cast<double>(value);
    EXPECT_NEAR(sum, 0, 1e-2);  // the norm takes a constant away
}

}  // namespace
}  // namespace gs::test
