#include "metrics/draws.h"

#include <algorithm>
#include <random>

#include "core/error.h"

namespace gs {
namespace {

// Below `bound`, each value with the same chance; std::uniform_int_distribution differs between libraries.
uint64_t below(std::mt19937_64& random, uint64_t bound) {
    const uint64_t unbiased = UINT64_MAX - UINT64_MAX % bound;
    uint64_t value = random();
    while (value >= unbiased) value = random();
    return value % bound;
}

}  // namespace

std::vector<DetectionMetrics> drawn_metrics(std::span<const double> id, std::span<const double> ood,
                                            int64_t count, int64_t images, uint64_t seed) {
    GS_REQUIRE(count >= 0 && images >= 1);
    const size_t drawn = std::min(ood.size(), static_cast<size_t>(images));
    std::mt19937_64 random(seed);
    std::vector<double> scores(ood.begin(), ood.end());
    std::vector<DetectionMetrics> metrics;
    for (int64_t d = 0; d < count; ++d) {
        for (size_t k = 0; k < drawn; ++k)  // the first steps of a Fisher-Yates shuffle
            std::swap(scores[k], scores[k + below(random, scores.size() - k)]);
        metrics.push_back(detection_metrics(id, std::span(scores).first(drawn)));
    }
    return metrics;
}

}  // namespace gs
