#include "cpu/kernels/declarations.h"
#include "cpu/kernels/vector.h"

namespace gs::cpu::GS_ISA {

void normalize_add(const float* x, const float* addend, int64_t pixels, int64_t c,
                   const NormCoefficients& norm, Activation activation, float* y) {
    with_activation(activation, [&](auto tag) {
        for (int64_t p = 0; p < pixels; ++p, x += c, addend += c, y += c) {
            for_lanes(c, [&](int64_t i, auto lanes) {
                const Vec centered = lanes.load(x + i) - lanes.load(norm.mean + i);
                const Vec v = centered * lanes.load(norm.scale + i) + lanes.load(norm.shift + i);
                lanes.store(y + i, activated<tag.value>(v + lanes.load(addend + i)));
            });
        }
    });
}

namespace {

GS_INLINE Bits every(uint32_t value) {
    return value - Bits{};
}
// dropout_mix of core/training.h, lane by lane.
GS_INLINE Bits mix(Bits x) {
    x = (x ^ (x >> 16)) * every(0x21f0aaadu);
    x = (x ^ (x >> 15)) * every(0x735a2d97u);
    return x ^ (x >> 15);
}

}  // namespace

void dropout(const float* x, int64_t count, uint64_t key, int64_t first, uint32_t threshold, float scale,
             float* y) {
    Bits lane{};
    for (int64_t l = 0; l < kLanes; ++l) lane[l] = static_cast<uint32_t>(l);
    for_lanes(count, [&](int64_t i, auto lanes) {
        const auto at = static_cast<uint64_t>(first + i);
        const Bits low = (every(static_cast<uint32_t>(at)) + lane) ^ every(static_cast<uint32_t>(key));
        const uint32_t high =
            static_cast<uint32_t>(key >> 32) + static_cast<uint32_t>(at >> 32) * 0x9e3779b9u;
        const Bits bits = mix(mix(low) ^ every(high));
        lanes.store(y + i, keep(lanes.load(x + i) * splat(scale), (Mask)(bits >= every(threshold))));
    });
}

void sgd(float* w, const float* g, float* v, int64_t count, const SgdFactors& factors) {
    const Vec rate = splat(factors.learning_rate), momentum = splat(factors.momentum),
              decay = splat(factors.weight_decay);
    for_lanes(count, [&](int64_t i, auto lanes) {
        const Vec weight = lanes.load(w + i), d = lanes.load(g + i) + decay * weight;
        const Vec velocity = momentum * lanes.load(v + i) + d;
        lanes.store(v + i, velocity);
        lanes.store(w + i, weight - rate * (factors.nesterov ? d + momentum * velocity : velocity));
    });
}

}  // namespace gs::cpu::GS_ISA
