// The tests' own tools: a comparison or a guard that cannot fail would make every other test worthless.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/backends.h"
#include "tests/support/device_tensor.h"
#include "tests/support/expect_close.h"
#include "tests/support/random.h"

namespace gs::test {
namespace {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

TEST(Support, DifferenceAcceptsWhatIsCloseAndNothingElse) {
    EXPECT_EQ(difference(Floats{1, 2, 4}, Doubles{1, 2, 4}, 0.0), "");
    EXPECT_EQ(difference(Floats{1, 2, 4.00001f}, Doubles{1, 2, 4}, 1e-5), "");
    EXPECT_NE(difference(Floats{1, 2, 4.0001f}, Doubles{1, 2, 4}, 1e-5), "");
    EXPECT_NE(difference(Floats{1, 2, std::nextafter(4.0f, 5.0f)}, Doubles{1, 2, 4}, 0.0), "");
    EXPECT_NE(difference(Floats{1, 2}, Doubles{1, 2, 4}, 1.0), "");
}

TEST(Support, BfloatResultsMayBeRoundedOnce) {
    const float one_third = 0.333984375f, next = 0.3359375f;  // 1/3 in bfloat16, and the value above
    const Tolerance exact{0, Rounding::Bf16}, close{1e-6, Rounding::Bf16};
    EXPECT_EQ(difference(Floats{one_third, 1}, Doubles{1.0 / 3, 1}, exact), "");
    EXPECT_NE(difference(Floats{next, 1}, Doubles{1.0 / 3, 1}, exact), "");
    EXPECT_NE(difference(Floats{1.0f / 3, 1}, Doubles{1.0 / 3, 1}, exact), "") << "not rounded";
    EXPECT_EQ(difference(Floats{one_third, 1}, Doubles{1.0 / 3, 1}, close), "");
    EXPECT_NE(difference(Floats{next, 1}, Doubles{1.0 / 3, 1}, close), "");
    EXPECT_NE(difference(Floats{1e-4f, 1}, Doubles{0, 1}, close), "") << "zero has no rounding";
}

TEST(Support, DifferenceRejectsNanInfinityAndDataWithoutValues) {
    const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
    EXPECT_NE(difference(Floats{1, nan}, Doubles{1, 2}, 1e9), "");
    EXPECT_NE(difference(Floats{1, inf}, Doubles{1, 2}, 1e9), "");
    EXPECT_NE(difference(Floats{1, nan}, Doubles{1, static_cast<double>(nan)}, 1e9), "");
    EXPECT_NE(difference(Floats{0, 0}, Doubles{0, 0}, 1e-5), "");
    Doubles sparse(100, 0.0);
    sparse[3] = 1;
    EXPECT_NE(difference(ref::cast<float>(sparse), sparse, 1e-5), "");
    EXPECT_NE(difference(Floats{}, Doubles{}, 1e-5), "");
}

TEST(Support, GuardsSeeWritesBesideATensor) {
    on_every_backend([](Backend& backend) {
        DeviceTensor tensor(backend, Shape{1, 1, 1, 5});
        EXPECT_EQ(tensor.damaged_guard_bytes(), 0u);
        float* data = tensor.view().f32();
        const View before{data - 1, {1, 1, 1, 1}}, after{data + 5, {1, 1, 1, 1}};
        Floats poison(1);
        backend.download(before, poison);
        for (const View& beside : {before, after}) {
            backend.upload(Floats{1}, beside);
            EXPECT_EQ(tensor.damaged_guard_bytes(), 4u);
            backend.upload(poison, beside);
        }
        DeviceTensor bytes(backend, Shape{1, 1, 1, 5},
                           DType::U8);  // the guard begins right behind the fifth byte
        EXPECT_EQ(bytes.damaged_guard_bytes(), 0u);
    });
}

TEST(Support, OutputsStartAsNan) {
    on_every_backend([](Backend& backend) {
        for (const DType type : {DType::F32, DType::BF16}) {
            const DeviceTensor tensor(backend, Shape{2, 3, 3, 5}, type);
            for (const float value : tensor.download().values) ASSERT_TRUE(std::isnan(value));
        }
    });
}

TEST(Support, GeneratorIsSplitmix64) {  // first outputs of the published generator for the state 1234567
    SplitMix64 random(1234567);
    EXPECT_EQ(random.next(), 6457827717110365317u);
    EXPECT_EQ(random.next(), 3203168211198807973u);
    EXPECT_EQ(random.next(), 9817491932198370423u);
}

TEST(Support, FillsAreWhatTheySay) {
    const auto integers = random_values(1000, Fill::SmallIntegers, 1);
    EXPECT_EQ(*std::min_element(integers.begin(), integers.end()), -3);
    EXPECT_EQ(*std::max_element(integers.begin(), integers.end()), 3);
    for (const float value : integers) EXPECT_EQ(value, std::round(value));
    double sum = 0, squares = 0;
    for (const float value : random_values(10000, Fill::Normal, 2)) sum += value, squares += value * value;
    EXPECT_NEAR(sum / 10000, 0, 0.05);
    EXPECT_NEAR(squares / 10000, 1, 0.05);
    for (const float value : random_values(1000, Fill::OffKinks, 3)) {
        EXPECT_GE(std::abs(value), 0.0499f);
        EXPECT_GE(std::abs(value - 6), 0.0499f);
    }
}

}  // namespace
}  // namespace gs::test
