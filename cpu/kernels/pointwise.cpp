#include "cpu/kernels/declarations.h"
#include "cpu/kernels/vector.h"

namespace gs::cpu::GS_ISA {

void widen(const Bf16* x, int64_t count, float* y) {
    for_lanes(count, [&](int64_t i, auto lanes) { lanes.store(y + i, lanes.load(x + i)); });
}

void narrow(const float* x, int64_t count, Bf16* y) {
    for_lanes(count, [&](int64_t i, auto lanes) { lanes.store(y + i, lanes.load(x + i)); });
}

void sign_step(const float* x, const float* g, int64_t pixels, int64_t c, const float* step, float* y) {
    for (int64_t p = 0; p < pixels; ++p, x += c, g += c, y += c) {
        for_lanes(c, [&](int64_t i, auto lanes) {
            const Vec s = lanes.load(step + i);
            lanes.store(y + i, lanes.load(x + i) - select(lanes.load(g + i) < splat(0.0f), -s, s));
        });
    }
}

namespace {

template <class T>
void affine(const T* x, int64_t pixels, int64_t c, const float* scale, const float* shift,
            Activation activation, T* y) {
    with_activation(activation, [&](auto tag) {
        for (int64_t p = 0; p < pixels; ++p, x += c, y += c) {
            for_lanes(c, [&](int64_t i, auto lanes) {
                lanes.store(y + i, activated<tag.value>(lanes.load(x + i) * lanes.load(scale + i) +
                                                        lanes.load(shift + i)));
            });
        }
    });
}

template <class T>
void activate(const T* x, int64_t count, Activation activation, T* y) {
    with_activation(activation, [&](auto tag) {
        for_lanes(count, [&](int64_t i, auto lanes) {
            lanes.store(y + i, activated<tag.value>(lanes.load(x + i)));
        });
    });
}

// bfloat16 is ordered as its bit patterns are, so nothing is widened and rounded.
typedef uint16_t Words __attribute__((vector_size(kLanes * 4)));
// From `first` to `last`, by one comparison of numbers without sign.
GS_INLINE Words between(Words bits, uint16_t first, uint16_t last) {
    return (Words)(bits - first <= static_cast<uint16_t>(last - first));
}
template <Activation kActivation>
GS_INLINE Words activated_bits(Words bits) {
    constexpr uint16_t kSix = 0x40c0, kInfinity = 0x7f80, kSign = 0x8000;  // NaN lies beyond infinity
    if constexpr (kActivation != Activation::None) bits &= ~between(bits, kSign + 1, kSign + kInfinity);
    if constexpr (kActivation == Activation::Relu6) {
        const Words above = between(bits, kSix + 1, kInfinity);
        bits = (bits & ~above) | (kSix & above);
    }
    return bits;
}

template <>
void activate(const Bf16* x, int64_t count, Activation activation, Bf16* y) {
    constexpr int64_t kWords = sizeof(Words) / sizeof(Bf16);
    with_activation(activation, [&](auto tag) {
        Words bits{};
        for (; count >= kWords; count -= kWords, x += kWords, y += kWords) {
            __builtin_memcpy(&bits, x, sizeof bits);
            bits = activated_bits<tag.value>(bits);
            __builtin_memcpy(static_cast<void*>(y), &bits, sizeof bits);
        }
        const auto rest = static_cast<size_t>(count) * sizeof(Bf16);
        __builtin_memcpy(&bits, x, rest);
        bits = activated_bits<tag.value>(bits);
        __builtin_memcpy(static_cast<void*>(y), &bits, rest);
    });
}

template <class T>
void add(const T* a, const T* b, int64_t count, Activation activation, T* y) {
    with_activation(activation, [&](auto tag) {
        for_lanes(count, [&](int64_t i, auto lanes) {
            lanes.store(y + i, activated<tag.value>(lanes.load(a + i) + lanes.load(b + i)));
        });
    });
}

template <class T>
struct PointwiseBackwardSlab {
    const GradientTerms<T>& dy;
    const T* y;
    const float* scale;
    const T* addend;
    T* dx;
    const ChannelSums& sums;
    const CenteredSum<T>& centered;
};

// kCount pixels, c floats apart, from `row` on.
template <Activation kActivation, int kCount, class T, class Lanes>
GS_INLINE void step_back(const PointwiseBackwardSlab<T>& slab, int64_t row, int64_t c, int64_t i,
                         const Lanes& lanes) {
    Vec sum{}, count{}, g_x{};
    for (int q = 0; q < kCount; ++q) {
        const int64_t at = row + q * c + i;
        Vec g = sum_of_terms(slab.dy, at, lanes);
        if constexpr (kActivation != Activation::None)
            g = keep(g, open<kActivation>(lanes.load(slab.y + at)));
        sum += g;
        count += ones(g != splat(0.0f));
        if (slab.centered.g_x)
            g_x += g * (lanes.load(slab.centered.x + at) - lanes.load(slab.centered.mean + i));
        if (!slab.dx) continue;
        if (slab.scale) g *= lanes.load(slab.scale + i);
        if (slab.addend) g += lanes.load(slab.addend + at);
        lanes.store(slab.dx + at, g);
    }
    const ChannelSums& total = slab.sums;
    if (total.sum) lanes.store(total.sum + i, lanes.load(total.sum + i) + sum);
    if (total.nonzero) lanes.store(total.nonzero + i, lanes.load(total.nonzero + i) + count);
    float* total_g_x = slab.centered.g_x;
    if (total_g_x) lanes.store(total_g_x + i, lanes.load(total_g_x + i) + g_x);
}

template <class T>
void pointwise_backward(const GradientTerms<T>& dy, int64_t pixels, int64_t c, Activation activation,
                        const T* y, const float* scale, const T* addend, T* dx, const ChannelSums& sums,
                        const CenteredSum<T>& centered) {
    if (sums.sum) clear(sums.sum, c);
    if (sums.nonzero) clear(sums.nonzero, c);
    if (centered.g_x) clear(centered.g_x, c);
    const PointwiseBackwardSlab<T> slab{dy, y, scale, addend, dx, sums, centered};
    with_activation(activation, [&](auto tag) {
        int64_t p = 0;
        for (; p + 4 <= pixels; p += 4) {
            for_lanes(c, [&](int64_t i, auto lanes) { step_back<tag.value, 4>(slab, p * c, c, i, lanes); });
        }
        for (; p < pixels; ++p) {
            for_lanes(c, [&](int64_t i, auto lanes) { step_back<tag.value, 1>(slab, p * c, c, i, lanes); });
        }
    });
}

// kCount pixels from x on, added to the channels' totals.
template <int kCount, class T, class Lanes>
GS_INLINE void add_sums(const T* x, int64_t pitch, int64_t i, const ChannelSums& sums, const Lanes& lanes) {
    Vec sum = lanes.load(x + i), count = ones(sum != splat(0.0f));
    if constexpr (kCount == 4) {
        const Vec b = lanes.load(x + pitch + i), c = lanes.load(x + 2 * pitch + i),
                  d = lanes.load(x + 3 * pitch + i);
        sum = (sum + b) + (c + d);
        count += ones(b != splat(0.0f)) + (ones(c != splat(0.0f)) + ones(d != splat(0.0f)));
    }
    if (sums.sum) lanes.store(sums.sum + i, lanes.load(sums.sum + i) + sum);
    if (sums.nonzero) lanes.store(sums.nonzero + i, lanes.load(sums.nonzero + i) + count);
}

template <class T>
void channel_sums(const T* x, int64_t pixels, int64_t pitch, int64_t c, const ChannelSums& sums) {
    if (sums.sum) clear(sums.sum, c);
    if (sums.nonzero) clear(sums.nonzero, c);
    int64_t p = 0;
    for (; p + 4 <= pixels; p += 4) {
        for_lanes(c, [&](int64_t i, auto lanes) { add_sums<4>(x + p * pitch, pitch, i, sums, lanes); });
    }
    for (; p < pixels; ++p) {
        for_lanes(c, [&](int64_t i, auto lanes) { add_sums<1>(x + p * pitch, pitch, i, sums, lanes); });
    }
}

}  // namespace

template <class T>
void set_pointwise(MapKernels<T>& table) {
    table.affine = affine<T>;
    table.activate = activate<T>;
    table.add = add<T>;
    table.pointwise_backward = pointwise_backward<T>;
    table.channel_sums = channel_sums<T>;
}
template void set_pointwise(MapKernels<float>&);
template void set_pointwise(MapKernels<Bf16>&);

}  // namespace gs::cpu::GS_ISA
