// The inner loops of the CPU backend: plain functions on slabs of NHWC memory, compiled once for every
// instruction set (GS_ISA names the namespace) and picked at run time, so that one binary runs anywhere.
//
// A slab is `pixels` rows of `c` channels, contiguous. Vectors run over channels, so a channel's sum is taken
// in the same order by every instruction set, and with contraction of multiply and add switched off
// (Backends.cmake) all of them but gemm, depthwise and the norms of weight gradients give the same bits
// everywhere. Maps are float or Bf16 (the T of templates); all else is float32, and so is the arithmetic.
#pragma once

#include <cstdint>
#include <type_traits>

#include "core/backend.h"

namespace gs::cpu {

// Per-channel coefficients of batch norm, or of group norm for one sample:
//   y = act((x - mean) * scale + shift)
struct NormCoefficients {
    const float* mean;
    const float* scale;
    const float* shift;
};

// Gradient arriving at a slab: the sum of `count` terms, each read from its own base at the same offset.
template <class T>
struct GradientTerms {
    const T* const* terms;
    int64_t count;
    int64_t offset;
};

struct ChannelSums {
    float* sum;      // [c], overwritten, or null
    float* nonzero;  // [c], number of values that are not exactly 0, overwritten, or null
};

// Sum over pixels of g * (x - mean), g the masked gradient.
template <class T>
struct CenteredSum {
    const T* x;         // a slab, as y
    const float* mean;  // [c]
    float* g_x;         // [c], overwritten, or null
};

// Sums over pixels of the gradient behind the activation's mask: g, and g * (x - mean).
struct NormBackwardSums {
    float* g;
    float* g_x;
    float* nonzero;  // or null
};

// dx = addend + g_scale[c] * g + x_scale[c] * (x - mean[c]) + shift[c]
struct NormBackwardCoefficients {
    const float* g_scale;
    const float* x_scale;
    const float* shift;
};

struct SgdFactors {
    float learning_rate, momentum, weight_decay;
    bool nesterov;
};

struct PoolWindow {
    int64_t h, w, c;  // input map
    int64_t oh, ow;   // output position (forward) or output size (backward)
    int64_t kernel, stride, pad;
    bool zero_padding;
};

struct DepthwiseShape {
    int64_t h, w, c, oh, ow;  // input and output map
    int64_t kernel_h, kernel_w, stride, pad;
};

enum class RowNorm : uint8_t { Absolute, Square, Largest };

// C (rows x gemm_columns) += or = A * B. A (rows x k): row pitch lda, k_pitch from one k to the next. B (k x
// gemm_columns): b_pitch from one k to the next, 0 meaning gemm_columns.
struct GemmTile {
    const float* a;
    int64_t lda;
    int64_t k_pitch = 1;
    const float* b;
    int64_t b_pitch = 0;
    int64_t k;
    float* c;
    int64_t ldc;
    int64_t rows;     // 1 .. gemm_rows
    int64_t columns;  // of C that exist, 1 .. gemm_columns
    bool accumulate;
    const float* bias;  // [gemm_columns] added after the last k, or null
    Activation activation;
};

// A weight gradient's product at gemm_columns columns of the fan-in: for every output o
//   c[o] (+)= sum_s a[o,s] b[s]
// a: gradients, packed by pack_gradient; b: [positions][gemm_columns], by unfold.
struct GradientPanel {
    const float* a;
    const float* b;
    int64_t positions, outputs;
    float* c;  // outputs `pitch` apart, gemm_columns of each
    int64_t pitch;
    bool accumulate;  // c has the sum over earlier positions
    // Null: the sum is stored to c. Else it is not stored but reduced by `norm` into [outputs][gemm_columns /
    // 2].
    float* lanes;
    RowNorm norm;
};

// Positions [first, first + count) of a convolution's output and columns [column, column + columns) of its
// unfolded input, k = (kh, kw, c), of one sample.
template <class T>
struct UnfoldBlock {
    const T* x;
    int64_t h, w, c, kernel_w, stride, pad, out_w;
    int64_t first, count;
    int64_t column, columns;
};

// gemm_columns neighbours of a Gram matrix of pixels, and 1 or 0 for each: whether it counts. mask null: all
// do.
struct TapRow {
    const float* row;
    const float* mask;
};

// Sweeps over maps of one type.
template <class T>
struct MapKernels {
    void (*affine)(const T* x, int64_t pixels, int64_t c, const float* scale, const float* shift,
                   Activation activation, T* y);
    void (*activate)(const T* x, int64_t count, Activation activation, T* y);
    void (*add)(const T* a, const T* b, int64_t count, Activation activation, T* y);
    // y and addend may be null with activation None; dx may be any of the terms, or null.
    void (*pointwise_backward)(const GradientTerms<T>& dy, int64_t pixels, int64_t c, Activation activation,
                               const T* y, const float* scale, const T* addend, T* dx,
                               const ChannelSums& sums, const CenteredSum<T>& centered);
    // `pitch` is the distance between pixels, in values.
    void (*channel_sums)(const T* x, int64_t pixels, int64_t pitch, int64_t c, const ChannelSums& sums);

