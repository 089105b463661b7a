// One row of a weight gradient: its norms while it is in cache (float32 lanes over short stretches, float64
// beyond), and the gradient of the stored weights.
#include "cpu/kernels/declarations.h"
#include "cpu/kernels/reduction.h"

namespace gs::cpu::GS_ISA {
namespace {

constexpr int kChains = 4;                           // sums that do not wait for each other
constexpr int64_t kStretch = 64 * kLanes * kChains;  // a lane adds at most 64 values in float32

// body(i, chain, lanes) for i = 0, kLanes, … below count.
template <class Body>
GS_INLINE void in_chains(int64_t count, const Body& body) {
    int64_t i = 0;
    for (; i + kChains * kLanes <= count; i += kChains * kLanes)
        for (int chain = 0; chain < kChains; ++chain) body(i + chain * kLanes, chain, Full{});
    for_lanes(count - i, [&](int64_t rest, auto lanes) { body(i + rest, 0, lanes); });
}

GS_INLINE double total_of(const Vec (&chains)[kChains]) {
    return total((chains[0] + chains[1]) + (chains[2] + chains[3]));
}

template <RowNorm kKind>
double norm(const float* g, const float* w, float mean, float slope, int64_t count) {
    double result = 0;
    for (int64_t first = 0; first < count; first += kStretch) {
        const int64_t size = count - first < kStretch ? count - first : kStretch;
        Vec acc[kChains] = {};
        in_chains(size, [&](int64_t i, int chain, auto lanes) {
            Vec v = lanes.load(g + first + i);
            // At the row's end the lanes that do not exist must stay 0.
            if (w != nullptr) {
                v = v - splat(mean) - lanes.load(w + first + i) * splat(slope);
                float kept[kLanes] = {};
                lanes.store(kept, v);
                v = Full::load(kept);
            }
            acc[chain] = combine<kKind>(acc[chain], v);
        });
        for (const Vec chain : acc) result = fold<kKind>(result, chain);
    }
    return result;
}

}  // namespace

void row_sums(const float* g, const float* w, int64_t count, double* sum, double* dot) {
    *sum = *dot = 0;
    for (int64_t first = 0; first < count; first += kStretch) {
        const int64_t size = count - first < kStretch ? count - first : kStretch;
        Vec plain[kChains] = {}, weighted[kChains] = {};
        in_chains(size, [&](int64_t i, int chain, auto lanes) {
            const Vec v = lanes.load(g + first + i);
            plain[chain] += v;
            weighted[chain] += v * lanes.load(w + first + i);
        });
        *sum += total_of(plain);
        *dot += total_of(weighted);
    }
}

double dot(const float* a, const float* b, int64_t count) {
    double sum = 0;
    for (int64_t first = 0; first < count; first += kStretch) {
        const int64_t size = count - first < kStretch ? count - first : kStretch;
        Vec products[kChains] = {};
        in_chains(size, [&](int64_t i, int chain, auto lanes) {
            products[chain] += lanes.load(a + first + i) * lanes.load(b + first + i);
        });
        sum += total_of(products);
    }
    return sum;
}

double row_norm(const float* g, const float* w, float mean, float slope, int64_t count, RowNorm kind) {
    if (kind == RowNorm::Absolute) return norm<RowNorm::Absolute>(g, w, mean, slope, count);
    if (kind == RowNorm::Square) return norm<RowNorm::Square>(g, w, mean, slope, count);
    return norm<RowNorm::Largest>(g, w, mean, slope, count);
}

void stored_row(const float* g, const float* w, float mean, float slope, float scale, int64_t count,
                Grad mode, float* out) {
    for_lanes(count, [&](int64_t i, auto lanes) {
        Vec v = lanes.load(g + i);
        if (w != nullptr) v = v - splat(mean) - lanes.load(w + i) * splat(slope);
        v *= splat(scale);
        if (mode == Grad::Add) v += lanes.load(out + i);
        lanes.store(out + i, v);
    });
}

}  // namespace gs::cpu::GS_ISA
