// How many images of each set a threshold accepts, for thresholds across the whole range of a method's
// scores.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace gs {

struct ThresholdTable {
    std::vector<double> thresholds;              // ascending, finite, each a score of a set
    std::vector<std::vector<int64_t>> accepted;  // [set][threshold]: scores >= threshold
    std::vector<int64_t> scores;                 // of each set, without NaN
    std::vector<double> below;                   // of each threshold: the greatest lower score, or -inf
    size_t at_95 = 0;                            // threshold_at_tpr(ID, 0.95), or the nearest below it
    // Whether that accepts 95 % of the ID set. Where more than 5 % of its scores are -inf no finite threshold
    // does, and at_95 is the least one.
    bool reaches_95 = false;
};

// `sets` ascend and hold no NaN, the ID set first. The thresholds are quantiles of the sets: about `most`,
// half of them of the ID set, and the one that accepts 95 % of it. Empty where the ID set has no scores.
ThresholdTable threshold_table(std::span<const std::vector<double>> sets, size_t most);

}  // namespace gs
