// 1x1 convolutions of stride 1 are matrix products, straight from NHWC maps. Needs no CUDA.
#pragma once

#include "cuda/plans/problem.h"

namespace gs::cuda {

// c = op(a) op(b) as BLAS counts: column-major, op(a) m x k, op(b) k x n, c m x n.
struct GemmShape {
    enum class Operand : uint8_t { X, W, Y };
    Operand a = Operand::W, b = Operand::X, c = Operand::Y;
    bool transpose_a = false, transpose_b = false;
    int64_t m = 0, n = 0, k = 0;
    int64_t lda = 0, ldb = 0, ldc = 0;
};

// Whether the convolution is one product, and its sizes fit BLAS' 32 bits.
bool is_gemm(const ConvProblem& problem);

// Where nothing else than the product should compute it: in float32, and for weight gradients of bfloat16
// maps.
bool is_gemm_only(const ConvProblem& problem);

// With P = n * h * w pixels, rows of x (P x in), of w (out x in), of y (P x out):
//   forward  y = x w^T       data  dx = dy w       weights  dw = dy^T x
GemmShape gemm_shape(const ConvProblem& problem);

}  // namespace gs::cuda
