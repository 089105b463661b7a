// Seeds at the logits against long double: rows that are near uniform, saturated, huge, and tied.
#include <gtest/gtest.h>

#include "tests/reference/logits.h"
#include "tests/support/backends.h"
#include "tests/support/device_tensor.h"
#include "tests/support/expect_close.h"
#include "tests/support/random.h"

namespace gs::test {
namespace {

using Wide = ref::Tensor<long double>;

ref::Tensor<float> run(Backend& backend, Seed seed, float temperature, const ref::Tensor<float>& z,
                       int64_t target = 0) {
    const DeviceTensor in(backend, z), out(backend, z.shape);
    backend.seed_logits(seed, temperature, target, in, out);
    return out.download();
}

ref::Tensor<float> scaled(ref::Tensor<float> z, float factor, float offset = 0) {
    for (float& value : z.values) value = value * factor + offset;
    return z;
}

// Odd numbers of classes, one sample and several.
const Shape kShapes[] = {{1, 1, 1, 2}, {5, 1, 1, 10}, {3, 1, 1, 21}, {2, 1, 1, 1000}};

void expect_seed(Seed seed, const ref::Tensor<float>& z, double tol, int64_t target = 0) {
    for (const float temperature : {1.0f, 0.5f, 10.0f, 1000.0f}) {
        SCOPED_TRACE(to_string(z.shape) + ", seed " + std::to_string(int(seed)) + ", temperature " +
                     std::to_string(temperature));
        const Wide want =
            ref::seed_logits(seed, static_cast<long double>(temperature), ref::cast<long double>(z), target);
        on_every_backend([&](Backend& backend) {
            expect_rows_close("dz", run(backend, seed, temperature, z, target), want, tol);
        });
    }
}

TEST(SeedLogits, UniformCrossEntropyMatchesLongDouble) {
    for (const Shape& shape : kShapes)
        expect_seed(Seed::UniformCrossEntropy, random_tensor(shape, Fill::Normal, 1), 2e-7);
}

// Logits that differ by 1e-4 (or, at T = 1000, by 1e-7): C p - 1 in float32 would have no digit left.
TEST(SeedLogits, UniformCrossEntropyIsExactNearUniform) {
    for (const Shape& shape : kShapes)
        for (const float offset : {0.0f, 3.0f})
            expect_seed(Seed::UniformCrossEntropy,
                        scaled(random_tensor(shape, Fill::Normal, 2), 1e-4f, offset), 1e-6);
}

TEST(SeedLogits, UniformLogitsGiveNoGradient) {
    for (const float value : {0.0f, 3.7f, -250.0f}) {
        const ref::Tensor<float> z(Shape{2, 1, 1, 10}, value);
        on_every_backend([&](Backend& backend) {
            for (const float dz : run(backend, Seed::UniformCrossEntropy, 1, z).values)
                EXPECT_LE(std::abs(dz), 1e-13f);
        });
    }
}

TEST(SeedLogits, SaturatedAndHugeLogits) {
    for (const Shape& shape : kShapes) {
        auto saturated = random_tensor(shape, Fill::Normal, 3);
        for (float& value : saturated.values) value = value > 0 ? 200.0f : -200.0f;
        saturated.values.front() = 200;  // never one value for all: that has no gradient
        saturated.values.back() = -200;
        const auto huge = scaled(random_tensor(shape, Fill::Normal, 4), 1000);
        for (const auto& z : {saturated, huge}) expect_seed(Seed::UniformCrossEntropy, z, 2e-7);
    }
}

TEST(SeedLogits, MaxLogitIsOneHotAtTheFirstMaximum) {
    ref::Tensor<float> z(Shape{4, 1, 1, 5});
    z.values = {1, 3, 2, 3, 3, /**/ -1, -2, -1, -3, -4, /**/ 0, 0, 0, 0, 0, /**/ -200, 5, 1e30f, 1e30f, 7};
    std::vector<float> want(20, 0.0f);
    want[1] = want[5] = want[10] = want[17] = 1;
    on_every_backend([&](Backend& backend) {
        for (const float temperature : {1.0f, 1000.0f})
            EXPECT_EQ(run(backend, Seed::MaxLogit, temperature, z).values, want);
    });
    expect_seed(Seed::MaxLogit, random_tensor({3, 1, 1, 15}, Fill::SmallIntegers, 1), 0);
}

TEST(SeedLogits, PredictedCrossEntropyMatchesLongDouble) {
    for (const Shape& shape : kShapes) {
        expect_seed(Seed::PredictedCrossEntropy, random_tensor(shape, Fill::Normal, 5), 2e-7);
        expect_seed(Seed::PredictedCrossEntropy, scaled(random_tensor(shape, Fill::Normal, 5), 1e-4f), 2e-7);
    }
    // Ties: softmax is shared, the one-hot goes to the first.
    expect_seed(Seed::PredictedCrossEntropy, random_tensor({6, 1, 1, 9}, Fill::SmallIntegers, 6), 2e-7);
}

// A prediction that is all but certain: the gradient is tiny, its sign still decides ODIN's step.
TEST(SeedLogits, PredictedCrossEntropyOfConfidentRows) {
    for (const float gap : {5.0f, 10.0f, 15.0f, 20.0f}) {
        SCOPED_TRACE(gap);
        auto z = random_tensor({3, 1, 1, 10}, Fill::Normal, 7);
        for (int64_t n = 0; n < 3; ++n) z.at(n, 0, 0, 3 + n) += gap + 3;
        const Wide want = ref::seed_logits(Seed::PredictedCrossEntropy, 1.0L, ref::cast<long double>(z));
        on_every_backend([&](Backend& backend) {
            expect_rows_close("dz", run(backend, Seed::PredictedCrossEntropy, 1, z), want, 1e-5);
        });
    }
}

TEST(SeedLogits, ClassSeedsMatchLongDouble) {
    for (const Shape& shape : kShapes)
        for (const int64_t target : {int64_t{0}, shape.c / 2, shape.c - 1})
            for (const Seed seed : {Seed::ClassCrossEntropy, Seed::ClassBinaryCrossEntropy}) {
                expect_seed(seed, random_tensor(shape, Fill::Normal, 8), 2e-7, target);
                expect_seed(seed, scaled(random_tensor(shape, Fill::Normal, 9), 50), 2e-7, target);
            }
}

// The sigmoid of the target is all but 1: its gradient is the small rest.
TEST(SeedLogits, ClassBinaryCrossEntropyOfConfidentRows) {
    ref::Tensor<float> z(Shape{1, 1, 1, 2});
    z.values = {30, -30};
    on_every_backend([&](Backend& backend) {
        const auto dz = run(backend, Seed::ClassBinaryCrossEntropy, 1, z, 0);
        EXPECT_NEAR(dz.values[0] / -9.357622968840174e-14, 1, 1e-6);
        EXPECT_NEAR(dz.values[1] / 9.357622968840174e-14, 1, 1e-6);
    });
}

TEST(SeedLogits, TargetsAreClasses) {
    const ref::Tensor<float> z(Shape{1, 1, 1, 4}, 1.0f);
    on_every_backend([&](Backend& backend) {
        for (const int64_t target : {int64_t{-1}, int64_t{4}})
            EXPECT_THROW(run(backend, Seed::ClassCrossEntropy, 1, z, target), Error);
    });
}

TEST(SeedLogits, SaturatedRowsAreFinite) {
    ref::Tensor<float> z(Shape{2, 1, 1, 3});
    z.values = {200, -200, -200, 3e38f, -3e38f, 0};
    on_every_backend([&](Backend& backend) {
        for (const Seed seed : {Seed::UniformCrossEntropy, Seed::PredictedCrossEntropy})
            for (const float temperature : {1.0f, 0.5f, 1000.0f}) {
                const auto dz = run(backend, seed, temperature, z);
                for (const float value : dz.values) EXPECT_TRUE(std::isfinite(value)) << int(seed);
            }
        const auto uniform = run(backend, Seed::UniformCrossEntropy, 1, z);
        EXPECT_EQ(uniform.values, (std::vector<float>{2, -1, -1, 2, -1, -1}));
    });
}

}  // namespace
}  // namespace gs::test
