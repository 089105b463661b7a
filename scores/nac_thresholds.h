// The state of a neuron and the bins of its values in [0, 1], in both published generations of NAC
// (docs/methods/nac.md; ood_coverage nac/coverage.py Estimator).
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

namespace gs {

// v1: commit 434ee7c, evenly spaced float32 thresholds. v15: the one based on OpenOOD 1.5, logarithmic
// spacing, finest around 1/2.
enum class NacVariant : uint8_t { V1, V15 };

// sigmoid(alpha * o * g) in float32 as the reference forms it: 1 where exp(-alpha o g) is lost beside 1
// (below 2^-24), which lies outside v1's bins.
inline float nac_state(float product, double alpha) {
    return 1 / (1 + std::exp(-static_cast<float>(alpha) * product));
}

class NacThresholds {
  public:
    static constexpr int64_t kMost = 65536;

    // M thresholds: v1 at least 2, v15 at least 4 and even, at most kMost. Throws Error(Usage).
    NacThresholds(NacVariant variant, int64_t m);

    std::span<const double> values() const { return values_; }
    int64_t bins() const { return static_cast<int64_t>(values_.size()) - 1; }
    // b with values[b] <= state < values[b + 1]; -1 where there is none, and for NaN.
    int64_t bin(float state) const {
        if (!(state >= 0 && state < values_.back())) return -1;
        // A cell of a grid over [0, 1] is narrower than any bin; its entry is the bin at its left edge.
        auto b = first_[static_cast<size_t>(state * static_cast<float>(first_.size() - 1))];
        while (values_[b + 1] <= state) ++b;
        return b;
    }

  private:
    std::vector<double> values_;
    std::vector<uint32_t> first_;
};

}  // namespace gs
