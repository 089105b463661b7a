// The algorithm of every convolution of a run: chosen at its first call, kept until thousands of others have
// come.
#pragma once

#include <unordered_map>

#include "core/recent.h"
#include "cuda/engine/algorithm.h"
#include "cuda/plans/selector.h"

namespace gs::cuda {

class AlgorithmCache {
  public:
    // Of all passes of a deep net at tens of image sizes.
    static constexpr size_t kMost = 8192;

    AlgorithmCache(Context& context, AlgorithmSource& source, const ChoiceFile::Notice& notice,
                   size_t most = kMost);

    // At a first call candidates run with these operands, and the stream is waited for; never while it is
    // captured.
    Algorithm& algorithm(const ConvProblem& problem, const Operands& operands);

  private:
    std::unique_ptr<Algorithm> choose(const ConvProblem& problem, const Operands& operands);

    Context& context_;
    AlgorithmSource& source_;
    PlanSelector selector_;
    Recent<ConvProblem, std::unique_ptr<Algorithm>, std::unordered_map, ConvProblemHash> chosen_;
};

}  // namespace gs::cuda
