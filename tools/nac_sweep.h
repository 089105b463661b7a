// NAC's constants by trial: every combination of every layer's grid, on products o * g that are computed
// once (Liu et al. 2024, "automatic parameter search"; docs/methods/nac.md).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "passes/evidence.h"
#include "scores/nac_published.h"

namespace gs {

// The scores that one layer's constants give, for every combination of them.
struct NacLayerSweep {
    std::vector<NacLayer> candidates;
    std::vector<std::vector<std::vector<double>>> scores;  // [candidate][set][image]
};

// build: float32 [images][neurons] of the fit; sets: one matrix [images][neurons] a set.
NacLayerSweep sweep_layer(NacVariant variant, const std::string& tap, const NacGrid& grid,
                          const Matrix& build, const std::vector<Matrix>& sets);

struct NacBest {
    std::vector<NacLayer> layers;
    double auroc = -1;                 // mean over the OOD sets
    std::vector<double> auroc_by_set;  // of the OOD sets
};

// The combination, one candidate a layer, with the largest mean AUROC of set 0 (ID) against the others; the
// first of equals. `tried` is called with the count so far. Throws Error(Usage) where there are more than
// 200,000.
NacBest best_combination(const std::vector<NacLayerSweep>& layers, const std::function<void(int64_t)>& tried);
int64_t combinations(const std::vector<NacLayerSweep>& layers);

}  // namespace gs
