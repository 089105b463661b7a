// Every backend's convolutions against seven plain loops in double.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "tests/reference/convolution.h"
#include "tests/support/maps.h"

namespace gs::test {
namespace {

struct ConvCase {
    const char* what;
    int64_t n, h, w;
    ConvSpec spec;  // in, out, kernel_h, kernel_w, stride, pad, groups
    Shape input() const { return {n, h, w, spec.in_channels}; }
    int64_t weights() const {
        return spec.out_channels * spec.in_channels / spec.groups * spec.kernel_h * spec.kernel_w;
    }
};
void PrintTo(const ConvCase& c, std::ostream* out) {
    *out << c.what;
}

// Where a convolution stands in a net: between two maps, behind the image, or as the head.
struct Place {
    Maps maps;  // of the backends it runs on
    Maps x = maps, y = maps;

    // The weights as they are multiplied.
    std::vector<float> weights(int64_t count, Fill fill, uint64_t seed) const {
        return y.rounded(random_values(count, fill, seed));
    }
    // Sums err by what float32 loses, and where an image meets bfloat16 by the 16 bits that it keeps.
    double tolerance(Fill fill) const {
        if (fill == Fill::SmallIntegers) return 0;
        return x.is_float() && !y.is_float() ? 3e-5 : 2e-6;
    }
};

struct ConvData {
    ref::Tensor<float> x, dy;
    std::vector<float> weights, bias;
};

ConvData make_data(const Place& place, const ConvCase& c, Fill fill) {
    return {place.x.random(c.input(), fill, 1), place.y.random(c.spec.output_shape(c.input()), fill, 2),
            place.weights(c.weights(), fill, 3), random_values(c.spec.out_channels, fill, 4)};
}

template <class F>
void at_every_place(const ConvCase& c, const F& test) {
    on_every_map_type([&](const Maps& maps) {
        test(Place{maps});
        const Maps f32(DType::F32);
        constexpr int64_t kImageChannels = 3;
        const bool image = c.spec.in_channels <= kImageChannels;
        const bool linear = c.h * c.w * c.spec.kernel_h * c.spec.kernel_w == 1;
        if (image && !maps.is_float()) test(Place{maps, f32, maps});
        if (linear && !maps.is_float()) test(Place{maps, f32, f32});
    });
}

std::string to_string(Activation activation) {
    return activation == Activation::None ? "none" : activation == Activation::Relu ? "relu" : "relu6";
}

ref::Tensor<float> run_forward(const Place& place, Backend& backend, Convolution& convolution,
                               const ConvSpec& spec, const ref::Tensor<float>& x, Activation activation) {
    const DeviceTensor in = place.x.put(backend, x),
                       out = place.y.output(backend, spec.output_shape(x.shape));
    convolution.forward(in, out, activation);
    expect_same_bits("x afterwards", in.download().values, x.values);
    return out.download();
}

ref::Tensor<float> run_backward(const Place& place, Backend& backend, Convolution& convolution,
                                const ref::Tensor<float>& dy, const Shape& x) {
    const DeviceTensor in = place.y.put(backend, dy), out = place.x.output(backend, x);
    convolution.backward_data(in, out);
    return out.download();
}

std::vector<float> run_weights(const Place& place, Backend& backend, Convolution& convolution,
                               const ConvSpec& spec, const ref::Tensor<float>& x,
                               const ref::Tensor<float>& dy) {
    const DeviceTensor in = place.x.put(backend, x), gradient = place.y.put(backend, dy),
                       out(backend, weight_shape(spec));
    convolution.backward_weights(in, gradient, out);
    return out.download().values;
}

double largest(const ref::Tensor<double>& t) {
    double result = 0;
    for (const double value : t.values) result = std::max(result, std::abs(value));
    return result;
}

class ConvolutionOnEveryBackend : public testing::TestWithParam<ConvCase> {};

void check_forward(const Place& place, const ConvCase& c) {
    for (const Fill fill : {Fill::SmallIntegers, Fill::Normal})
        for (const bool with_bias : {true, false}) {
            ConvData in = make_data(place, c, fill);
            if (!with_bias) in.bias.clear();
            const auto sum = ref::convolution(c.spec, ref::cast<double>(in.x), ref::cast<double>(in.weights),
                                              ref::cast<double>(in.bias), Activation::None);
            for (const Activation activation : {Activation::None, Activation::Relu, Activation::Relu6}) {
                SCOPED_TRACE(to_string(fill) + (with_bias ? ", bias, " : ", ") + to_string(activation));
                const auto want = ref::activate(sum, activation);
                // Small integers are exact in float32: any difference is an error of an index. Else the sum
                // errs, whatever ReLU6 clips of it.
                const double tol = place.tolerance(fill) * largest(sum) / largest(want);
                place.maps.on_every_backend([&](Backend& backend) {
                    const auto convolution = backend.make_convolution(c.spec, in.weights, in.bias);
                    expect_close("y", run_forward(place, backend, *convolution, c.spec, in.x, activation),
                                 want, place.y.tolerance(tol));
                });
            }
        }
}
TEST_P(ConvolutionOnEveryBackend, ForwardMatchesDouble) {
    at_every_place(GetParam(), [](const Place& place) { check_forward(place, GetParam()); });
}

// As in PyTorch: a sum that is no number must not come out of an activation as one.
TEST_P(ConvolutionOnEveryBackend, ActivationsKeepNaN) {
    const ConvCase& c = GetParam();
    const auto is_unlike = [&](const ref::Tensor<float>& y) {
        for (size_t i = 0; i < y.values.size(); ++i)
            if (std::isnan(y.values[i]) != (static_cast<int64_t>(i) % c.spec.out_channels == 0)) return true;
        return false;
    };
    at_every_place(c, [&](const Place& place) {
        ConvData in = make_data(place, c, Fill::Normal);
        in.bias[0] = std::numeric_limits<float>::quiet_NaN();
        place.maps.on_every_backend([&](Backend& backend) {
            const auto convolution = backend.make_convolution(c.spec, in.weights, in.bias);
            for (const Activation activation : {Activation::Relu, Activation::Relu6})
                EXPECT_FALSE(is_unlike(run_forward(place, backend, *convolution, c.spec, in.x, activation)))
                    << to_string(activation);
        });
    });
}

void check_data_gradient(const Place& place, const ConvCase& c) {
    for (const Fill fill : {Fill::SmallIntegers, Fill::Normal}) {
        SCOPED_TRACE(to_string(fill));
        const ConvData in = make_data(place, c, fill);
        const auto want = ref::convolution_backward_data(c.spec, ref::cast<double>(in.dy),
                                                         ref::cast<double>(in.weights), c.input());
        place.maps.on_every_backend([&](Backend& backend) {
            const auto convolution = backend.make_convolution(c.spec, in.weights, in.bias);
            expect_close("dx", run_backward(place, backend, *convolution, in.dy, c.input()), want,
                         place.x.tolerance(fill == Fill::SmallIntegers ? 0 : 2e-6));
        });
    }
}
TEST_P(ConvolutionOnEveryBackend, DataGradientMatchesDouble) {
    at_every_place(GetParam(), [](const Place& place) { check_data_gradient(place, GetParam()); });
}

void check_weight_gradient(const Place& place, const ConvCase& c) {
    for (const Fill fill : {Fill::SmallIntegers, Fill::Normal}) {
        SCOPED_TRACE(to_string(fill));
        const ConvData in = make_data(place, c, fill);
        const auto want =
            ref::convolution_backward_weights(c.spec, ref::cast<double>(in.x), ref::cast<double>(in.dy));
        place.maps.on_every_backend([&](Backend& backend) {
            const auto convolution = backend.make_convolution(c.spec, in.weights, in.bias);
            expect_close("dw", run_weights(place, backend, *convolution, c.spec, in.x, in.dy), want,
                         place.tolerance(fill));
        });
    }
}
TEST_P(ConvolutionOnEveryBackend, WeightGradientMatchesDouble) {
    at_every_place(GetParam(), [](const Place& place) { check_weight_gradient(place, GetParam()); });
}

// GAIA-Z counts exact zeros: where no dy reaches, dx must be +0, not a residue of a transformed domain.
void check_zeros(const Place& place, const ConvCase& c) {
    const ConvData in = make_data(place, c, Fill::Normal);
    const Shape y = in.dy.shape;
    for (const auto& [corner_h, corner_w] :
         {std::pair{int64_t{0}, int64_t{0}}, std::pair{y.h - 1, y.w - 1}}) {
        ref::Tensor<float> dy(y);
        for (int64_t o = 0; o < y.c; ++o)
            dy.at(0, corner_h, corner_w, o) = in.dy.at(0, corner_h, corner_w, o);
        ref::Tensor<int> reached(c.input());
        ref::for_each_product(c.spec, c.input(), [&](auto p, auto q, auto, auto h, auto w, auto i, auto) {
            if (p == corner_h && q == corner_w) reached.at(0, h, w, i) = 1;
        });
        place.maps.on_every_backend([&](Backend& backend) {
            const auto convolution = backend.make_convolution(c.spec, in.weights, in.bias);
            const ref::Tensor<float> dx = run_backward(place, backend, *convolution, dy, c.input());
            size_t wrong = 0, inside = 0;
            for (size_t i = 0; i < dx.values.size(); ++i) {
                if (reached.values[i])
                    inside += dx.values[i] != 0;
                else
                    wrong += std::bit_cast<uint32_t>(dx.values[i]) != 0;
            }
            EXPECT_EQ(wrong, 0u) << "of " << dx.values.size() << " values";
            const bool reaches = std::ranges::count(reached.values, 1) > 0;  // else it saw padding alone
            EXPECT_EQ(inside > 0, reaches) << "the seed reached nothing";
        });
    }
}
TEST_P(ConvolutionOnEveryBackend, GradientOutsideTheReceptiveFieldIsBitZero) {
    at_every_place(GetParam(), [](const Place& place) { check_zeros(place, GetParam()); });
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, ConvolutionOnEveryBackend,
    testing::Values(ConvCase{"stem 7x7/2, odd map", 2, 15, 15, {3, 16, 7, 7, 2, 3, 1}},
                    ConvCase{"stem 7x7/2, even oblong map", 1, 12, 18, {3, 64, 7, 7, 2, 3, 1}},
                    ConvCase{"3x3 block", 2, 8, 8, {16, 16, 3, 3, 1, 1, 1}},
                    ConvCase{"3x3, 64 channels", 1, 9, 8, {64, 64, 3, 3, 1, 1, 1}},
                    ConvCase{"3x3/2, even map: no last row", 2, 8, 8, {32, 48, 3, 3, 2, 1, 1}},
                    ConvCase{"3x3/2, odd channels", 1, 5, 5, {33, 17, 3, 3, 2, 1, 1}},
                    ConvCase{"3x3 of an image, 5 channels out", 3, 9, 11, {3, 5, 3, 3, 1, 1, 1}},
                    ConvCase{"3x3, one channel to one", 3, 6, 5, {1, 1, 3, 3, 1, 1, 1}},
                    ConvCase{"3x3, one channel in", 1, 7, 7, {1, 24, 3, 3, 1, 1, 1}},
                    ConvCase{"3x3, one channel out", 2, 7, 7, {24, 1, 3, 3, 1, 1, 1}},
                    ConvCase{"3x3 without padding to one pixel", 2, 3, 3, {8, 8, 3, 3, 1, 0, 1}},
                    ConvCase{"3x3/2 on a map smaller than the kernel", 1, 2, 2, {4, 6, 3, 3, 2, 1, 1}},
                    ConvCase{"3x3/2 on one pixel", 5, 1, 1, {7, 9, 3, 3, 2, 1, 1}},
                    ConvCase{"3x1, no padding", 1, 7, 6, {4, 5, 3, 1, 1, 0, 1}},
                    ConvCase{"1x3/2, no padding", 2, 6, 7, {5, 4, 1, 3, 2, 0, 1}},
                    ConvCase{"3x3, padding beyond the kernel", 2, 5, 6, {16, 16, 3, 3, 1, 4, 1}},
                    ConvCase{"3x3/2 of an image, padding beyond the kernel", 2, 5, 6, {3, 8, 3, 3, 2, 4, 1}},
                    ConvCase{"5x5/3", 2, 11, 8, {8, 12, 5, 5, 3, 2, 1}},
                    ConvCase{"2x2, padding", 1, 6, 5, {12, 8, 2, 2, 1, 1, 1}},
                    ConvCase{"1x1 with padding", 2, 3, 1, {16, 24, 1, 1, 1, 1, 1}},
                    ConvCase{"1x1 expansion", 2, 7, 7, {64, 128, 1, 1, 1, 0, 1}},
                    ConvCase{"1x1, odd channels", 3, 5, 7, {37, 19, 1, 1, 1, 0, 1}},
                    ConvCase{"1x1/2 projection, odd map", 2, 9, 9, {16, 32, 1, 1, 2, 0, 1}},
                    ConvCase{"1x1/2 projection, even map", 1, 8, 6, {24, 40, 1, 1, 2, 0, 1}},
                    ConvCase{"linear, batch 1", 1, 1, 1, {64, 10, 1, 1, 1, 0, 1}},
                    ConvCase{"linear, odd", 5, 1, 1, {131, 103, 1, 1, 1, 0, 1}},
                    ConvCase{"linear, deep sum", 2, 1, 1, {2048, 21, 1, 1, 1, 0, 1}},
                    ConvCase{"linear, one class", 4, 1, 1, {16, 1, 1, 1, 1, 0, 1}},
                    ConvCase{"depthwise 3x3", 2, 7, 7, {24, 24, 3, 3, 1, 1, 24}},
                    ConvCase{"depthwise 3x3/2, odd channels", 1, 8, 6, {17, 17, 3, 3, 2, 1, 17}},
                    ConvCase{"depthwise 3x3, 96 channels", 1, 9, 8, {96, 96, 3, 3, 1, 1, 96}},
                    ConvCase{"depthwise 3x3/2 on one pixel", 2, 1, 1, {5, 5, 3, 3, 2, 1, 5}},
                    ConvCase{"depthwise 3x3/3, padding beyond the kernel", 2, 5, 6, {8, 8, 3, 3, 3, 4, 8}},
                    ConvCase{"depthwise 5x5, no padding", 1, 6, 7, {3, 3, 5, 5, 1, 0, 3}}));

// 12,000 positions: float32 sums must be cut into blocks. Wide enough for Winograd in the default backend,
// whose gradients are direct.
TEST(Convolution, WeightGradientOfALargeBatch) {
    const ConvSpec spec{16, 40, 3, 3, 1, 1, 1}, depthwise{20, 20, 3, 3, 2, 1, 20};
    on_every_map_type([&](const Maps& maps) {
        for (const ConvSpec& s : {spec, depthwise}) {
            const auto x = maps.random({30, 20, 20, s.in_channels}, Fill::Normal, 1);
            const auto dy = maps.random(s.output_shape(x.shape), Fill::Normal, 2);
            const auto want =
                ref::convolution_backward_weights(s, ref::cast<double>(x), ref::cast<double>(dy));
            maps.on_every_backend_and_default([&](Backend& backend) {
                const auto convolution = backend.make_convolution(
                    s, random_values(static_cast<int64_t>(want.size()), Fill::Normal, 3), {});
                expect_close("dw", run_weights({maps}, backend, *convolution, s, x, dy), want, 3e-6);
            });
        }
    });
}

TEST(Convolution, WeightGradientOfNoImagesIsZero) {
    const ConvSpec spec{5, 7, 3, 3, 1, 1, 1}, depthwise{5, 5, 3, 3, 1, 1, 5};
    on_every_map_type([&](const Maps& maps) {
        for (const ConvSpec& s : {spec, depthwise})
            maps.on_every_backend([&](Backend& backend) {
                const int64_t count = weight_shape(s).size();
                const auto convolution =
                    backend.make_convolution(s, random_values(count, Fill::Normal, 3), {});
                const ref::Tensor<float> x(Shape{0, 4, 4, 5}), dy(s.output_shape(x.shape));
                EXPECT_EQ(run_weights({maps}, backend, *convolution, s, x, dy),
                          std::vector<float>(static_cast<size_t>(count), 0.0f));
            });
    });
}

// One prepared object serves any batch and map size; what it keeps for one must not leak into another.
TEST(Convolution, ShapesMayAlternate) {
    const ConvSpec spec{12, 20, 3, 3, 1, 1, 1};
    const auto weights = random_values(12 * 20 * 9, Fill::SmallIntegers, 1);
    const auto w = ref::cast<double>(weights);
    on_every_map_type([&](const Maps& maps) {
        maps.on_every_backend([&](Backend& backend) {
            const auto convolution = backend.make_convolution(spec, weights, {});
            for (const Shape& shape : {Shape{1, 6, 6, 12}, Shape{4, 9, 5, 12}, Shape{1, 6, 6, 12},
                                       Shape{2, 6, 6, 12}, Shape{4, 9, 5, 12}}) {
                const auto x = random_tensor(shape, Fill::SmallIntegers, static_cast<uint64_t>(shape.n + 7));
                const auto dy = random_tensor(spec.output_shape(shape), Fill::SmallIntegers, 8);
                expect_close("y", run_forward({maps}, backend, *convolution, spec, x, Activation::Relu),
                             ref::convolution(spec, ref::cast<double>(x), w, {}, Activation::Relu),
                             maps.tolerance(0));
                expect_close("dx", run_backward({maps}, backend, *convolution, dy, shape),
                             ref::convolution_backward_data(spec, ref::cast<double>(dy), w, shape),
                             maps.tolerance(0));
                expect_close(
                    "dw", run_weights({maps}, backend, *convolution, spec, x, dy),
                    ref::convolution_backward_weights(spec, ref::cast<double>(x), ref::cast<double>(dy)), 0);
            }
        });
    });
}

// Two convolutions of the same geometry and different weights: caches must not mix them up.
TEST(Convolution, EqualSpecsKeepTheirOwnWeights) {
    const ConvSpec spec{8, 8, 3, 3, 1, 1, 1};
    const auto x = random_tensor({1, 5, 5, 8}, Fill::SmallIntegers, 1);
    on_every_map_type([&](const Maps& maps) {
        maps.on_every_backend([&](Backend& backend) {
            std::vector<std::vector<float>> weights;
            std::vector<std::unique_ptr<Convolution>> convolutions;
            for (uint64_t seed = 2; seed < 4; ++seed) {
                weights.push_back(random_values(8 * 8 * 9, Fill::SmallIntegers, seed));
                convolutions.push_back(backend.make_convolution(spec, weights.back(), {}));
            }
            for (size_t i = 0; i < 2; ++i)
                expect_close("y", run_forward({maps}, backend, *convolutions[i], spec, x, Activation::None),
                             ref::convolution(spec, ref::cast<double>(x), ref::cast<double>(weights[i]), {},
                                              Activation::None),
                             maps.tolerance(0));
        });
    });
}

// Weights and bias belong to the object: the caller's arrays may change or die after it is made.
TEST(Convolution, CopiesItsWeights) {
    const ConvSpec spec{4, 6, 1, 1, 1, 0, 1};
    const auto x = random_tensor({2, 3, 3, 4}, Fill::SmallIntegers, 1);
    const auto weights = random_values(24, Fill::SmallIntegers, 2),
               bias = random_values(6, Fill::SmallIntegers, 3);
    const auto want = ref::convolution(spec, ref::cast<double>(x), ref::cast<double>(weights),
                                       ref::cast<double>(bias), Activation::None);
    on_every_map_type([&](const Maps& maps) {
        maps.on_every_backend([&](Backend& backend) {
            auto w = weights, b = bias;
            const auto convolution = backend.make_convolution(spec, w, b);
            std::fill(w.begin(), w.end(), 99.0f);
            std::fill(b.begin(), b.end(), 99.0f);
            expect_close("y", run_forward({maps}, backend, *convolution, spec, x, Activation::None), want,
                         maps.tolerance(0));
        });
    });
}

}  // namespace
}  // namespace gs::test
