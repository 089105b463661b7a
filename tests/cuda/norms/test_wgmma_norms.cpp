// Norms of per-sample weight gradients by wgmma against loops in double: on a GPU of compute capability 9.0,
// and on the emulated device, whose products read shared memory by the descriptors they are given
// (tests/emulated_cuda/hopper.h).
#include <gtest/gtest.h>

#include "core/devices.h"
#include "cuda/kernels/wgmma_layers.h"
#include "tests/cuda/norms/gradient_problem.h"

namespace gs::test {
namespace {

std::vector<Layer> layers() {
    return {{"3x3, 225 positions, three tiles a row", {2, 15, 15, 64}, {64, 72, 3, 3, 1, 1, 1}, true, false},
            {"3x3, 900 positions, standardised", {1, 30, 30, 64}, {64, 136, 3, 3, 1, 1, 1}, true, true},
            {"3x3, 1024 positions", {1, 32, 32, 64}, {64, 80, 3, 3, 1, 1, 1}, false, false},
            {"3x3 without padding", {1, 16, 14, 64}, {64, 72, 3, 3, 1, 0, 1}, false, false},
            {"3x3, taps across a tile's panels", {1, 8, 16, 192}, {192, 72, 3, 3, 1, 1, 1}, false, true},
            {"1x1, a row in one tile, standardised", {2, 12, 13, 256}, {256, 200, 1, 1, 1, 0, 1}, true, true},
            {"1x1, K = 320 in two tiles", {1, 9, 17, 320}, {320, 72, 1, 1, 1, 0, 1}, false, true},
            {"1x1 with padding", {1, 11, 11, 256}, {256, 72, 1, 1, 1, 1, 1}, false, false},
            {"1x5", {1, 8, 20, 64}, {64, 72, 1, 5, 1, 2, 1}, true, false}};
}

class WgmmaNorms : public testing::TestWithParam<size_t> {
  protected:
    void SetUp() override {
        const CudaDevices found = find_cuda_devices();
        if (found.devices.empty() ||
            found.devices.front().find("compute capability 9.0") == std::string::npos)
            GTEST_SKIP() << "no GPU of compute capability 9.0 here";
    }
    Layer layer_ = layers()[GetParam()];
    Backend& backend_ = backend_of(Precision::BF16, true);
};

// Products of bfloat16 are exact. What is left are float32's errors: of tensor cores that cut their sums off,
// on the emulated device up to 1.1e-6 of a norm over 1024 positions and 1.6e-6 of its largest element, and of
// the epilogue. General exponents take a way of their own.
TEST_P(WgmmaNorms, OfTwoCotangents) {
    Problem problem(layer_, 2);
    problem.round_to_bf16();
    expect_norms(problem, backend_, kExponents, DType::BF16, DType::BF16, 2e-6);
    expect_norms(problem, backend_, {1.3, 1}, DType::BF16, DType::BF16, 2e-6);
}

TEST_P(WgmmaNorms, SameBitsAloneAndAgain) {
    expect_same_bits_in_any_batch(layer_, backend_, DType::BF16);
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(WgmmaNorms);
INSTANTIATE_TEST_SUITE_P(Layers, WgmmaNorms,
                         testing::Range(size_t{0}, is_here() ? layers().size() : size_t{0}));

// Which layers these are; views need memory that is aligned, and no more.
bool is_taken(const ConvSpec& spec, const Shape& x, DType type_x = DType::BF16) {
    alignas(16) static float memory[4];
    return cuda::can_use_wgmma({.spec = spec,
                                .x = {memory, x, type_x},
                                .dy = {memory, spec.output_shape(x), DType::BF16},
                                .scale = {},
                                .standardised = {},
                                .norms = {}});
}

TEST(WgmmaLayers, AreThoseOfBlockThree) {
    for (const Layer& layer : layers()) EXPECT_TRUE(is_taken(layer.spec, layer.x)) << layer.name;
    const Shape block3{4, 30, 30, 256};
    EXPECT_TRUE(is_taken({256, 256, 3, 3, 1, 1, 1}, block3));
    EXPECT_TRUE(is_taken({256, 1024, 1, 1, 1, 0, 1}, block3));
    EXPECT_TRUE(is_taken({1024, 256, 1, 1, 1, 0, 1}, {4, 30, 30, 1024}));
    EXPECT_FALSE(is_taken({256, 256, 3, 3, 1, 1, 1}, block3, DType::F32)) << "float32";
    EXPECT_FALSE(is_taken({256, 256, 3, 3, 2, 1, 1}, {4, 60, 60, 256})) << "stride 2";
    EXPECT_FALSE(is_taken({128, 128, 3, 3, 1, 1, 1}, {4, 60, 60, 128})) << "3600 positions";
    EXPECT_FALSE(is_taken({512, 512, 3, 3, 1, 1, 1}, {4, 4, 4, 512})) << "16 positions";
    EXPECT_FALSE(is_taken({256, 64, 1, 1, 1, 0, 1}, block3)) << "64 outputs";
    EXPECT_FALSE(is_taken({128, 256, 1, 1, 1, 0, 1}, {4, 30, 30, 128})) << "K = 128";
    EXPECT_FALSE(is_taken({320, 260, 1, 1, 1, 0, 1}, {4, 30, 30, 320})) << "outputs of no whole vector";
    EXPECT_FALSE(is_taken({360, 256, 1, 1, 1, 0, 1}, {4, 30, 30, 360})) << "a panel with two taps";
}

}  // namespace
}  // namespace gs::test
