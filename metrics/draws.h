// Metrics of protocols that draw OOD images at random (Outlier Exposure, Energy): a mean over draws stands in
// the papers' tables.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "metrics/metrics.h"

namespace gs {

// `count` times: all ID scores against `images` OOD scores drawn without replacement (all of them where there
// are no more). The same seed gives the same draws on every machine.
std::vector<DetectionMetrics> drawn_metrics(std::span<const double> id, std::span<const double> ood,
                                            int64_t count, int64_t images, uint64_t seed);

}  // namespace gs
