// Squared norms of per-sample weight gradients by Gram matrices over positions, against loops in double and
// against the product: on this machine's GPU, and on the emulated device.
#include <gtest/gtest.h>

#include "cuda/kernels/position_gram.h"
#include "tests/cuda/norms/gradient_problem.h"

namespace gs::test {
namespace {

// All cheap enough for float32; those marked also for scaled bfloat16.
struct Case {
    Layer layer;
    bool scaled_bf16;
};

std::vector<Case> cases() {
    return {{{"3x3, 16 positions", {2, 4, 4, 72}, {72, 48, 3, 3, 1, 1, 1}}, true},
            {{"3x3, 64 positions", {2, 8, 8, 72}, {72, 66, 3, 3, 1, 1, 1}, true}, false},
            {{"3x3, 225 positions", {1, 15, 15, 136}, {136, 132, 3, 3, 1, 1, 1}, true}, false},
            {{"3x3, 256 positions", {1, 16, 16, 130}, {130, 140, 3, 3, 1, 1, 1}}, false},
            {{"3x3, odd channels", {2, 5, 7, 37}, {37, 29, 3, 3, 1, 1, 1}, true}, false},
            {{"3x3, more channels than a chunk", {1, 4, 5, 300}, {300, 161, 3, 3, 1, 1, 1}, true}, true},
            {{"3x3, one row", {1, 1, 40, 33}, {33, 20, 3, 3, 1, 1, 1}, true}, false},
            {{"3x3, one column", {1, 35, 1, 40}, {40, 24, 3, 3, 1, 1, 1}}, false},
            {{"3x3, one pixel", {2, 1, 1, 20}, {20, 30, 3, 3, 1, 1, 1}, true}, true},
            {{"5x5 on six pixels", {2, 2, 3, 16}, {16, 8, 5, 5, 1, 2, 1}, true}, true},
            {{"7x7, 100 positions", {1, 10, 10, 24}, {24, 12, 7, 7, 1, 3, 1}, true}, false},
            {{"1x1, 16 positions", {2, 4, 4, 200}, {200, 400, 1, 1, 1, 0, 1}, true}, false},
            {{"1x1, 16 positions, many channels", {1, 4, 4, 520}, {520, 410, 1, 1, 1, 0, 1}, true}, true},
            {{"1x1, 64 positions", {1, 8, 8, 301}, {301, 270, 1, 1, 1, 0, 1}, true}, false},
            {{"1x1, 100 positions", {1, 10, 10, 440}, {440, 424, 1, 1, 1, 0, 1}}, false}};
}

// What is decided of a layer; nobody reads its maps.
bool is_taken(const Layer& layer, std::vector<double> exponents = {2}, DType maps = DType::F32,
              bool gamma = false) {
    alignas(16) static float memory[4];
    std::vector<PowerSum> norms;
    for (const double p : exponents) norms.push_back({p, {memory, {1, 1, 1, 1}}});
    const View some{memory, {1, 1, 1, 1}};
    return cuda::can_use_position_grams({.spec = layer.spec,
                                         .x = {memory, layer.x, maps},
                                         .dy = {memory, layer.spec.output_shape(layer.x), maps},
                                         .scale = layer.scaled ? some : View{},
                                         .standardised = layer.standardised ? some : View{},
                                         .norms = norms,
                                         .gamma = {.out = gamma ? some : View{}}});
}

class PositionNorms : public testing::TestWithParam<size_t> {
  protected:
    Case case_ = cases()[GetParam()];
    Layer layer_ = case_.layer;
};

// Norms of three cotangents; what is allowed is as for the product (test_gradient_norms.cpp).
TEST_P(PositionNorms, Float32) {
    ASSERT_TRUE(is_taken(layer_));
    const Problem problem(layer_, 3);
    const auto got = problem.norms(backend_of(Precision::F32), {2}).at(0);
    for (int64_t r = 0; r < problem.dy.shape.n; ++r) {
        const double want = ref::power_sum(problem.gradient(r), 2),
                     plain = relative_error(ref::power_sum(problem.float_gradient(r), 2), want, 2),
                     error = relative_error(static_cast<double>(got[static_cast<size_t>(r)]), want, 2);
        EXPECT_TRUE(error <= std::max(2 * plain, 1e-6))
            << layer_.name << ", row " << r << ": " << error << ", of a float32 gradient " << plain;
    }
}

TEST_P(PositionNorms, Tf32) {
    expect_norms(Problem(layer_, 1), backend_of(Precision::TF32), {2}, DType::F32, DType::F32, 1e-4);
}

// Products of bfloat16 are exact, and what a scale makes of them keeps float32's digits.
TEST_P(PositionNorms, Bfloat16) {
    for (const bool scaled : {false, true}) {
        layer_.scaled = scaled;
        EXPECT_EQ(is_taken(layer_, {2}, DType::BF16), !scaled || case_.scaled_bf16);
        Problem problem(layer_, 2);
        problem.round_to_bf16();
        for (const DType type_x : {DType::BF16, DType::F32})  // an image is float32
            expect_norms(problem, backend_of(Precision::BF16), {2}, type_x, DType::BF16, 2e-6);
    }
}

TEST_P(PositionNorms, SameBitsAloneAndAgain) {
    expect_same_bits_in_any_batch(layer_, backend_of(Precision::F32), DType::F32, {2});
    expect_same_bits_in_any_batch(layer_, backend_of(Precision::BF16), DType::BF16, {2});
}

// Rounding tells the ways apart: a second exponent has the squares made by the product. They agree, and are
// not the same numbers.
TEST_P(PositionNorms, AreNotTheProducts) {
    const Problem problem(layer_, 4);
    Backend& backend = backend_of(Precision::F32);
    const auto squares = problem.norms(backend, {2}).at(0), product = problem.norms(backend, {2, 1}).at(0);
    EXPECT_NE(squares, product);
    for (size_t r = 0; r < squares.size(); ++r) EXPECT_NEAR(squares[r] / product[r], 1, 4e-6f) << r;
}

// A row that is zero has the norm 0; a NaN or an infinity reaches the rows it belongs to, and no others. So
// it is with the product.
TEST_P(PositionNorms, ZerosAndNumbersThatAreNotFinite) {
    layer_.x.n = 2;
    const bool is_small = layer_.x.pixels() <= 64;  // the product takes its time
    for (const Precision precision : {Precision::F32, Precision::BF16}) {
        const DType type = precision == Precision::BF16 ? DType::BF16 : DType::F32;
        Problem problem(layer_, 3);  // row r: cotangent r / 2 of sample r % 2
        const auto norms = [&](const std::vector<double>& exponents) {
            return problem.norms(backend_of(precision), exponents, type, type).at(0);
        };
        const auto before = norms({2});
        const auto each = static_cast<size_t>(problem.dy.shape.per_sample());
        std::fill_n(problem.dy.values.begin(), each, 0.0f);
        problem.dy.values[3 * each - 1] = std::numeric_limits<float>::quiet_NaN();
        problem.dy.values[4 * each] = std::numeric_limits<float>::infinity();
        const auto squares = norms({2}), product = is_small ? norms({2, 1}) : squares;
        EXPECT_EQ(squares[0], 0);
        for (const size_t r : {1, 3, 5}) EXPECT_EQ(squares[r], before[r]);
        EXPECT_TRUE(std::isnan(squares[2]));
        EXPECT_FALSE(std::isfinite(squares[4]));
        for (size_t r = 0; r < 6; ++r) EXPECT_EQ(std::isfinite(squares[r]), std::isfinite(product[r])) << r;

        problem = Problem(layer_, 3);
        problem.x.values.back() = std::numeric_limits<float>::quiet_NaN();  // of the second sample
        const auto of_nan = norms({2});
        for (size_t r = 0; r < 6; ++r)
            EXPECT_TRUE(r % 2 == 1 ? std::isnan(of_nan[r]) : of_nan[r] == before[r]) << r;
        std::fill(problem.x.values.begin(), problem.x.values.end(), 0.0f);
        EXPECT_EQ(norms({2}), std::vector<float>(6, 0.0f));
    }
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(PositionNorms);
INSTANTIATE_TEST_SUITE_P(Layers, PositionNorms,
                         testing::Range(size_t{0}, is_here() ? cases().size() : size_t{0}));

// Gradients that cancel: the same input everywhere, gradients that add up to 0. What is left of the sum is
// rounding, of either sign; a norm is not negative.
TEST(PositionNormsOfNothing, AreNotNegative) {
    if (!is_here()) GTEST_SKIP() << "no GPU here";
    constexpr int64_t kIn = 96, kOut = 128, kPositions = 16;
    Problem problem({"", {1, 4, 4, kIn}, {kIn, kOut, 1, 1, 1, 0, 1}}, 20);
    ASSERT_TRUE(is_taken(problem.layer));
    for (int64_t s = 1; s < kPositions; ++s)
        std::copy_n(problem.x.values.begin(), kIn, problem.x.values.begin() + s * kIn);
    for (int64_t r = 0; r < problem.dy.shape.n; ++r)
        for (int64_t o = 0; o < kOut; ++o) {
            float* dy = problem.dy.values.data() + r * kPositions * kOut + o;
            double sum = 0;
            for (int64_t s = 0; s < kPositions - 1; ++s) sum += static_cast<double>(dy[s * kOut]);
            dy[(kPositions - 1) * kOut] = static_cast<float>(-sum);
        }
    const std::vector<float> squares = problem.norms(backend_of(Precision::F32), {2}).at(0);
    for (const float square : squares) {
        EXPECT_GE(square, 0);
        EXPECT_LE(square, 1e-6f * kIn * kOut * kPositions);
    }
    EXPECT_NE(std::count(squares.begin(), squares.end(), 0.0f), 0) << "some would be negative";
}

// Samples whose matrices are more than the scratch memory holds are worked on in groups.
TEST(PositionNormsOfManySamples, AreThoseOfEach) {
    if (!is_here()) GTEST_SKIP() << "no GPU here";
    const Layer layer{"", {67, 16, 16, 16}, {16, 16, 9, 9, 1, 4, 1}};
    ASSERT_TRUE(is_taken(layer, {2}, DType::BF16));
    ASSERT_GT(67 * 2 * 256 * 256, cuda::kNormScratchFloats);
    const Problem all(layer, 2);
    Backend& backend = backend_of(Precision::BF16);
    const auto together = all.norms(backend, {2}, DType::BF16, DType::BF16).at(0);
    for (const int64_t sample : {0, 63, 64, 66}) {
        Problem alone({"", {1, 16, 16, 16}, layer.spec}, 2);
        std::copy_n(all.x.values.begin() + sample * 4096, 4096, alone.x.values.begin());
        for (const int64_t cotangent : {0, 1})
            std::copy_n(all.dy.values.begin() + (cotangent * 67 + sample) * 4096, 4096,
                        alone.dy.values.begin() + cotangent * 4096);
        const auto at = static_cast<size_t>(sample);
        expect_same_bits("sample", alone.norms(backend, {2}, DType::BF16, DType::BF16).at(0),
                         {together[at], together[67 + at]});
    }
}

TEST(PositionNormsOfLayers, AreTakenWhereTheyAreCheap) {
    const ConvSpec spec{256, 256, 3, 3, 1, 1, 1};
    const Layer layer3{"", {4, 8, 8, 256}, spec};
    Layer scaled = layer3, standardised = layer3;
    scaled.scaled = standardised.standardised = true;
    for (const DType maps : {DType::F32, DType::BF16}) {
        EXPECT_TRUE(is_taken(layer3, {2}, maps));
        EXPECT_TRUE(is_taken(scaled, {2}, maps));
        EXPECT_FALSE(is_taken(standardised, {2}, maps));
        EXPECT_FALSE(is_taken(layer3, {1}, maps));
        EXPECT_FALSE(is_taken(layer3, {1, 2}, maps));
        EXPECT_FALSE(is_taken(layer3, {2}, maps, true)) << "gamma";
    }
    const Layer layer2{"", {4, 16, 16, 128}, {128, 128, 3, 3, 1, 1, 1}, true};  // 0.222 of the product
    EXPECT_TRUE(is_taken(layer2));
    EXPECT_FALSE(is_taken(layer2, {2}, DType::BF16));
    EXPECT_FALSE(is_taken({"", {4, 16, 17, 512}, {512, 512, 3, 3, 1, 1, 1}})) << "272 positions";
    EXPECT_FALSE(is_taken({"", {4, 15, 15, 512}, {512, 2048, 1, 1, 1, 0, 1}})) << "0.275 of the product";
    EXPECT_FALSE(is_taken({"", {4, 8, 8, 256}, {256, 512, 3, 3, 2, 1, 1}})) << "stride 2";
    EXPECT_FALSE(is_taken({"", {4, 8, 8, 256}, {256, 256, 3, 3, 1, 0, 1}})) << "no padding";
    EXPECT_FALSE(is_taken({"", {4, 8, 8, 256}, {256, 256, 3, 1, 1, 1, 1}})) << "3x1, padded alike";
    EXPECT_FALSE(is_taken({"", {4, 4, 4, 256}, {256, 256, 3, 3, 1, 1, 256}})) << "depthwise";
}

// Layers that do not qualify: the squares are the bits of the product, which a second exponent asks for.
TEST(PositionNormsOfLayers, OthersTakeTheProduct) {
    if (!is_here()) GTEST_SKIP() << "no GPU here";
    for (const Layer& layer : {Layer{"stride 2", {2, 8, 8, 72}, {72, 66, 3, 3, 2, 1, 1}, true},
                               Layer{"standardised", {2, 4, 4, 72}, {72, 66, 3, 3, 1, 1, 1}, true, true},
                               Layer{"wide map", {1, 17, 16, 24}, {24, 16, 3, 3, 1, 1, 1}},
                               Layer{"few channels", {1, 8, 8, 16}, {16, 16, 1, 1, 1, 0, 1}}}) {
        ASSERT_FALSE(is_taken(layer)) << layer.name;
        const Problem problem(layer, 3);
        Backend& backend = backend_of(Precision::F32);
        expect_same_bits(layer.name, problem.norms(backend, {2}).at(0), problem.norms(backend, {2, 1}).at(0));
    }
}

}  // namespace
}  // namespace gs::test
