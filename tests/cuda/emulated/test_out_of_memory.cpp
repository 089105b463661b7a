// Memory that runs out in the midst of a call: the next call, with more of it, must not take what the first
// has left half made.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include "tests/reference/convolution.h"
#include "tests/support/device_tensor.h"
#include "tests/support/expect_close.h"
#include "tests/support/failure.h"
#include "tests/support/random.h"

namespace gs::test {
namespace {

constexpr size_t kDevice = size_t{8} << 30;

struct KindOfConvolution {
    std::string name;
    ConvSpec spec;
    Precision precision;
    DType x, y;
};

// Every form that weights are kept in, channels that are padded, a bias that is rounded.
const std::vector<KindOfConvolution>& kinds() {
    static const std::vector<KindOfConvolution> all = [] {
        const ConvSpec dense{6, 10, 3, 3, 1, 1, 1}, depthwise{6, 6, 3, 3, 1, 1, 6};
        const DType f32 = DType::F32, bf16 = DType::BF16;
        return std::vector<KindOfConvolution>{{"float32", dense, Precision::F32, f32, f32},
                                              {"bfloat16", dense, Precision::BF16, bf16, bf16},
                                              {"image", dense, Precision::BF16, f32, bf16},
                                              {"depthwise", depthwise, Precision::F32, f32, f32},
                                              {"depthwise bfloat16", depthwise, Precision::BF16, bf16, bf16},
                                              {"depthwise image", depthwise, Precision::BF16, f32, bf16}};
    }();
    return all;
}

ref::Tensor<float> stored_as(DType type, ref::Tensor<float> values) {
    if (type == DType::BF16)
        for (float& value : values.values) value = static_cast<float>(Bf16(value));
    return values;
}

// Runs `call` with no memory left, and with more and more of it until it passes.
template <class Call>
int failures_until_it_passes(const Call& call) {
    for (int failures = 0;; ++failures) {
        emulated::limit_memory(emulated::allocated_bytes() + 256 * static_cast<size_t>(failures));
        try {
            call();
            emulated::limit_memory(kDevice);
            return failures;
        } catch (const Error& error) {
            emulated::limit_memory(kDevice);
            EXPECT_EQ(error.kind(), ErrorKind::Device) << error.what();
            if (failures == 1000) throw;
        }
    }
}

TEST(OutOfMemory, LeavesNoWeightsThatWereNeverFilled) {
    for (const KindOfConvolution& kind : kinds()) {
        SCOPED_TRACE(kind.name);
        const auto backend = make_cuda_backend({.precision = kind.precision});
        const Shape w = weight_shape(kind.spec);
        const auto weights = stored_as(kind.y, random_tensor(w, Fill::Normal, 1)).values;
        const auto bias = random_values(kind.spec.out_channels, Fill::Normal, 2);
        const auto x = stored_as(kind.x, random_tensor({2, 5, 4, kind.spec.in_channels}, Fill::Normal, 3));
        const auto dy = stored_as(kind.y, random_tensor(kind.spec.output_shape(x.shape), Fill::Normal, 4));
        const auto convolution = backend->make_convolution(kind.spec, weights, bias);
        const DeviceTensor in(*backend, x, kind.x), gradient(*backend, dy, kind.y),
            y(*backend, dy.shape, kind.y), dx(*backend, x.shape, kind.x), dw(*backend, w);
        EXPECT_GT(failures_until_it_passes([&] { convolution->forward(in, y, Activation::None); }), 0);
        failures_until_it_passes([&] { convolution->backward_data(gradient, dx); });
        failures_until_it_passes([&] { convolution->backward_weights(in, gradient, dw); });
        const auto wide = ref::cast<double>(weights);
        const double tolerance = kind.y == DType::F32 ? 1e-6 : 0x1p-7;
        expect_close("y", y.download(),
                     ref::convolution(kind.spec, ref::cast<double>(x), wide, ref::cast<double>(bias),
                                      Activation::None),
                     tolerance);
        expect_close("dx", dx.download(),
                     ref::convolution_backward_data(kind.spec, ref::cast<double>(dy), wide, x.shape),
                     tolerance);
        expect_close(
            "dw", dw.download().values,
            ref::convolution_backward_weights(kind.spec, ref::cast<double>(x), ref::cast<double>(dy)), 1e-5);
    }
}

}  // namespace
}  // namespace gs::test
