// Products and sums in float64 of float32 values.
#include "cpu/kernels/declarations.h"
#include "cpu/kernels/vector.h"

namespace gs::cpu::GS_ISA {
namespace {

typedef double Wide __attribute__((vector_size(kLanes * 8)));

#define GS_WIDE(v) __builtin_convertvector(v, Wide)  // no function: its return would be passed in memory
GS_INLINE double total(const Wide& v) {
    double partial[4] = {};
    for (int64_t i = 0; i < kLanes; ++i) partial[i % 4] += v[i];
    return (partial[0] + partial[1]) + (partial[2] + partial[3]);
}

// Columns of u that share the loads of d; gemm_columns is a multiple of it.
constexpr int kTogether = 4;

template <class Lanes>
GS_INLINE void product(const float* u, int64_t rows, int64_t width, const float* d, int64_t outputs,
                       double* p, const Lanes& lanes, int64_t exist) {
    for (int64_t t = 0; t < width; t += kTogether) {
        Wide acc[kTogether] = {};
        for (int64_t s = 0; s < rows; ++s) {
            const Wide right = GS_WIDE(lanes.load(d + s * outputs));
            for (int r = 0; r < kTogether; ++r)
                acc[r] += right * static_cast<double>(u[s * 2 * kLanes + t + r]);
        }
        for (int64_t r = 0; r < kTogether && t + r < width; ++r)
            for (int64_t i = 0; i < exist; ++i) p[(t + r) * outputs + i] = acc[r][i];
    }
}

// Sums of products of row a with the kCount rows at b.
template <int kCount>
GS_INLINE void dots(const float* a, const float* b, int64_t pitch, int64_t length, double* to) {
    Wide acc[kCount] = {};
    for_lanes(length, [&](int64_t i, auto lanes) {
        const Wide left = GS_WIDE(lanes.load(a + i));
        for (int j = 0; j < kCount; ++j) acc[j] += left * GS_WIDE(lanes.load(b + j * pitch + i));
    });
    for (int j = 0; j < kCount; ++j) to[j] += total(acc[j]);
}

}  // namespace

void wide_product(const float* u, int64_t rows, int64_t width, const float* d, int64_t outputs, double* p) {
    int64_t o = 0;
    for (; o + kLanes <= outputs; o += kLanes) product(u, rows, width, d + o, outputs, p + o, Full{}, kLanes);
    if (o < outputs) product(u, rows, width, d + o, outputs, p + o, Part{outputs - o}, outputs - o);
}

double wide_dot(const double* a, const float* b, int64_t count) {
    Wide acc{};
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
        Wide left;
        __builtin_memcpy(&left, a + i, sizeof left);
        acc += left * GS_WIDE(Full::load(b + i));
    }
    double sum = total(acc);
    for (; i < count; ++i) sum += a[i] * static_cast<double>(b[i]);
    return sum;
}

void wide_gram(const float* rows, int64_t count, int64_t pitch, int64_t length, double* gram) {
    for (int64_t a = 0; a < count; ++a) {
        const float* row = rows + a * pitch;
        int64_t b = a;
        for (; b + 4 <= count; b += 4) dots<4>(row, rows + b * pitch, pitch, length, gram + a * count + b);
        for (; b < count; ++b) dots<1>(row, rows + b * pitch, pitch, length, gram + a * count + b);
    }
}

}  // namespace gs::cpu::GS_ISA
