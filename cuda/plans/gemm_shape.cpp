#include "cuda/plans/gemm_shape.h"

#include <limits>

namespace gs::cuda {

bool is_gemm(const ConvProblem& problem) {
    const ConvSpec& s = problem.spec;
    const int64_t largest = std::numeric_limits<int32_t>::max();
    return s.kernel_h == 1 && s.kernel_w == 1 && s.stride == 1 && s.pad == 0 && s.groups == 1 &&
           problem.x.n * problem.x.pixels() <= largest && s.in_channels <= largest &&
           s.out_channels <= largest;
}

bool is_gemm_only(const ConvProblem& problem) {
    if (!is_gemm(problem)) return false;
    return problem.precision == Precision::F32 ||
           (problem.direction == Direction::Weights && problem.type == DType::BF16);
}

// A row-major matrix is its own transpose to BLAS, so that c^T = b^T a^T is asked for: operands change
// places.
GemmShape gemm_shape(const ConvProblem& problem) {
    GS_REQUIRE(is_gemm(problem));
    using Operand = GemmShape::Operand;
    const int64_t pixels = problem.x.n * problem.x.pixels();
    const int64_t in = problem.spec.in_channels, out = problem.spec.out_channels;
    switch (problem.direction) {
        case Direction::Forward:
            return {Operand::W, Operand::X, Operand::Y, true, false, out, pixels, in, in, in, out};
        case Direction::Data:
            return {Operand::W, Operand::Y, Operand::X, false, false, in, pixels, out, in, out, in};
        case Direction::Weights:
            break;
    }
    return {Operand::X, Operand::Y, Operand::W, false, true, in, out, pixels, in, out, in};
}

}  // namespace gs::cuda
