// The kernels of one instruction set; contracts in kernels.h.
#pragma once

#include "cpu/kernels/kernels.h"

namespace gs::cpu::GS_ISA {

extern const int64_t gemm_rows, gemm_columns;

void affine(const float* x, int64_t pixels, int64_t c, const float* scale, const float* shift,
            Activation activation, float* y);
void activate(const float* x, int64_t count, Activation activation, float* y);
void add(const float* a, const float* b, int64_t count, Activation activation, float* y);
void sign_step(const float* x, const float* g, int64_t pixels, int64_t c, const float* step, float* y);
void pointwise_backward(const GradientTerms& dy, int64_t pixels, int64_t c, Activation activation,
                        const float* y, const float* scale, const float* addend, float* dx,
                        const ChannelSums& sums, const CenteredSum& centered);
void channel_sums(const float* x, int64_t pixels, int64_t pitch, int64_t c, const ChannelSums& sums);

void add_and_sum(const float* a, const float* b, int64_t pixels, int64_t c, float* y, float* sum);
void centered_moments(const float* x, int64_t pixels, int64_t c, const float* center, float* first,
                      float* second);
void normalize(const float* x, int64_t pixels, int64_t c, const NormCoefficients& norm, Activation activation,
               float* y);
void norm_backward_sums(const GradientTerms& dy, const float* x, int64_t pixels, int64_t c,
                        const NormCoefficients& norm, Activation activation, const NormBackwardSums& sums);
void norm_backward(const GradientTerms& dy, const float* x, int64_t pixels, int64_t c,
                   const NormCoefficients& norm, Activation activation,
                   const NormBackwardCoefficients& backward, const float* addend, float* dx);

void max_pool(const float* x, const PoolWindow& window, float* y, uint8_t* winner);
void max_pool_backward(const float* dy, const uint8_t* winner, const PoolWindow& window, int64_t ih,
                       int64_t iw, float* dx);

void gemm_tile(const GemmTile& tile);
void gradient_panel(const GradientPanel& panel);
void fold_lanes(float* lanes, int64_t outputs, RowNorm norm, double* totals);
void unfold(const UnfoldBlock& block, float* panel);
void pack_gradient(const float* dy, int64_t pitch, int64_t count, int64_t outputs, float* to);
void row_sums(const float* g, const float* w, int64_t count, double* sum, double* dot);
double dot(const float* a, const float* b, int64_t count);
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
