#include "tools/mahalanobis_tuning.h"

#include <algorithm>
#include <cmath>

#include "core/finite.h"
#include "metrics/metrics.h"
#include "scores/logistic_regression.h"
#include "scores/softmax.h"

namespace gs {
namespace {

constexpr float kAttackStep = 0.05f;

// Images begin … end - 1 of both sides.
LabelledRows labelled_rows(std::span<const double> clean, std::span<const double> attacked, size_t layers,
                           size_t begin, size_t end) {
    LabelledRows rows{.columns = layers, .values = {}, .labels = {}};
    for (const auto& [side, label] : {std::pair{clean, 0}, {attacked, 1}}) {
        const auto part = side.subspan(begin * layers, (end - begin) * layers);
        rows.values.insert(rows.values.end(), part.begin(), part.end());
        rows.labels.insert(rows.labels.end(), end - begin, label);
    }
    return rows;
}

// FPR95 of s = -sigmoid(decision): clean images are ID.
double fpr95(const LogisticModel& model, const LabelledRows& rows) {
    std::vector<double> id, ood;
    for (size_t n = 0; n < rows.rows(); ++n)
        (rows.labels[n] == 0 ? id : ood).push_back(-1 / (1 + std::exp(-decision(model, rows.row(n)))));
    return detection_metrics(id, ood).fpr95_closest;
}

}  // namespace

class LabelAttack::TrueLabelLoss : public HostLoss {
  public:
    std::string name() const override { return "cross entropy to the label"; }
    std::string tap() const override { return ""; }
    void gradient(int64_t sample, std::span<const float> z, std::span<float> gradient) const override {
        const double lse = log_sum_exp(z);
        for (size_t c = 0; c < z.size(); ++c) gradient[c] = static_cast<float>(std::exp(z[c] - lse));
        gradient[static_cast<size_t>(labels[static_cast<size_t>(sample)])] -= 1;
    }

    std::vector<int64_t> labels;  // of the images of the next run
};

LabelAttack::LabelAttack(Backend& backend, const Net& net, const ExecutorOptions& options,
                         std::array<float, 3> low, std::array<float, 3> high)
    : loss_(std::make_shared<TrueLabelLoss>()),
      cotangent_{.kind = Cotangent::Kind::Host, .loss = loss_},
      executor_(backend, net, {.backwards = {{.cotangent = cotangent_, .input_gradient = true}}}, options),
      low_(low),
      high_(high) {}

std::vector<float> LabelAttack::attacked(const Batch& batch, std::span<const int64_t> labels) {
    GS_REQUIRE(static_cast<int64_t>(labels.size()) == batch.count);
    loss_->labels.assign(labels.begin(), labels.end());
    const auto count = static_cast<size_t>(batch.count * batch.height * batch.width * 3);
    const auto pixels = std::span(batch.pixels).first(count);
    const Evidence evidence = executor_.run(pixels, batch.count, batch.height, batch.width);
    const std::vector<float>& gradient = evidence.input_gradients.at(cotangent_).values;
    std::vector<float> moved(count);
    for (size_t i = 0; i < count; ++i)
        moved[i] = std::clamp(pixels[i] + (gradient[i] >= 0 ? kAttackStep : -kAttackStep), low_[i % 3],
                              high_[i % 3]);
    return moved;
}

std::vector<std::vector<double>> layer_columns(const MahalanobisLayers& layers, const Evidence& evidence,
                                               std::span<const double> etas) {
    std::vector<std::vector<double>> columns;
    for (const double eta : etas)
        for (std::vector<double>& layer : layers.scores(evidence, eta)) columns.push_back(std::move(layer));
    return columns;
}

void LayerScores::append(std::span<const std::vector<double>> columns, size_t layers) {
    by_eta.resize(columns.size() / layers);
    for (size_t e = 0; e < by_eta.size(); ++e)
        for (size_t n = 0; n < columns[e * layers].size(); ++n)
            for (size_t l = 0; l < layers; ++l) by_eta[e].push_back(columns[e * layers + l][n]);
}

TuningResult tune_mahalanobis(const LayerScores& clean, const LayerScores& attacked, size_t layers,
                              std::span<const double> etas) {
    constexpr size_t kAtLeast = 10;  // five folds of each side's half
    const size_t images = clean.by_eta.empty() ? 0 : clean.by_eta[0].size() / layers;
    if (images < kAtLeast)
        throw Error(ErrorKind::Usage, "search of mahalanobis: there are " + std::to_string(images) +
                                          " images, at least " + std::to_string(kAtLeast) + " are needed");
    TuningResult best{.tuning = {}, .fpr95 = INFINITY, .fpr95_by_eta = {}};
    for (size_t e = 0; e < etas.size(); ++e) {
        const auto& id = clean.by_eta[e];
        const auto& ood = attacked.by_eta[e];
        if (!all_finite(id) || !all_finite(ood))
            throw Error(ErrorKind::Data, "search of mahalanobis: layer scores are not finite");
        const CrossValidated fit = fit_logistic_cv(labelled_rows(id, ood, layers, 0, images / 2));
        const double fpr = fpr95(fit.model, labelled_rows(id, ood, layers, images / 2, images));
        best.fpr95_by_eta.push_back(fpr);
        if (!(fpr < best.fpr95)) continue;
        best.tuning = {.weight = fit.model.weight, .bias = fit.model.bias, .eta = etas[e]};
        best.fpr95 = fpr;
        best.c = fit.c;
        best.accuracy = fit.accuracy;
    }
    return best;
}

}  // namespace gs
