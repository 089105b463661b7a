// Figures that are more often a mistake than a result, each with its likely cause.
#pragma once

#include <span>
#include <vector>

#include "report/results.h"

namespace gs {

// `results` with its metrics; `sets` as given to summarise().
std::vector<Warning> find_warnings(const Results& results, std::span<const ScoredSet> sets);

}  // namespace gs
