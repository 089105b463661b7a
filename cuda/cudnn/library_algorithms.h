// cuDNN's and cuBLAS' ways to compute a convolution.
#pragma once

#include "cuda/cudnn/libraries.h"
#include "cuda/engine/algorithm.h"

namespace gs::cuda {

// Matrix products, of a problem that is_gemm (gemm.cpp).
Algorithms make_gemms(Context& context, Libraries& libraries, const ConvProblem& problem);

// cuDNN's plans, at most `limit` (convolution_plan.cpp); with a ReLU only where there is a bias.
Algorithms make_convolution_plans(Context& context, Libraries& libraries, const ConvProblem& problem,
                                  size_t limit);

}  // namespace gs::cuda
