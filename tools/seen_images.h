// Images that the statistics in use were fitted on, or options searched on: they would be judged too well.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "data/image_set.h"
#include "scores/statistics.h"

namespace gs {

// `digests` of the images at `indices` of the set. Throws Error(Data) naming the first such image and the
// file.
void require_unseen(const StatisticsStore& statistics, const ImageSet& set, std::span<const int64_t> indices,
                    std::span<const std::string> digests);

}  // namespace gs
