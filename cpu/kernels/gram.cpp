// Parts of Gram matrices over positions.
#include "cpu/kernels/declarations.h"
#include "cpu/kernels/gemm.h"

namespace gs::cpu::GS_ISA {

void transpose(const float* from, int64_t pitch, int64_t rows, int64_t depth, const float* scale, float* to) {
    for (int64_t r = 0; r < rows; ++r, from += pitch)
        for (int64_t d = 0; d < depth; ++d) to[d * kColumns + r] = from[d];
    for (int64_t d = 0; d < depth && (scale != nullptr || rows < kColumns); ++d) {
        float* row = to + d * kColumns;
        for (int64_t r = rows; r < kColumns; ++r) row[r] = 0.0f;
        if (scale == nullptr) continue;
        const Vec factor = splat(scale[d]);
        Full::store(row, Full::load(row) * factor * factor);
        Full::store(row + kLanes, Full::load(row + kLanes) * factor * factor);
    }
}

void sum_taps(const TapRow* taps, int64_t count, int64_t from, float* to) {
    if (from > 0) {  // lanes that exist one by one
        for (int64_t t = 0; t < kColumns; ++t) {
            float sum = 0;
            for (int64_t i = 0; i < count && t >= from; ++i)
                sum += taps[i].mask == nullptr ? taps[i].row[t] : taps[i].row[t] * taps[i].mask[t];
            to[t] = sum;
        }
        return;
    }
    Vec left{}, right{};
    for (int64_t i = 0; i < count; ++i) {
        const float *row = taps[i].row, *mask = taps[i].mask;
        if (mask == nullptr) {
            left += Full::load(row);
            right += Full::load(row + kLanes);
        } else {
            left += Full::load(row) * Full::load(mask);
            right += Full::load(row + kLanes) * Full::load(mask + kLanes);
        }
    }
    Full::store(to, left);
    Full::store(to + kLanes, right);
}

void projection_sums(const float* dy, const float* y, const float* box, int64_t positions, int64_t outputs,
                     float* sum, float* dot) {
    for_lanes(outputs, [&](int64_t o, auto lanes) {
        Vec plain{}, weighted{};
        for (int64_t s = 0; s < positions; ++s) {
            const Vec delta = lanes.load(dy + s * outputs + o);
            plain += delta * splat(box[s]);
            weighted += delta * lanes.load(y + s * outputs + o);
        }
        lanes.store(sum + o, plain);
        lanes.store(dot + o, weighted);
    });
}

}  // namespace gs::cpu::GS_ISA
