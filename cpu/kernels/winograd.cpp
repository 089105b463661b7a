// The two transforms of Winograd's F(4x4, 3x3); what they are for stands in cpu/winograd_convolution.cpp.
#include "cpu/winograd.h"

#include "cpu/kernels/declarations.h"
#include "cpu/kernels/vector.h"

namespace gs::cpu::GS_ISA {
namespace {

using namespace winograd;

// out = B^T d
GS_INLINE void input_1d(const Vec (&d)[kPatch], Vec (&out)[kPatch]) {
    const Vec a = splat(kA), b = splat(kB), p = splat(kP), q = splat(kQ), s = splat(kP + kQ);
    const Vec even_a = d[4] - q * d[2], odd_a = a * (d[3] - q * d[1]);
    const Vec even_b = d[4] - p * d[2], odd_b = b * (d[3] - p * d[1]);
    out[0] = (d[0] + d[4]) - s * d[2];
    out[1] = even_a + odd_a;
    out[2] = even_a - odd_a;
    out[3] = even_b + odd_b;
    out[4] = even_b - odd_b;
    out[5] = (d[1] + d[5]) - s * d[3];
}

// out = A^T m
GS_INLINE void output_1d(const Vec (&m)[kPatch], Vec (&out)[kTile]) {
    const Vec a = splat(kA), b = splat(kB), p = splat(kP), q = splat(kQ);
    const Vec a3 = splat(kA * kP), b3 = splat(kB * kQ);
    const Vec sum_a = m[1] + m[2], diff_a = m[1] - m[2], sum_b = m[3] + m[4], diff_b = m[3] - m[4];
    out[0] = m[0] + (sum_a + sum_b);
    out[1] = a * diff_a + b * diff_b;
    out[2] = p * sum_a + q * sum_b;
    out[3] = (a3 * diff_a + b3 * diff_b) + m[5];
}

constexpr int kTaps = 3;

// G of U = G g G^T, in float64: it is applied once, and its rounding would stay for good.
constexpr double kRootHalf = 0.70710678118654752440, kRoot2 = 1.41421356237309504880;
constexpr double kAtA = -1.0 / 1.5, kAtB = 1.0 / 6.0;  // 1 / (2 p (p - q)), 1 / (2 q (q - p))
constexpr double kG[kPatch][kTaps] = {{1, 0, 0},
                                      {kAtA, kAtA* kRootHalf, kAtA * 0.5},
                                      {kAtA, -kAtA* kRootHalf, kAtA * 0.5},
                                      {kAtB, kAtB* kRoot2, kAtB * 2.0},
                                      {kAtB, -kAtB* kRoot2, kAtB * 2.0},
                                      {0, 0, 1}};

}  // namespace

void winograd_filters(const float* filters, int64_t filter_pitch, float* to, int64_t pitch) {
    constexpr int64_t kColumns = 2 * kLanes;
    for (int row = 0; row < kPatch; ++row) {
        double half[kTaps][kColumns];
        for (int64_t j = 0; j < kTaps; ++j) {
            const float* g = filters + j * filter_pitch;
            for (int64_t l = 0; l < kColumns; ++l) {
                half[j][l] = kG[row][0] * static_cast<double>(g[l]) +
                             kG[row][1] * static_cast<double>(g[kTaps * filter_pitch + l]) +
                             kG[row][2] * static_cast<double>(g[2 * kTaps * filter_pitch + l]);
            }
        }
        for (int col = 0; col < kPatch; ++col) {
            float* out = to + (row * kPatch + col) * pitch;
            for (int64_t l = 0; l < kColumns; ++l) {
                out[l] = static_cast<float>(kG[col][0] * half[0][l] + kG[col][1] * half[1][l] +
                                            kG[col][2] * half[2][l]);
            }
        }
    }
}

void winograd_input(const float* const* pixels, int64_t c, float* to, int64_t pitch) {
    for_lanes(c, [&](int64_t i, auto lanes) {
        Vec half[kPatch][kPatch];  // [column][row]
        for (int col = 0; col < kPatch; ++col) {
            Vec d[kPatch];
            for (int row = 0; row < kPatch; ++row) d[row] = lanes.load(pixels[row * kPatch + col] + i);
            input_1d(d, half[col]);
        }
        for (int row = 0; row < kPatch; ++row) {
            Vec d[kPatch], out[kPatch];
            for (int col = 0; col < kPatch; ++col) d[col] = half[col][row];
            input_1d(d, out);
            for (int col = 0; col < kPatch; ++col)
                lanes.store(to + (row * kPatch + col) * pitch + i, out[col]);
        }
    });
}

void winograd_output(const float* from, int64_t pitch, int64_t c, const float* bias, Activation activation,
                     float* const* pixels) {
    with_activation(activation, [&](auto tag) {
        for_lanes(c, [&](int64_t i, auto lanes) {
            Vec half[kPatch][kTile];  // [column][row]
            for (int col = 0; col < kPatch; ++col) {
                Vec m[kPatch];
                for (int row = 0; row < kPatch; ++row)
                    m[row] = lanes.load(from + (row * kPatch + col) * pitch + i);
                output_1d(m, half[col]);
            }
            const Vec shift = bias ? lanes.load(bias + i) : Vec{};
            for (int row = 0; row < kTile; ++row) {
                Vec m[kPatch], out[kTile];
                for (int col = 0; col < kPatch; ++col) m[col] = half[col][row];
                output_1d(m, out);
                for (int col = 0; col < kTile; ++col) {
                    float* pixel = pixels[row * kTile + col];
                    if (pixel) lanes.store(pixel + i, activated<tag.value>(out[col] + shift));
                }
            }
        });
    });
}

}  // namespace gs::cpu::GS_ISA
