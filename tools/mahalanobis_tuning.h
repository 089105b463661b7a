// The choice of Mahalanobis' step and of the weights of its layers (docs/methods/mahalanobis.md): validation
// images against the same images after an attack on their labels. Source: gradnorm_ood
// tune_mahalanobis_hyperparameter.py.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "data/loader.h"
#include "passes/executor.h"
#include "scores/mahalanobis_layers.h"

namespace gs {

// x + 0.05 sgn(dCE(z, label)/dx), clamped to low and high of each channel; sgn(0) = +1.
class LabelAttack {
  public:
    LabelAttack(Backend& backend, const Net& net, const ExecutorOptions& options, std::array<float, 3> low,
                std::array<float, 3> high);
    // The images of a batch after the step; labels: a class of the net for each.
    std::vector<float> attacked(const Batch& batch, std::span<const int64_t> labels);

  private:
    class TrueLabelLoss;
    std::shared_ptr<TrueLabelLoss> loss_;
    Cotangent cotangent_;
    Executor executor_;
    std::array<float, 3> low_, high_;
};

// The scores of every eta and layer, [eta * layers + layer][image].
std::vector<std::vector<double>> layer_columns(const MahalanobisLayers& layers, const Evidence& evidence,
                                               std::span<const double> etas);

// Layer scores of images: for each eta, rows of one score a layer.
struct LayerScores {
    std::vector<std::vector<double>> by_eta;  // [eta][image * layers + layer]
    void append(std::span<const std::vector<double>> columns, size_t layers);
};

struct TuningResult {
    MahalanobisTuning tuning;
    double fpr95 = 0, c = 0, accuracy = 0;  // of the chosen eta: on the second half; of the cross-validation
    std::vector<double> fpr95_by_eta;
};
// The first half of the images trains a regression of attacked (1) against clean (0) for each eta, the second
// half has its FPR95 (closest); the smallest wins, of equals the first. Both sides hold the same images in
// order. Throws Error(Usage) for fewer than 10 images, Error(Data) for scores that are not finite.
TuningResult tune_mahalanobis(const LayerScores& clean, const LayerScores& attacked, size_t layers,
                              std::span<const double> etas);

}  // namespace gs
