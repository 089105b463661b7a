#include "tools/nac_sweep.h"

#include "metrics/metrics.h"
#include "scores/nac_coverage.h"

namespace gs {
namespace {

std::vector<double> scores_of(const NacCoverage& coverage, const Matrix& products) {
    std::vector<double> scores;
    for (int64_t n = 0; n < products.rows; ++n) scores.push_back(coverage.score(products.row(n)));
    return scores;
}

// Mean over layers of the chosen candidates' scores on one set.
std::vector<double> mean_scores(const std::vector<NacLayerSweep>& layers, const std::vector<size_t>& chosen,
                                size_t set) {
    std::vector<double> mean(layers[0].scores[chosen[0]][set].size(), 0);
    for (size_t l = 0; l < layers.size(); ++l) {
        const std::vector<double>& scores = layers[l].scores[chosen[l]][set];
        for (size_t n = 0; n < mean.size(); ++n) mean[n] += scores[n] / static_cast<double>(layers.size());
    }
    return mean;
}

// The next combination, the last layer's candidates first; false after the last one.
bool advance(std::vector<size_t>& chosen, const std::vector<NacLayerSweep>& layers) {
    for (size_t l = layers.size(); l-- > 0;) {
        if (++chosen[l] < layers[l].candidates.size()) return true;
        chosen[l] = 0;
    }
    return false;
}

}  // namespace

NacLayerSweep sweep_layer(NacVariant variant, const std::string& tap, const NacGrid& grid,
                          const Matrix& build, const std::vector<Matrix>& sets) {
    NacLayerSweep sweep;
    for (const int64_t m : grid.m)
        for (const double alpha : grid.alpha) {
            const NacThresholds thresholds(variant, m);
            NacHistogram histogram(thresholds, alpha, build.cols);
            histogram.add(build.values);
            for (const int64_t o : grid.o) {
                const NacLayer layer{tap, o, m, alpha};
                const NacCoverage coverage(thresholds, layer, histogram.counts());
                sweep.candidates.push_back(layer);
                sweep.scores.emplace_back();
                for (const Matrix& set : sets) sweep.scores.back().push_back(scores_of(coverage, set));
            }
        }
    return sweep;
}

int64_t combinations(const std::vector<NacLayerSweep>& layers) {
    constexpr int64_t kMost = 200'000;
    int64_t count = 1;
    for (const NacLayerSweep& layer : layers) {
        count *= static_cast<int64_t>(layer.candidates.size());
        if (count > kMost)
            throw Error(ErrorKind::Usage,
                        "nac: the grids of the layers make more than " + std::to_string(kMost) +
                            " combinations; give fewer values, such as O=10/50:alpha=1/100");
    }
    return count;
}

NacBest best_combination(const std::vector<NacLayerSweep>& layers,
                         const std::function<void(int64_t)>& tried) {
    combinations(layers);
    NacBest best;
    std::vector<size_t> chosen(layers.size(), 0);
    int64_t count = 0;
    do {
        const std::vector<double> id = mean_scores(layers, chosen, 0);
        std::vector<double> aurocs;
        double mean = 0;
        const size_t sets = layers[0].scores[0].size();
        for (size_t set = 1; set < sets; ++set) {
            aurocs.push_back(detection_metrics(id, mean_scores(layers, chosen, set)).auroc);
            mean += aurocs.back() / static_cast<double>(sets - 1);
        }
        if (mean > best.auroc) {
            best = {.layers = {}, .auroc = mean, .auroc_by_set = aurocs};
            for (size_t l = 0; l < layers.size(); ++l) best.layers.push_back(layers[l].candidates[chosen[l]]);
        }
        tried(++count);
    } while (advance(chosen, layers));
    return best;
}

}  // namespace gs
