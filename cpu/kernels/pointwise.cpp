#include "cpu/kernels/declarations.h"
#include "cpu/kernels/vector.h"

namespace gs::cpu::GS_ISA {

void affine(const float* x, int64_t pixels, int64_t c, const float* scale, const float* shift,
            Activation activation, float* y) {
    with_activation(activation, [&](auto tag) {
        for (int64_t p = 0; p < pixels; ++p, x += c, y += c) {
            for_lanes(c, [&](int64_t i, auto lanes) {
                lanes.store(y + i, activated<tag.value>(lanes.load(x + i) * lanes.load(scale + i) +
                                                        lanes.load(shift + i)));
            });
        }
    });
}

void activate(const float* x, int64_t count, Activation activation, float* y) {
    with_activation(activation, [&](auto tag) {
        for_lanes(count, [&](int64_t i, auto lanes) {
            lanes.store(y + i, activated<tag.value>(lanes.load(x + i)));
        });
    });
}

void add(const float* a, const float* b, int64_t count, Activation activation, float* y) {
    with_activation(activation, [&](auto tag) {
        for_lanes(count, [&](int64_t i, auto lanes) {
            lanes.store(y + i, activated<tag.value>(lanes.load(a + i) + lanes.load(b + i)));
        });
    });
}

void sign_step(const float* x, const float* g, int64_t pixels, int64_t c, const float* step, float* y) {
    for (int64_t p = 0; p < pixels; ++p, x += c, g += c, y += c) {
        for_lanes(c, [&](int64_t i, auto lanes) {
            const Vec s = lanes.load(step + i);
            lanes.store(y + i, lanes.load(x + i) - select(lanes.load(g + i) < splat(0.0f), -s, s));
        });
    }
}

void pointwise_backward(const GradientTerms& dy, int64_t pixels, int64_t c, Activation activation,
                        const float* y, const float* scale, const float* addend, float* dx,
                        const ChannelSums& sums) {
    if (sums.sum) clear(sums.sum, c);
    if (sums.nonzero) clear(sums.nonzero, c);
    with_activation(activation, [&](auto tag) {
        for (int64_t p = 0; p < pixels; ++p) {
            const int64_t row = p * c;
            for_lanes(c, [&](int64_t i, auto lanes) {
                Vec g = sum_of_terms(dy, row + i, lanes);
                if constexpr (tag.value != Activation::None) {
                    g = keep(g, open<tag.value>(lanes.load(y + row + i)));
                }
                if (sums.sum) lanes.store(sums.sum + i, lanes.load(sums.sum + i) + g);
                if (sums.nonzero) {
                    lanes.store(sums.nonzero + i, lanes.load(sums.nonzero + i) + ones(g != splat(0.0f)));
                }
                if (scale) g *= lanes.load(scale + i);
                if (addend) g += lanes.load(addend + row + i);
                lanes.store(dx + row + i, g);
            });
        }
    });
}

void channel_sums(const float* x, int64_t pixels, int64_t pitch, int64_t c, const ChannelSums& sums) {
    if (sums.sum) clear(sums.sum, c);
    if (sums.nonzero) clear(sums.nonzero, c);
    for (int64_t p = 0; p < pixels; ++p, x += pitch) {
        for_lanes(c, [&](int64_t i, auto lanes) {
            const Vec v = lanes.load(x + i);
            if (sums.sum) lanes.store(sums.sum + i, lanes.load(sums.sum + i) + v);
            if (sums.nonzero) {
                lanes.store(sums.nonzero + i, lanes.load(sums.nonzero + i) + ones(v != splat(0.0f)));
            }
        });
    }
}

}  // namespace gs::cpu::GS_ISA
