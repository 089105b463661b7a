// Products and sums in float64 of float32 values.
#include "cpu/kernels/declarations.h"
#include "cpu/kernels/vector.h"

namespace gs::cpu::GS_ISA {
namespace {

constexpr int64_t kWide = kLanes / 2;  // float64 values of a register
typedef double Wide __attribute__((vector_size(kWide * 8)));
typedef float Narrow __attribute__((vector_size(kWide * 4)));

GS_INLINE Wide widened(const float* p) {
    Narrow v;
    __builtin_memcpy(&v, p, sizeof v);
    return __builtin_convertvector(v, Wide);
}
GS_INLINE Wide load(const double* p) {
    Wide v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}
GS_INLINE double total(Wide v) {
    double sum = 0;
    for (int64_t i = 0; i < kWide; ++i) sum += v[i];
    return sum;
}

constexpr int64_t kTogether = 8;  // columns of u that share the loads of d; gemm_columns is a multiple
constexpr int64_t kRegisters = 2;

// kRegisters registers of outputs.
GS_INLINE void product(const double* u, int64_t rows, const float* d, int64_t outputs, double* p) {
    Wide acc[kTogether][kRegisters] = {};
    for (int64_t s = 0; s < rows; ++s, u += 2 * kLanes, d += outputs) {
        const Wide left = widened(d), right = widened(d + kWide);
        for (int64_t t = 0; t < kTogether; ++t) {
            acc[t][0] += u[t] * left;
            acc[t][1] += u[t] * right;
        }
    }
    for (int64_t t = 0; t < kTogether; ++t)
        for (int64_t r = 0; r < kRegisters; ++r)
            __builtin_memcpy(p + t * outputs + r * kWide, &acc[t][r], sizeof(Wide));
}

// Sums of products of row a with the kCount rows at b.
template <int kCount>
GS_INLINE void dots(const float* a, const float* b, int64_t pitch, int64_t length, double* to) {
    Wide acc[kCount] = {};
    int64_t i = 0;
    for (; i + kWide <= length; i += kWide) {
        const Wide left = widened(a + i);
        for (int j = 0; j < kCount; ++j) acc[j] += left * widened(b + j * pitch + i);
    }
    for (int j = 0; j < kCount; ++j) {
        to[j] += total(acc[j]);
        for (int64_t rest = i; rest < length; ++rest)
            to[j] += static_cast<double>(a[rest]) * static_cast<double>(b[j * pitch + rest]);
    }
}

}  // namespace

void wide_product(const double* u, int64_t rows, const float* d, int64_t outputs, double* p) {
    for (int64_t t = 0; t < 2 * kLanes; t += kTogether) {
        int64_t o = 0;
        for (; o + kLanes <= outputs; o += kLanes) product(u + t, rows, d + o, outputs, p + t * outputs + o);
        for (int64_t i = t; i < t + kTogether; ++i)
            for (int64_t rest = o; rest < outputs; ++rest) {
                double sum = 0;
                for (int64_t s = 0; s < rows; ++s)
                    sum += u[s * 2 * kLanes + i] * static_cast<double>(d[s * outputs + rest]);
                p[i * outputs + rest] = sum;
            }
    }
}

double wide_dot(const double* a, const float* b, int64_t count) {
    Wide acc[2] = {};
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
        acc[0] += load(a + i) * widened(b + i);
        acc[1] += load(a + i + kWide) * widened(b + i + kWide);
    }
    double sum = total(acc[0] + acc[1]);
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