    // sum[c] of a + b as it is stored, written to y on the way.
    void (*add_and_sum)(const T* a, const T* b, int64_t pixels, int64_t c, T* y, float* sum);
    // Sums of (x - center) and (x - center)^2.
    void (*centered_moments)(const T* x, int64_t pixels, int64_t c, const float* center, float* first,
                             float* second);
    void (*normalize)(const T* x, int64_t pixels, int64_t c, const NormCoefficients& norm,
                      Activation activation, T* y);
    void (*norm_backward_sums)(const GradientTerms<T>& dy, const T* x, int64_t pixels, int64_t c,
                               const NormCoefficients& norm, Activation activation,
                               const NormBackwardSums& sums);
    void (*norm_backward)(const GradientTerms<T>& dy, const T* x, int64_t pixels, int64_t c,
                          const NormCoefficients& norm, Activation activation,
                          const NormBackwardCoefficients& backward, const T* addend, T* dx);

    // One output pixel; winner may be null.
    void (*max_pool)(const T* x, const PoolWindow& window, T* y, uint8_t* winner);
    // One input pixel (ih, iw) of dx.
    void (*max_pool_backward)(const T* dy, const uint8_t* winner, const PoolWindow& window, int64_t ih,
                              int64_t iw, T* dx);

    // [count][gemm_columns], zeros for padding and right of the last column. Writes up to 2 * gemm_columns
    // floats beyond.
    void (*unfold)(const UnfoldBlock<T>& block, float* panel);
    // dy: `count` positions `pitch` apart, to [outputs / gemm_rows][count][gemm_rows]; no values where the
    // last outputs' rows end.
    void (*pack_gradient)(const T* dy, int64_t pitch, int64_t count, int64_t outputs, float* to);
};

// Those of float32 maps are the table's own.
struct Kernels : MapKernels<float> {
    MapKernels<Bf16> bf16;
    template <class T>
    const MapKernels<T>& maps() const {
        if constexpr (std::is_same_v<T, Bf16>)
            return bf16;
        else
            return *this;
    }

    const char* isa;
    int64_t gemm_rows, gemm_columns;

    void (*widen)(const Bf16* x, int64_t count, float* y);
    void (*narrow)(const float* x, int64_t count, Bf16* y);

    void (*sign_step)(const float* x, const float* g, int64_t pixels, int64_t c, const float* step, float* y);

