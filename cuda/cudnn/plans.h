// The execution plans of a convolution: what cuDNN's heuristics propose, less what the precision forbids.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cuda/cudnn/operation.h"

namespace gs::cuda {

struct Plan {
    Descriptor descriptor;
    Descriptor config;     // what it was made from stays with it
    std::string name;      // of the engine and its knobs, the same from run to run: "engine 34: 2=3 14=1"
    size_t workspace = 0;  // bytes
};

// Why proposals fell out.
struct PlanCounts {
    int proposed = 0;
    int refused = 0;    // numerical notes that the precision forbids
    int compiled = 0;   // would be compiled at run time, and precompiled ones are there
    int failed = 0;     // cuDNN could not make a plan
    int too_large = 0;  // workspace over the limit
};

// Whether an engine with these notes may compute in that precision. kernels: direct convolution only, so that
// exact zeros stay zeros; in float32 no tensor cores; never narrower types than the precision's.
bool may_compute(Precision precision, bool deterministic,
                 const std::vector<cudnnBackendNumericalNote_t>& notes);

// Best first by cuDNN's heuristics, at most `limit`. Engines that are compiled at run time only where there
// is no other. None: an empty list.
std::vector<Plan> make_plans(const ConvProblem& problem, const OperationGraph& graph,
                             const PlanTarget& target, size_t limit, size_t largest_workspace,
                             PlanCounts* counts = nullptr);

}  // namespace gs::cuda
