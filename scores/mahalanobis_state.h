// What the fit of Mahalanobis' score keeps (docs/file-formats.md), and its layers. Private to scores/, and to
// the search in tools/ that tunes it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "scores/class_gaussians.h"
#include "scores/class_scatter.h"
#include "scores/fit.h"
#include "scores/options.h"

namespace gs {

// The options that a fit and a score share: form, and layers as taps joined by '+'. Throws Error(Usage) for
// taps that the net does not have, or that are there twice.
struct MahalanobisOptions {
    bool mds = false;
    std::vector<std::string> layers;
};
MahalanobisOptions read_mahalanobis_options(OptionReader& reader, const Net& net);

// The sums of a layer, and back. Throws Error(Data) where arrays do not fit each other.
void put_scatter(FitState& state, const std::string& layer, const ClassScatter& sums);
ClassScatter get_scatter(const FitState& state, const std::string& layer);

// The Gaussians of a layer: from the whitening that is stored, or derived. Throws Error(Usage) where the
// images do not determine them, Error(Data) where arrays do not fit each other.
std::shared_ptr<const ClassGaussians> get_gaussians(const FitState& state, const std::string& layer);
// Derives the whitening of every layer that has none, so that scoring need not.
void put_whitenings(FitState& state);
// The layers that a state was fitted at.
std::vector<std::string> layers_of(const FitState& state);

// What the search found: s = -sigmoid(weight . m + bias) with a step of eta.
struct MahalanobisTuning {
    std::vector<double> weight;  // one a layer
    double bias = 0, eta = 0;
};
void put_tuning(FitState& state, const MahalanobisTuning& tuning);
std::optional<MahalanobisTuning> get_tuning(const FitState& state);

}  // namespace gs
