// Devices that are not what kernels were tuned or compiled for.
#include <cuda_runtime.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "cuda/runtime.h"
#include "tests/cuda/norms/gradient_problem.h"

namespace gs::test {
namespace {

TEST(ADeviceWithoutCode, IsRefusedAtOnce) {
    emulated::set_compute_capability(75);
    try {
        make_cuda_backend({});
        ADD_FAILURE() << "no error";
    } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::Device);
        EXPECT_THAT(e.what(),
                    testing::HasSubstr("no code for emulated on the host, of compute capability 7.5; 8.0"));
    }
    emulated::set_compute_capability(90);
    EXPECT_NO_THROW(make_cuda_backend({}));
}

// Norms of a layer whose tiles of a row wait for each other where they may, and are made twice where not.
class TilesOfARow : public testing::Test {
  protected:
    static constexpr size_t kTogether = 2, kTwice = 3;  // launches

    size_t launches(Backend& backend) {
        const size_t before = emulated::launches();
        norms_.push_back(problem_.norms(backend, {1, 2}));
        EXPECT_EQ(norms_.back(), norms_.front()) << "the same bits either way";
        return emulated::launches() - before;
    }

  private:
    Problem problem_{{"", {2, 4, 4, 128}, {128, 24, 3, 3, 1, 1, 1}, true, true}, 1};
    std::vector<std::vector<std::vector<float>>> norms_;
};

TEST_F(TilesOfARow, AreMadeTwiceWhereNotAllRunAtOnce) {
    EXPECT_EQ(launches(*make_cuda_backend({})), kTogether);
    emulated::limit_multiprocessors(8);
    EXPECT_EQ(launches(*make_cuda_backend({})), kTwice);
    emulated::limit_multiprocessors(132);
}

// Two kernels that wait could fill a device with blocks that wait for others without a place.
TEST_F(TilesOfARow, WaitInOneBackendOfADevice) {
    ::setenv("GRADSCORE_EMULATED_DEVICES", "2", 1);
    auto first = make_cuda_backend({});
    const auto second = make_cuda_backend({}), elsewhere = make_cuda_backend({.device = 1});
    EXPECT_EQ(launches(*first), kTogether);
    EXPECT_EQ(launches(*second), kTwice);
    EXPECT_EQ(launches(*elsewhere), kTogether);
    first = nullptr;
    EXPECT_EQ(launches(*second), kTwice) << "what it recorded stays as it is";
    EXPECT_EQ(launches(*make_cuda_backend({})), kTogether);
    ::unsetenv("GRADSCORE_EMULATED_DEVICES");
}

TEST_F(TilesOfARow, DoNotWaitWhereProcessesShareTheDevice) {
    emulated::share_by_mps(true);
    EXPECT_EQ(launches(*make_cuda_backend({})), kTwice);
    emulated::share_by_mps(false);
    EXPECT_EQ(launches(*make_cuda_backend({})), kTogether);
}

// The limit is the kernel's: what one launch asks for must not take it from another, recorded or about to be.
TEST(SharedMemoryOfAKernel, IsNeverLowered) {
    const auto backend = make_cuda_backend({});
    static const int kernel = 0;  // its address is a name
    cuda::allow_shared_memory(&kernel, 0, 80 << 10, "a kernel");
    cuda::allow_shared_memory(&kernel, 0, 54 << 10, "a kernel");
    EXPECT_EQ(emulated::allowed_shared(&kernel), size_t{80} << 10);
    cuda::allow_shared_memory(&kernel, 0, 90 << 10, "a kernel");
    EXPECT_EQ(emulated::allowed_shared(&kernel), size_t{90} << 10);
    EXPECT_THROW(cuda::allow_shared_memory(&kernel, 0, 400 << 10, "a kernel"), Error);
}

}  // namespace
}  // namespace gs::test