    void (*gemm_tile)(const GemmTile& tile);
    void (*gradient_panel)(const GradientPanel& panel);
    // Adds each output's lanes, and clears them: totals[o] (+, or the larger) = lanes.
    void (*fold_lanes)(float* lanes, int64_t outputs, RowNorm norm, double* totals);
    // Row of a weight gradient: sums of g and of g * w; then sum of |g - mean - w * slope| to the power 1 or
    // 2, or the largest, by `kind`. w may be null (mean and slope are then 0).
    void (*row_sums)(const float* g, const float* w, int64_t count, double* sum, double* dot);
    double (*row_norm)(const float* g, const float* w, float mean, float slope, int64_t count, RowNorm kind);
    // out = (or +=) scale * (g - mean - w * slope); w as above. out may alias g.
    void (*stored_row)(const float* g, const float* w, float mean, float slope, float scale, int64_t count,
                       Grad mode, float* out);
    // Reads, and counts, up to a whole number of registers: gemm_columns / 2.
    double (*dot)(const float* a, const float* b, int64_t count);
    // to[d][r] = from[r * pitch + d] * scale[d]^2, [depth][gemm_columns], zeros right of `rows`; scale
    // null: 1.
    void (*transpose)(const float* from, int64_t pitch, int64_t rows, int64_t depth, const float* scale,
                      float* to);
    // to[t] = sum over taps of row[t] that count, t = from .. gemm_columns - 1; zeros left of that.
    void (*sum_taps)(const TapRow* taps, int64_t count, int64_t from, float* to);
    // In float64, of float32 values. p[t][o], [gemm_columns][outputs]: sum over `rows` of u[s][t] * d[s][o],
    // u [rows][gemm_columns]; sum of a[i] * b[i]; gram[i][j] += <row i, row j> for j >= i, [count][count],
    // rows `pitch` apart.
    void (*wide_product)(const double* u, int64_t rows, const float* d, int64_t outputs, double* p);
    double (*wide_dot)(const double* a, const float* b, int64_t count);
    void (*wide_gram)(const float* rows, int64_t count, int64_t pitch, int64_t length, double* gram);
    // Sums over a few dozen positions, overwritten: sum[o] of dy[s,o] * box[s], dot[o] of dy[s,o] * y[s,o].
    void (*projection_sums)(const float* dy, const float* y, const float* box, int64_t positions,
                            int64_t outputs, float* sum, float* dot);
    // gemm_columns filters, [tap][filter], to their 36 points, `pitch` apart.
    void (*winograd_filters)(const float* filters, int64_t filter_pitch, float* to, int64_t pitch);
    // One 6x6 patch (36 pixels of c channels, anywhere) to its 36 points, `pitch` apart; back from 36 points
    // to 4x4 outputs, null where there is no such pixel. bias may be null.
    void (*winograd_input)(const float* const* pixels, int64_t c, float* to, int64_t pitch);
    void (*winograd_output)(const float* from, int64_t pitch, int64_t c, const float* bias,
                            Activation activation, float* const* pixels);
    // One row of outputs (oh) of y, one row of inputs (ih) of dx; weights [kernel_h][kernel_w][c].
    void (*depthwise)(const float* x, const float* weights, const float* bias, const DepthwiseShape& shape,
                      int64_t oh, Activation activation, float* y);
    void (*depthwise_backward)(const float* dy, const float* weights, const DepthwiseShape& shape, int64_t ih,
                               float* dx);
    // What one row of outputs (oh) adds to the weight gradient of the first `channels` channels,
    // [kernel_h][kernel_w][channels], overwritten.
    void (*depthwise_weights)(const float* x, const float* dy, const DepthwiseShape& shape, int64_t oh,
                              int64_t channels, float* dw);

    // normalize, with a map added before the activation.
    void (*normalize_add)(const float* x, const float* addend, int64_t pixels, int64_t c,
                          const NormCoefficients& norm, Activation activation, float* y);
    // Elements [first, first + count) of a tensor (core/training.h); `first` is a multiple of 2 *
    // gemm_columns.
    void (*dropout)(const float* x, int64_t count, uint64_t key, int64_t first, uint32_t threshold,
                    float scale, float* y);
    void (*sgd)(float* w, const float* g, float* v, int64_t count, const SgdFactors& factors);
};

// The best the machine offers; GRADSCORE_ISA=baseline|avx2|avx512 asks for less.
const Kernels& best_kernels();
// By name; null where the machine or the build lacks it.
const Kernels* find_kernels(const char* isa);

}  // namespace gs::cpu
