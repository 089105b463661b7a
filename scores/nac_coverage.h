// The coverage of one layer's neurons: how often each was in each bin over the build set, and the score that
// follows (docs/methods/nac.md).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "scores/nac_options.h"
#include "scores/nac_thresholds.h"

namespace gs {

// t[i][b], neuron-major.
class NacHistogram {
  public:
    NacHistogram(const NacThresholds& thresholds, double alpha, int64_t neurons);

    // products: o * g, [samples][neurons].
    void add(std::span<const float> products);
    int64_t neurons() const { return neurons_; }
    std::span<const uint32_t> counts() const { return counts_; }

  private:
    NacThresholds thresholds_;
    double alpha_;
    int64_t neurons_;
    std::vector<uint32_t> counts_;
};

class NacCoverage {
  public:
    // counts: [neurons][bins], integers. Counts above O are as good as O, so that 16 bits hold them.
    template <class Count>
    NacCoverage(NacThresholds thresholds, const NacLayer& layer, std::span<const Count> counts)
        : thresholds_(std::move(thresholds)), alpha_(layer.alpha), o_(layer.o) {
        GS_REQUIRE(counts.size() % static_cast<size_t>(thresholds_.bins()) == 0 && o_ >= 1 &&
                   o_ <= UINT16_MAX);
        capped_.reserve(counts.size());
        for (const Count count : counts)
            capped_.push_back(
                static_cast<uint16_t>(count < static_cast<Count>(o_) ? count : static_cast<Count>(o_)));
    }

    int64_t neurons() const { return static_cast<int64_t>(capped_.size()) / thresholds_.bins(); }
    // min(t, O) at the bin of the neuron's state, 0 outside the bins.
    int64_t covered(int64_t neuron, float state) const {
        const int64_t b = thresholds_.bin(state);
        return b < 0 ? 0 : capped_[static_cast<size_t>(neuron * thresholds_.bins() + b)];
    }
    // Mean over neurons of min(t / O, 1); products: o * g of one sample.
    double score(std::span<const float> products) const;

  private:
    NacThresholds thresholds_;
    double alpha_;
    int64_t o_;
    std::vector<uint16_t> capped_;
};

}  // namespace gs
