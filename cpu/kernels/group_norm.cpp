#include "cpu/kernels/declarations.h"
#include "cpu/kernels/vector.h"

namespace gs::cpu::GS_ISA {
namespace {

// The one expression of the norm's output: forward stores it, backward takes its mask from it.
template <class Lanes>
GS_INLINE Vec normalized(Vec centered, const NormCoefficients& norm, int64_t i, const Lanes& lanes) {
    return centered * lanes.load(norm.scale + i) + lanes.load(norm.shift + i);
}

// Pixels are taken four at a time: a quarter of the accumulator traffic, and a tree on top of the chain.
constexpr int64_t kPixels = 4;

template <class Value>
GS_INLINE Vec sum_of_four(const Value& value) {
    return (value(0) + value(1)) + (value(2) + value(3));
}

// sum[i] += value(pixel, i, lanes) over all pixels.
template <class Value>
GS_INLINE void sum_pixels(int64_t pixels, int64_t c, float* sum, const Value& value) {
    clear(sum, c);
    int64_t p = 0;
    for (; p + kPixels <= pixels; p += kPixels) {
        for_lanes(c, [&](int64_t i, auto lanes) {
            const Vec four =
                sum_of_four([&](int64_t q) __attribute__((always_inline)) { return value(p + q, i, lanes); });
            lanes.store(sum + i, lanes.load(sum + i) + four);
        });
    }
    for (; p < pixels; ++p) {
        for_lanes(c, [&](int64_t i, auto lanes) {
            lanes.store(sum + i, lanes.load(sum + i) + value(p, i, lanes));
        });
    }
}

}  // namespace

void add_and_sum(const float* a, const float* b, int64_t pixels, int64_t c, float* y, float* sum) {
    sum_pixels(
        pixels, c, sum, [&](int64_t p, int64_t i, auto lanes) __attribute__((always_inline)) {
            const Vec v = lanes.load(a + p * c + i) + lanes.load(b + p * c + i);
            lanes.store(y + p * c + i, v);
            return v;
        });
}

void centered_moments(const float* x, int64_t pixels, int64_t c, const float* center, float* first,
                      float* second) {
    clear(first, c);
    clear(second, c);
    int64_t p = 0;
    for (; p + kPixels <= pixels; p += kPixels, x += kPixels * c) {
        for_lanes(c, [&](int64_t i, auto lanes) {
            const Vec m = lanes.load(center + i);
            const Vec d0 = lanes.load(x + i) - m, d1 = lanes.load(x + c + i) - m;
            const Vec d2 = lanes.load(x + 2 * c + i) - m, d3 = lanes.load(x + 3 * c + i) - m;
            lanes.store(first + i, lanes.load(first + i) + ((d0 + d1) + (d2 + d3)));
            lanes.store(second + i, lanes.load(second + i) + ((d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3)));
        });
    }
    for (; p < pixels; ++p, x += c) {
        for_lanes(c, [&](int64_t i, auto lanes) {
            const Vec d = lanes.load(x + i) - lanes.load(center + i);
            lanes.store(first + i, lanes.load(first + i) + d);
            lanes.store(second + i, lanes.load(second + i) + d * d);
        });
    }
}

void normalize(const float* x, int64_t pixels, int64_t c, const NormCoefficients& norm, Activation activation,
               float* y) {
    with_activation(activation, [&](auto tag) {
        for (int64_t p = 0; p < pixels; ++p, x += c, y += c) {
            for_lanes(c, [&](int64_t i, auto lanes) {
                const Vec centered = lanes.load(x + i) - lanes.load(norm.mean + i);
                lanes.store(y + i, activated<tag.value>(normalized(centered, norm, i, lanes)));
            });
        }
    });
}

void norm_backward_sums(const GradientTerms& dy, const float* x, int64_t pixels, int64_t c,
                        const NormCoefficients& norm, Activation activation, const NormBackwardSums& sums) {
    clear(sums.g, c);
    clear(sums.g_x, c);
    if (sums.nonzero) clear(sums.nonzero, c);
    with_activation(activation, [&](auto tag) {
        for (int64_t p = 0; p < pixels; ++p) {
            const int64_t row = p * c;
            for_lanes(c, [&](int64_t i, auto lanes) {
                const Vec centered = lanes.load(x + row + i) - lanes.load(norm.mean + i);
                const Vec g = keep(sum_of_terms(dy, row + i, lanes),
                                   open<tag.value>(normalized(centered, norm, i, lanes)));
                lanes.store(sums.g + i, lanes.load(sums.g + i) + g);
                lanes.store(sums.g_x + i, lanes.load(sums.g_x + i) + g * centered);
                if (sums.nonzero) {
                    lanes.store(sums.nonzero + i, lanes.load(sums.nonzero + i) + ones(g != splat(0.0f)));
                }
            });
        }
    });
}

void norm_backward(const GradientTerms& dy, const float* x, int64_t pixels, int64_t c,
                   const NormCoefficients& norm, Activation activation,
                   const NormBackwardCoefficients& backward, const float* addend, float* dx) {
    with_activation(activation, [&](auto tag) {
        for (int64_t p = 0; p < pixels; ++p) {
            const int64_t row = p * c;
            for_lanes(c, [&](int64_t i, auto lanes) {
                const Vec centered = lanes.load(x + row + i) - lanes.load(norm.mean + i);
                const Vec g = keep(sum_of_terms(dy, row + i, lanes),
                                   open<tag.value>(normalized(centered, norm, i, lanes)));
                Vec d = g * lanes.load(backward.g_scale + i) +
                        (centered * lanes.load(backward.x_scale + i) + lanes.load(backward.shift + i));
                if (addend) d += lanes.load(addend + row + i);
                lanes.store(dx + row + i, d);
            });
        }
    });
}

}  // namespace gs::cpu::GS_ISA
