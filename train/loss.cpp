#include "train/loss.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "core/softmax.h"

namespace gs::train {
namespace {

using Logits = std::span<const float>;
using Gradient = std::span<double>;

// Log-sum-exp and the probabilities of one row or slice, the largest logit's 1 added up with the others as in
// PyTorch.
struct Softmax {
    double lse = 0;

    explicit Softmax(Logits z) {
        const double top = max_logit(z);
        double sum = 0;
        for (const float v : z) sum += std::exp(static_cast<double>(v) - top);
        lse = top + std::log(sum);
    }
    double log_p(float z) const { return static_cast<double>(z) - lse; }
    double p(float z) const { return std::exp(log_p(z)); }
};

// A class with its share of an image's target.
struct Target {
    int64_t label;
    double share;
};
using Targets = std::span<const Target>;

// Every function below returns one image's loss and adds `weight` times its gradient.

double cross_entropy(Logits z, Targets targets, double smoothing, double weight, Gradient out) {
    const Softmax softmax(z);
    const double even = smoothing / static_cast<double>(z.size());
    double loss = 0;
    for (size_t c = 0; c < z.size(); ++c) {
        if (even > 0) loss -= even * softmax.log_p(z[c]);
        out[c] += weight * (softmax.p(z[c]) - even);
    }
    for (const Target& t : targets) {
        const auto c = static_cast<size_t>(t.label);
        loss -= (1 - smoothing) * t.share * softmax.log_p(z[c]);
        out[c] -= weight * (1 - smoothing) * t.share;
    }
    return loss;
}

double binary_cross_entropy(Logits z, Targets targets, double weight, Gradient out) {
    double loss = 0;
    for (size_t c = 0; c < z.size(); ++c) {
        loss += softplus(z[c]);
        out[c] += weight * sigmoid(z[c]);
    }
    for (const Target& t : targets) {
        const auto c = static_cast<size_t>(t.label);
        loss -= t.share * static_cast<double>(z[c]);
        out[c] -= weight * t.share;
    }
    return loss;
}

// Slices of the groups: "others" and the group's classes (docs/methods/mos.md). The target of a group without
// the image's class is "others".
double group_softmax(Logits z, Targets targets, std::span<const int64_t> groups, double weight,
                     Gradient out) {
    double loss = 0;
    size_t start = 0;
    int64_t first_class = 0;
    for (const int64_t classes : groups) {
        const auto width = static_cast<size_t>(classes) + 1;
        std::vector<Target> inside;
        for (const Target& t : targets) {
            const bool here = t.label >= first_class && t.label < first_class + classes;
            inside.push_back({here ? t.label - first_class + 1 : 0, t.share});
        }
        loss += cross_entropy(z.subspan(start, width), inside, 0, weight, out.subspan(start, width));
        start += width;
        first_class += classes;
    }
    return loss;
}

// relu(sign * (E - margin))^2 with E = -lse: sign +1 pushes the energy down, -1 up.
double energy_hinge(Logits z, double sign, double margin, double weight, Gradient out) {
    const Softmax softmax(z);
    const double over = std::max(sign * (-softmax.lse - margin), 0.0);
    for (size_t c = 0; c < z.size(); ++c) out[c] -= weight * 2 * sign * over * softmax.p(z[c]);
    return over * over;
}

class Rows {
  public:
    Rows(const Recipe& recipe, const LossBatch& batch)
        : recipe_(recipe), batch_(batch), width_(static_cast<size_t>(logit_count(recipe))), row_(width_) {}

    LossResult run(std::span<float> gradient) {
        LossResult result;
        const size_t labelled = batch_.labels.size(), rows = batch_.logits.size() / width_;
        GS_REQUIRE(batch_.logits.size() == rows * width_ && gradient.size() == batch_.logits.size());
        GS_REQUIRE(rows >= labelled && (rows == labelled || recipe_.loss == Loss::EnergyMargins));
        for (size_t i = 0; i < rows; ++i) {
            const Logits z = batch_.logits.subspan(i * width_, width_);
            std::fill(row_.begin(), row_.end(), 0.0);
            if (i < labelled) {
                result.loss += labelled_image(z, i);
                result.correct += prediction(z) == batch_.labels[i] ? 1 : 0;
            } else {
                const double weight = recipe_.energy_weight / static_cast<double>(batch_.auxiliary);
                result.loss += weight * energy_hinge(z, -1, recipe_.margin_out, weight, row_);
            }
            for (size_t c = 0; c < width_; ++c) gradient[i * width_ + c] = static_cast<float>(row_[c]);
        }
        return result;
    }

  private:
    const Recipe& recipe_;
    const LossBatch& batch_;
    size_t width_;
    std::vector<double> row_;

    int64_t prediction(Logits z) const {
        return recipe_.loss == Loss::GroupSoftmax ? argmax_of_groups(z, recipe_.groups) : argmax(z);
    }

    double labelled_image(Logits z, size_t i) {
        const double weight = 1 / static_cast<double>(batch_.labelled);
        const bool mixed = !batch_.other_labels.empty();
        const Target both[] = {{batch_.labels[i], mixed ? batch_.lambda : 1},
                               {mixed ? batch_.other_labels[i] : 0, 1 - batch_.lambda}};
        const Targets targets(both, mixed ? 2 : 1);
        for (const Target& t : targets) GS_REQUIRE(t.label >= 0 && t.label < recipe_.classes);
        switch (recipe_.loss) {
            case Loss::CrossEntropy:
                return weight * cross_entropy(z, targets, recipe_.label_smoothing, weight, row_);
            case Loss::GroupSoftmax:
                return weight * group_softmax(z, targets, recipe_.groups, weight, row_);
            case Loss::BinaryCrossEntropy: {
                const double each = weight / static_cast<double>(z.size());
                return each * binary_cross_entropy(z, targets, each, row_);
            }
            case Loss::EnergyMargins:
                break;
        }
        const double hinge = recipe_.energy_weight * weight;
        return weight * cross_entropy(z, targets, 0, weight, row_) +
               hinge * energy_hinge(z, 1, recipe_.margin_in, hinge, row_);
    }
};

}  // namespace

LossResult loss_gradient(const Recipe& recipe, const LossBatch& batch, std::span<float> gradient) {
    return Rows(recipe, batch).run(gradient);
}

LossResult evaluation_loss(const Recipe& recipe, std::span<const float> logits,
                           std::span<const int64_t> labels) {
    Recipe plain = recipe;
    plain.label_smoothing = 0;
    if (plain.loss == Loss::EnergyMargins) plain.loss = Loss::CrossEntropy;
    std::vector<float> unused(logits.size());
    const auto images = static_cast<int64_t>(labels.size());
    LossBatch batch;
    batch.logits = logits;
    batch.labels = labels;
    batch.labelled = images;
    return loss_gradient(plain, batch, unused);
}

}  // namespace gs::train
