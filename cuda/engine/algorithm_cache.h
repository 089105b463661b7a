// The algorithm of every convolution of a run: chosen at its first call, kept.
#pragma once

#include <unordered_map>

#include "cuda/engine/algorithm.h"
#include "cuda/plans/selector.h"

namespace gs::cuda {

class AlgorithmCache {
  public:
    AlgorithmCache(Context& context, AlgorithmSource& source, const ChoiceFile::Notice& notice);

    // At a first call candidates run with these operands, and the stream is waited for; never while it is
    // captured.
    Algorithm& algorithm(const ConvProblem& problem, const Operands& operands);

  private:
    std::unique_ptr<Algorithm> choose(const ConvProblem& problem, const Operands& operands);

    Context& context_;
    AlgorithmSource& source_;
    PlanSelector selector_;
    std::unordered_map<ConvProblem, std::unique_ptr<Algorithm>, ConvProblemHash> chosen_;
};

}  // namespace gs::cuda
