// The kernels that belong to the engine of convolutions, on the emulated device.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "cuda/kernels/bias.h"
#include "cuda/kernels/trial_tests.h"
#include "tests/cuda/emulated/device_tensor.h"

namespace gs::cuda {
namespace {

TEST(ZeroTest, FindsOneValueAnywhere) {
    Context context({});
    for (const DType type : {DType::F32, DType::BF16}) {
        const Shape shape{2, 4, 3, 5};
        const auto test = [&](std::vector<double> values) {
            const Tensor dx(std::move(values), shape, type);
            return is_zero_outside(context, dx.view, 2, 1);
        };
        std::vector<double> corner(static_cast<size_t>(shape.size()), 0.0);
        EXPECT_FALSE(test(corner));  // nothing was computed
        const Tensor nothing(corner, shape, type);
        EXPECT_TRUE(
            is_zero_outside(context, nothing.view, 0, 1));  // 1x1 with padding: dy's corner reads the border
        corner[0] = 1;
        EXPECT_TRUE(test(corner));
        for (size_t i = 0; i < corner.size(); ++i) {
            const bool inside = i < 30 && i % 15 < 5;  // rows 0 and 1, column 0
            for (const double value : {1e-30, -1.0, std::nan("")}) {
                std::vector<double> one = corner;
                one[i] = value;
                EXPECT_EQ(test(one), inside) << i << ": " << value;
            }
            std::vector<double> negative = corner;
            negative[i] = i == 0 ? 1 : -0.0;
            EXPECT_TRUE(test(negative));
        }
    }
}

TEST(NaNTest, FindsOneNumberAnywhere) {
    Context context({});
    for (const DType type : {DType::F32, DType::BF16}) {
        const Shape shape{2, 4, 3, 5};
        std::vector<double> values(static_cast<size_t>(shape.size()), std::nan(""));
        const auto test = [&] {
            const Tensor y(values, shape, type);
            return is_nan_everywhere(context, y.view);
        };
        EXPECT_TRUE(test());
        for (double& value : values) {
            for (const double number : {0.0, -1.0, std::numeric_limits<double>::infinity()}) {
                value = number;
                EXPECT_FALSE(test());
            }
            value = std::nan("");
        }
    }
}

TEST(AddBias, AddsToEveryPixelAndActivates) {
    Context context({});
    for (const DType type : {DType::F32, DType::BF16}) {
        for (const int64_t channels : {1, 3, 8, 24}) {
            const Shape shape{2, 3, 2, channels};
            const std::vector<double> values = integers(shape.size(), 1), biases = integers(channels, 2);
            const Tensor bias(biases, {1, 1, 1, channels});
            for (const bool with_bias : {true, false}) {
                const Tensor y(values, shape, type);
                add_bias(context, y.view, with_bias ? bias.view.f32() : nullptr, Activation::Relu);
                std::vector<double> want = values;
                for (size_t i = 0; i < want.size(); ++i)
                    want[i] =
                        std::max(0.0, want[i] + (with_bias ? biases[i % static_cast<size_t>(channels)] : 0));
                EXPECT_EQ(y.values(), want);
            }
        }
    }
}

}  // namespace
}  // namespace gs::cuda
