// The kernels of one instruction set; contracts in kernels.h.
#pragma once

#include "cpu/kernels/kernels.h"

namespace gs::cpu::GS_ISA {

// Each family puts its kernels into the table of a map type: float, Bf16.
template <class T>
void set_pointwise(MapKernels<T>& table);
template <class T>
void set_norm(MapKernels<T>& table);
template <class T>
void set_pool(MapKernels<T>& table);
template <class T>
void set_unfold(MapKernels<T>& table);

extern const int64_t gemm_rows, gemm_columns;

void widen(const Bf16* x, int64_t count, float* y);
void narrow(const float* x, int64_t count, Bf16* y);
void sign_step(const float* x, const float* g, int64_t pixels, int64_t c, const float* step, float* y);

void gemm_tile(const GemmTile& tile);
void gradient_panel(const GradientPanel& panel);
void fold_lanes(float* lanes, int64_t outputs, RowNorm norm, double* totals);
void row_sums(const float* g, const float* w, int64_t count, double* sum, double* dot);
double dot(const float* a, const float* b, int64_t count);
void transpose(const float* from, int64_t pitch, int64_t rows, int64_t depth, const float* scale, float* to);
void sum_taps(const TapRow* taps, int64_t count, int64_t from, float* to);
void wide_product(const double* u, int64_t rows, const float* d, int64_t outputs, double* p);
double wide_dot(const double* a, const float* b, int64_t count);
void wide_gram(const float* rows, int64_t count, int64_t pitch, int64_t length, double* gram);
void projection_sums(const float* dy, const float* y, const float* box, int64_t positions, int64_t outputs,
                     float* sum, float* dot);
double row_norm(const float* g, const float* w, float mean, float slope, int64_t count, RowNorm kind);
void stored_row(const float* g, const float* w, float mean, float slope, float scale, int64_t count,
                Grad mode, float* out);
void winograd_filters(const float* filters, int64_t filter_pitch, float* to, int64_t pitch);
void winograd_input(const float* const* pixels, int64_t c, float* to, int64_t pitch);
void winograd_output(const float* from, int64_t pitch, int64_t c, const float* bias, Activation activation,
                     float* const* pixels);
void depthwise(const float* x, const float* weights, const float* bias, const DepthwiseShape& shape,
               int64_t oh, Activation activation, float* y);
void depthwise_backward(const float* dy, const float* weights, const DepthwiseShape& shape, int64_t ih,
                        float* dx);
void depthwise_weights(const float* x, const float* dy, const DepthwiseShape& shape, int64_t oh,
                       int64_t channels, float* dw);
void normalize_add(const float* x, const float* addend, int64_t pixels, int64_t c,
                   const NormCoefficients& norm, Activation activation, float* y);
void dropout(const float* x, int64_t count, uint64_t key, int64_t first, uint32_t threshold, float scale,
             float* y);
void sgd(float* w, const float* g, float* v, int64_t count, const SgdFactors& factors);

}  // namespace gs::cpu::GS_ISA
