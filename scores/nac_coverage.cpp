#include "scores/nac_coverage.h"

namespace gs {

NacHistogram::NacHistogram(const NacThresholds& thresholds, double alpha, int64_t neurons)
    : thresholds_(thresholds),
      alpha_(alpha),
      neurons_(neurons),
      counts_(static_cast<size_t>(neurons * thresholds.bins()), 0) {}

void NacHistogram::add(std::span<const float> products) {
    GS_REQUIRE(products.size() % static_cast<size_t>(neurons_) == 0);
    const int64_t bins = thresholds_.bins();
    int64_t neuron = 0;
    for (const float product : products) {
        const int64_t b = thresholds_.bin(nac_state(product, alpha_));
        if (b >= 0) ++counts_[static_cast<size_t>(neuron * bins + b)];
        neuron = neuron + 1 == neurons_ ? 0 : neuron + 1;
    }
}

double NacCoverage::score(std::span<const float> products) const {
    GS_REQUIRE(static_cast<int64_t>(products.size()) == neurons());
    int64_t sum = 0, neuron = 0;
    for (const float product : products) sum += covered(neuron++, nac_state(product, alpha_));
    return static_cast<double>(sum) / (static_cast<double>(o_) * static_cast<double>(products.size()));
}

}  // namespace gs
