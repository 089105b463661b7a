// Problems as keys and as matrix products, against the plain loops.
#include <gtest/gtest.h>

#include <set>

#include "cuda/plans/gemm_shape.h"
#include "tests/reference/convolution.h"

namespace gs::cuda {
namespace {

const ConvProblem kProblem{
    .spec = {.in_channels = 4, .out_channels = 8, .kernel_h = 3, .kernel_w = 3, .pad = 1}, .x = {2, 5, 5, 4}};

// One field changed each.
std::vector<ConvProblem> relatives() {
    std::vector<ConvProblem> all(15, kProblem);
    size_t i = 1;
    all[i++].direction = Direction::Data;
    all[i++].direction = Direction::Weights;
    all[i++].spec.out_channels = 12;
    all[i++].spec.kernel_h = 1;
    all[i++].spec.kernel_w = 1;
    all[i++].spec.stride = 2;
    all[i++].spec.pad = 0;
    all[i++].x.n = 3;
    all[i++].x.h = 6;
    all[i++].type = DType::BF16;
    all[i++].bias = true;
    all[i++].precision = Precision::TF32;
    all[i++].deterministic = true;
    all[i++].alignment = 4;
    return all;
}

TEST(ConvProblem, IsToldApartByEveryField) {
    std::set<std::string> names;
    std::set<size_t> hashes;
    for (const ConvProblem& problem : relatives()) {
        names.insert(to_string(problem));
        hashes.insert(ConvProblemHash()(problem));
        EXPECT_EQ(to_string(problem).find_first_of("\t\n"), std::string::npos);
    }
    EXPECT_EQ(names.size(), relatives().size());
    EXPECT_EQ(hashes.size(), relatives().size());
}

TEST(GemmShape, IsOfPlain1x1Alone) {
    ConvProblem product = kProblem;
    product.spec = {.in_channels = 4, .out_channels = 8};
    EXPECT_TRUE(is_gemm(product));
    EXPECT_TRUE(is_gemm_only(product));
    product.precision = Precision::TF32;
    EXPECT_FALSE(is_gemm_only(product));
    for (auto change : {+[](ConvSpec& s) { s.stride = 2; }, +[](ConvSpec& s) { s.pad = 1; },
                        +[](ConvSpec& s) { s.kernel_w = 3; }, +[](ConvSpec& s) { s.kernel_h = 3; }}) {
        ConvProblem other = product;
        change(other.spec);
        EXPECT_FALSE(is_gemm(other));
    }
    product.x = {int64_t{1} << 20, 1 << 6, 1 << 6, 4};  // 2^32 pixels
    EXPECT_FALSE(is_gemm(product));
}

// As BLAS computes it: column-major, by leading dimensions.
std::vector<double> multiply(const GemmShape& s, const std::vector<double>& a, const std::vector<double>& b) {
    std::vector<double> c(static_cast<size_t>(s.ldc * s.n));
    for (int64_t i = 0; i < s.m; ++i)
        for (int64_t j = 0; j < s.n; ++j)
            for (int64_t l = 0; l < s.k; ++l)
                c[static_cast<size_t>(i + j * s.ldc)] +=
                    a[static_cast<size_t>(s.transpose_a ? l + i * s.lda : i + l * s.lda)] *
                    b[static_cast<size_t>(s.transpose_b ? j + l * s.ldb : l + j * s.ldb)];
    return c;
}

TEST(GemmShape, GivesTheConvolutionAndItsGradients) {
    const ConvSpec spec{.in_channels = 5, .out_channels = 3};
    const Shape x_shape{2, 3, 4, 5}, y_shape = spec.output_shape(x_shape);
    // Small integers: every sum is exact, so equality is exact.
    const auto values = [](int64_t count, int64_t step) {
        std::vector<double> result;
        for (int64_t i = 0; i < count; ++i) result.push_back(static_cast<double>(i * step % 17 - 8));
        return result;
    };
    ref::Tensor<double> x(x_shape), dy(y_shape);
    x.values = values(x_shape.size(), 7);
    dy.values = values(y_shape.size(), 5);
    const std::vector<double> w = values(15, 3);
    const auto product = [&](Direction direction, const std::vector<double>& y) {
        const GemmShape s = gemm_shape({.direction = direction, .spec = spec, .x = x_shape});
        const auto operand = [&](GemmShape::Operand which) {
            return which == GemmShape::Operand::X ? x.values : which == GemmShape::Operand::W ? w : y;
        };
        return multiply(s, operand(s.a), operand(s.b));
    };
    EXPECT_EQ(product(Direction::Forward, {}), ref::convolution(spec, x, w, {}, Activation::None).values);
    EXPECT_EQ(product(Direction::Data, dy.values),
              ref::convolution_backward_data(spec, dy, w, x_shape).values);
    EXPECT_EQ(product(Direction::Weights, dy.values), ref::convolution_backward_weights(spec, x, dy));
}

}  // namespace
}  // namespace gs::cuda
