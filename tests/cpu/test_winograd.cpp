// Winograd's convolution against seven plain loops in double, and against the direct one as a yardstick.
#include <gtest/gtest.h>

#include <cmath>

#include "cpu/convolution.h"
#include "cpu/cpu_backend.h"
#include "tests/reference/convolution.h"
#include "tests/support/device_tensor.h"
#include "tests/support/expect_close.h"
#include "tests/support/random.h"

namespace gs::test {
namespace {

struct WinogradCase {
    const char* what;
    int64_t n, h, w, in, out, pad;
    ConvSpec spec() const { return {in, out, 3, 3, 1, pad, 1}; }
    Shape x() const { return {n, h, w, in}; }
};
void PrintTo(const WinogradCase& c, std::ostream* out) {
    *out << c.what;
}

std::unique_ptr<Backend> make_backend(const char* isa, int threads, bool winograd) {
    const cpu::Kernels* kernels = cpu::find_kernels(isa);
    if (!kernels) return nullptr;
    return std::make_unique<cpu::CpuBackend>(std::make_shared<cpu::Context>(threads, *kernels), false,
                                             winograd);
}

ref::Tensor<float> run(Backend& backend, const ConvSpec& spec, const ref::Tensor<float>& x,
                       const std::vector<float>& weights, const std::vector<float>& bias,
                       Activation activation = Activation::None) {
    const auto convolution = backend.make_convolution(spec, weights, bias);
    const DeviceTensor in(backend, x), out(backend, spec.output_shape(x.shape));
    convolution->forward(in, out, activation);
    return out.download();
}

double root_mean_square(const std::vector<float>& values, const std::vector<double>& from) {
    double sum = 0;
    for (size_t i = 0; i < values.size(); ++i) sum += std::pow(static_cast<double>(values[i]) - from[i], 2);
    return std::sqrt(sum / static_cast<double>(values.size()));
}

class Winograd : public testing::TestWithParam<WinogradCase> {};

TEST_P(Winograd, MatchesDoubleOnEveryInstructionSet) {
    const WinogradCase& c = GetParam();
    ASSERT_TRUE(cpu::winograd_pays(c.spec()));
    const auto x = random_tensor(c.x(), Fill::Normal, 1);
    const auto weights = random_values(c.in * c.out * 9, Fill::Normal, 2);
    const auto bias = random_values(c.out, Fill::Normal, 3);
    const auto sum = ref::convolution(c.spec(), ref::cast<double>(x), ref::cast<double>(weights),
                                      ref::cast<double>(bias), Activation::None);
    for (const char* isa : {"baseline", "avx2", "avx512"}) {
        const auto backend = make_backend(isa, 1, true);
        if (!backend) continue;
        SCOPED_TRACE(isa);
        const auto y = run(*backend, c.spec(), x, weights, bias);
        expect_close("y", y, sum, 4e-6);
        const double size = root_mean_square(std::vector<float>(sum.values.size()), sum.values);
        EXPECT_LE(root_mean_square(y.values, sum.values), 2e-6 * size);
        const auto clipped = run(*backend, c.spec(), x, weights, bias, Activation::Relu6);
        for (size_t i = 0; i < y.values.size(); ++i) {
            ASSERT_EQ(clipped.values[i], std::min(std::max(y.values[i], 0.0f), 6.0f));
        }
    }
}

// A tile must not notice its neighbours, nor the cut into units of work.
TEST_P(Winograd, SameBitsForAnyBatchAndAnyThreads) {
    const WinogradCase& c = GetParam();
    const auto x = random_tensor(c.x().with_n(5), Fill::Normal, 1);
    const auto weights = random_values(c.in * c.out * 9, Fill::Normal, 2);
    const auto whole = run(*make_backend("baseline", 1, true), c.spec(), x, weights, {});
    for (const int threads : {2, 3}) {
        const auto again = run(*make_backend("baseline", threads, true), c.spec(), x, weights, {});
        expect_same_bits("y", again.values, whole.values);
    }
    ref::Tensor<float> last(c.x().with_n(1));
    std::copy(x.values.end() - static_cast<std::ptrdiff_t>(last.values.size()), x.values.end(),
              last.values.begin());
    const auto alone = run(*make_backend("baseline", 1, true), c.spec(), last, weights, {});
    const std::vector<float> inside(whole.values.end() - static_cast<std::ptrdiff_t>(alone.values.size()),
                                    whole.values.end());
    expect_same_bits("the last sample", alone.values, inside);
}

INSTANTIATE_TEST_SUITE_P(Shapes, Winograd,
                         testing::Values(WinogradCase{"whole tiles", 2, 8, 8, 64, 64, 1},
                                         WinogradCase{"one tile", 5, 4, 4, 96, 64, 1},
                                         WinogradCase{"cut tiles", 2, 15, 6, 64, 70, 1},
                                         WinogradCase{"channels that fill no register", 1, 5, 7, 67, 65, 1},
                                         WinogradCase{"one pixel", 3, 1, 1, 64, 64, 1},
                                         WinogradCase{"no padding", 1, 9, 6, 64, 64, 0},
                                         WinogradCase{"wide padding", 1, 3, 4, 64, 64, 2}));

TEST(Winograd, GradientIsTheDirectOne) {
    const ConvSpec spec{64, 64, 3, 3, 1, 1, 1};
    const auto weights = random_values(64 * 64 * 9, Fill::Normal, 2);
    const auto dy = random_tensor({1, 6, 6, 64}, Fill::Normal, 1);
    std::vector<ref::Tensor<float>> dx;
    for (const bool winograd : {true, false}) {
        const auto backend = make_backend("baseline", 1, winograd);
        const auto convolution = backend->make_convolution(spec, weights, {});
        const DeviceTensor in(*backend, dy), out(*backend, dy.shape);
        convolution->backward_data(in, out);
        dx.push_back(out.download());
    }
    expect_same_bits("dx", dx[0].values, dx[1].values);
}

TEST(Winograd, IsForWideStrideOne3x3Only) {
    EXPECT_TRUE(cpu::winograd_pays({64, 64, 3, 3, 1, 1, 1}));
    EXPECT_FALSE(cpu::winograd_pays({64, 64, 3, 3, 2, 1, 1}));
    EXPECT_FALSE(cpu::winograd_pays({64, 64, 1, 1, 1, 0, 1}));
    EXPECT_FALSE(cpu::winograd_pays({16, 16, 3, 3, 1, 1, 1}));
    EXPECT_FALSE(cpu::winograd_pays({3, 64, 3, 3, 1, 1, 1}));
    EXPECT_FALSE(cpu::winograd_pays({64, 64, 3, 3, 1, 1, 64}));
}

}  // namespace
}  // namespace gs::test
