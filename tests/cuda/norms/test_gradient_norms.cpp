// Per-sample norms of weight gradients by tensor cores against loops in double, for every class of layer and
// precision: on this machine's GPU, and on the emulated device (what its tensor cores do to rounding:
// tests/emulated_cuda/tensor_core.h).
#include <gtest/gtest.h>

#include "cuda/kernels/norm_plan.h"
#include "tests/cuda/norms/gradient_problem.h"

namespace gs::test {
namespace {

std::vector<Layer> layers() {
    std::vector<Layer> all = {
        {"K = 27", {2, 9, 8, 3}, {3, 64, 3, 3, 1, 1, 1}, true, false},
        {"K = 147, standardised over two tiles", {1, 17, 21, 3}, {3, 33, 7, 7, 2, 3, 1}, true, true},
        {"49 positions, tiles of 128 x 128", {1, 7, 7, 40}, {40, 130, 3, 3, 1, 1, 1}, true, false},
        {"225 positions, standardised, one tile a row", {1, 15, 15, 72}, {72, 70, 1, 1, 1, 0, 1}, true, true},
        {"shortcut with stride 2, tiles of 128 x 64", {2, 11, 12, 64}, {64, 136, 1, 1, 2, 0, 1}, false, true},
        {"standardised over nine tiles", {1, 4, 4, 128}, {128, 24, 3, 3, 1, 1, 1}, false, true},
        {"156 positions, tile after tile, dy too large to stay",
         {1, 12, 13, 40},
         {40, 70, 3, 3, 1, 1, 1},
         true,
         false},
        {"16 positions, 18 tiles after each other", {2, 4, 4, 256}, {256, 12, 3, 3, 1, 1, 1}, false, false},
        {"channels of no whole vector", {1, 6, 5, 13}, {13, 67, 3, 3, 2, 1, 1}, false, false},
        {"one row of five, stride 3", {2, 3, 17, 8}, {8, 9, 1, 5, 3, 2, 1}, true, true},
        {"long: positions in slices", {1, 70, 62, 3}, {3, 16, 3, 3, 1, 1, 1}, true, true},
        {"long, 1x1, two samples", {2, 64, 67, 8}, {8, 70, 1, 1, 1, 0, 1}, false, false}};
    for (int64_t s = 1; s <= 17; ++s)
        all.push_back(
            {std::to_string(s) + " positions", {1, 1, s, 24}, {24, 20, 1, 1, 1, 0, 1}, false, s == 9});
    return all;
}

class GradientNorms : public testing::TestWithParam<size_t> {
  protected:
    Layer layer_ = layers()[GetParam()];
};

// Norms by exponent and row; the general exponent, 1.3, has a plan of its own.
void expect_float32(const Problem& problem, const std::vector<double>& exponents) {
    const auto got = problem.norms(backend_of(Precision::F32), exponents);
    for (int64_t r = 0; r < problem.dy.shape.n; ++r) {
        const std::vector<double> want = problem.gradient(r), plain = problem.float_gradient(r);
        for (size_t e = 0; e < exponents.size(); ++e) {
            const double p = exponents[e], exact = ref::power_sum(want, p),
                         allowed = std::max(2 * relative_error(ref::power_sum(plain, p), exact, p), 1e-6),
                         error =
                             relative_error(static_cast<double>(got[e][static_cast<size_t>(r)]), exact, p);
            EXPECT_TRUE(error <= allowed) << problem.layer.name << ", p = " << p << ", row " << r << ": "
                                          << error << ", allowed " << allowed;
        }
    }
}

TEST_P(GradientNorms, Float32) {
    const Problem problem(layer_, 2);
    expect_float32(problem, kExponents);
    expect_float32(problem, {1.3, 1});
}

// The largest is one element, and its error that of one sum of products; small layers have few to even out.
void expect_reduced(const Layer& layer, Precision precision, DType maps, double tolerance,
                    double tolerance_of_largest) {
    const Problem problem(layer, 1);
    const auto got = problem.norms(backend_of(precision), kExponents, maps, maps);
    for (int64_t r = 0; r < problem.dy.shape.n; ++r)
        for (size_t e = 0; e < kExponents.size(); ++e) {
            const double p = kExponents[e], want = ref::power_sum(problem.gradient(r), p),
                         error = relative_error(static_cast<double>(got[e][static_cast<size_t>(r)]), want, p);
            EXPECT_TRUE(error <= (std::isinf(p) ? tolerance_of_largest : tolerance))
                << layer.name << ", p = " << p << ": " << error;
        }
}

TEST_P(GradientNorms, Tf32) {
    expect_reduced(layer_, Precision::TF32, DType::F32, 1e-4, 1e-3);
}

TEST_P(GradientNorms, Bfloat16OfFloat32Maps) {
    const bool small = weight_shape(layer_.spec).size() < 1000;
    expect_reduced(layer_, Precision::BF16, DType::BF16, small ? 2e-3 : 5e-4, 8e-3);
}

// Products of bfloat16 are exact: what is left is float32's error.
TEST_P(GradientNorms, Bfloat16OfItsOwnMaps) {
    Problem problem(layer_, 1);
    problem.round_to_bf16();
    for (const DType type_x : {DType::BF16, DType::F32})  // an image is float32
        expect_norms(problem, backend_of(Precision::BF16), kExponents, type_x, DType::BF16, 2e-6);
}

TEST_P(GradientNorms, SameBitsAloneAndAgain) {
    expect_same_bits_in_any_batch(layer_, backend_of(Precision::F32), DType::F32);
    expect_same_bits_in_any_batch(layer_, backend_of(Precision::BF16), DType::BF16);
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(GradientNorms);
INSTANTIATE_TEST_SUITE_P(Layers, GradientNorms,
                         testing::Range(size_t{0}, is_here() ? layers().size() : size_t{0}));

// |.|^p needs the finished sum over all positions. Norms of slices of them, or of chunks, are something else,
// by far more than any tolerance here.
TEST(GradientNormsOfSlices, AreAddedBeforeThePower) {
    if (!is_here()) GTEST_SKIP() << "no GPU here";
    const Layer layer{"", {1, 66, 65, 8}, {8, 16, 3, 3, 1, 1, 1}};
    const Problem problem(layer, 1);
    const cuda::NormPlan plan(16, 72, 66 * 65, false, false, 132);
    ASSERT_GT(plan.slices, 1);
    double of_slices = 0;
    for (int slice = 0; slice < plan.slices; ++slice) {
        Problem part = problem;
        for (int64_t s = 0; s < 66 * 65; ++s)
            for (int64_t o = 0; o < 16 && s / plan.slice != slice; ++o)
                part.dy.values[static_cast<size_t>(s * 16 + o)] = 0;
        of_slices += ref::power_sum(part.gradient(0), 1);
    }
    const double want = ref::power_sum(problem.gradient(0), 1);
    EXPECT_GT(of_slices, 1.2 * want) << "the data tells them apart";
    EXPECT_NEAR(static_cast<double>(problem.norms(backend_of(Precision::F32), {1}).at(0).at(0)), want,
                1e-6 * want);
}

}  // namespace
}  // namespace gs::test
