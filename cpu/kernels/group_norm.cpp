#include "cpu/kernels/declarations.h"
#include "cpu/kernels/vector.h"

namespace gs::cpu::GS_ISA {
namespace {

// The one expression of the norm's output: forward stores it, backward takes its mask from it.
GS_INLINE Vec normalized(Vec centered, Vec scale, Vec shift) {
    return centered * scale + shift;
}

template <class Lanes>
GS_INLINE Vec normalized(Vec centered, const NormCoefficients& norm, int64_t i, const Lanes& lanes) {
    return normalized(centered, lanes.load(norm.scale + i), lanes.load(norm.shift + i));
}

// Pixels are taken four at a time: a quarter of the accumulator traffic, and a tree on top of the chain.
constexpr int kPixels = 4;

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

template <class T>
void add_and_sum(const T* a, const T* b, int64_t pixels, int64_t c, T* y, float* sum) {
    sum_pixels(
        pixels, c, sum, [&](int64_t p, int64_t i, auto lanes) __attribute__((always_inline)) {
            return lanes.put(y + p * c + i, lanes.load(a + p * c + i) + lanes.load(b + p * c + i));
        });
}

template <class T>
void centered_moments(const T* x, int64_t pixels, int64_t c, const float* center, float* first,
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

template <class T>
void normalize(const T* x, int64_t pixels, int64_t c, const NormCoefficients& norm, Activation activation,
               T* y) {
    with_activation(activation, [&](auto tag) {
        for (int64_t p = 0; p < pixels; ++p, x += c, y += c) {
            for_lanes(c, [&](int64_t i, auto lanes) {
                const Vec centered = lanes.load(x + i) - lanes.load(norm.mean + i);
                lanes.store(y + i, activated<tag.value>(normalized(centered, norm, i, lanes)));
            });
        }
    });
}

// The sums of kCount pixels from `row` on, added to the channels' totals.
template <Activation kActivation, int kCount, class T, class Lanes>
GS_INLINE void add_backward_sums(const GradientTerms<T>& dy, const T* x, int64_t row, int64_t c, int64_t i,
                                 const NormCoefficients& norm, const NormBackwardSums& sums,
                                 const Lanes& lanes) {
    Vec g[kCount], g_x[kCount], count[kCount];
    const Vec mean = lanes.load(norm.mean + i), scale = lanes.load(norm.scale + i),
              shift = lanes.load(norm.shift + i);
    for (int q = 0; q < kCount; ++q) {
        const int64_t at = row + q * c + i;
        const Vec centered = lanes.load(x + at) - mean;
        g[q] = keep(sum_of_terms(dy, at, lanes), open<kActivation>(normalized(centered, scale, shift)));
        g_x[q] = g[q] * centered;
        count[q] = ones(g[q] != splat(0.0f));
    }
    const auto add = [&](float* total, const Vec(&v)[kCount]) __attribute__((always_inline)) {
        Vec sum = v[0];
        if constexpr (kCount == 4) sum = (v[0] + v[1]) + (v[2] + v[3]);
        lanes.store(total + i, lanes.load(total + i) + sum);
    };
    add(sums.g, g);
    add(sums.g_x, g_x);
    if (sums.nonzero) add(sums.nonzero, count);
}

template <class T>
void norm_backward_sums(const GradientTerms<T>& dy, const T* x, int64_t pixels, int64_t c,
                        const NormCoefficients& norm, Activation activation, const NormBackwardSums& sums) {
    clear(sums.g, c);
    clear(sums.g_x, c);
    if (sums.nonzero) clear(sums.nonzero, c);
    with_activation(activation, [&](auto tag) {
        int64_t p = 0;
        for (; p + kPixels <= pixels; p += kPixels) {
            for_lanes(c, [&](int64_t i, auto lanes) {
                add_backward_sums<tag.value, kPixels>(dy, x, p * c, c, i, norm, sums, lanes);
            });
        }
        for (; p < pixels; ++p) {
            for_lanes(c, [&](int64_t i, auto lanes) {
                add_backward_sums<tag.value, 1>(dy, x, p * c, c, i, norm, sums, lanes);
            });
        }
    });
}

template <class T>
void norm_backward(const GradientTerms<T>& dy, const T* x, int64_t pixels, int64_t c,
                   const NormCoefficients& norm, Activation activation,
                   const NormBackwardCoefficients& backward, const T* addend, T* dx) {
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

}  // namespace

template <class T>
void set_norm(MapKernels<T>& table) {
    table.add_and_sum = add_and_sum<T>;
    table.centered_moments = centered_moments<T>;
    table.normalize = normalize<T>;
    table.norm_backward_sums = norm_backward_sums<T>;
    table.norm_backward = norm_backward<T>;
}
template void set_norm(MapKernels<float>&);
template void set_norm(MapKernels<Bf16>&);

}  // namespace gs::cpu::GS_ISA
