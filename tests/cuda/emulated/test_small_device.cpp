// Devices that are not what kernels were tuned or compiled for.
#include <cuda_runtime.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

// More tiles a row than multiprocessors: they cannot wait for each other, and the product is made twice.
TEST(GradientNormsOnASmallDevice, AreTheSameBits) {
    const Problem problem({"", {2, 4, 4, 128}, {128, 24, 3, 3, 1, 1, 1}, true, true}, 1);
    emulated::limit_multiprocessors(8);
    const auto small = make_cuda_backend({});
    emulated::limit_multiprocessors(132);
    const auto large = make_cuda_backend({});
    const auto launched = [&](Backend& backend, std::vector<std::vector<float>>& norms) {
        const size_t before = emulated::launches();
        norms = problem.norms(backend, {1, 2});
        return emulated::launches() - before;
    };
    std::vector<std::vector<float>> of_small, of_large;
    EXPECT_EQ(launched(*small, of_small), 3u);
    EXPECT_EQ(launched(*large, of_large), 2u);
    EXPECT_EQ(of_small, of_large);
}

}  // namespace
}  // namespace gs::test
