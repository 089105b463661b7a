// Biases and activations of convolutions, where a library's product has them and where it has not.
#pragma once

#include "cuda/engine/algorithm.h"

namespace gs::cuda {

// Libraries add a bias of the maps' type. Bytes of workspace that rounding it may take, a multiple of 256.
size_t bias_workspace(const ConvProblem& problem);

// The bias as such: the caller's, or rounded at the front of the workspace.
const void* bias_of_type(Context& context, const ConvProblem& problem, const Operands& operands,
                         void* workspace);

// `plain` computes the problem without bias and activation; they follow in a sweep of their own.
std::unique_ptr<Algorithm> with_epilogue(Context& context, const ConvProblem& problem,
                                         std::unique_ptr<Algorithm> plain);

}  // namespace gs::cuda
