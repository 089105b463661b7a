// The arrays that a fit of NAC leaves in its FitState.
#pragma once

#include <string>

#include "scores/nac_options.h"
#include "scores/statistics.h"

namespace gs {

// Their names: a prefix and the tap.
inline constexpr const char* kNacProducts = "product/";  // keep=states: o * g, float32 [images][neurons]
inline constexpr const char* kNacCounts = "count/";      // keep=histogram: float32 [neurons][M - 1]

// An option of the fit, or "".
std::string nac_fit_option(const FitState& state, const std::string& key);

// The array of a layer, [1 or more][1 or more]. `method` is for messages. Throws Error(Usage) where the fit
// was of other layers, Error(Data) where it saw no image.
const Array& nac_array(const FitState& state, const std::string& prefix, const std::string& tap,
                       const std::string& method);

// Histograms serve the variant, M and alpha that they were made with only. `layer` of options.layers.
bool nac_histograms_serve(const FitState& state, const NacOptions& options, size_t layer);

// Of several fits in one file the one that holds the method's layers and no others, or else the only one that
// holds them. Throws as StatisticsStore::find.
const FitState& find_nac_fit(StatisticsStore& statistics, const MethodSpec& spec, const NacOptions& options);

}  // namespace gs
