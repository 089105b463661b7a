// The templates of KL matching: mean softmax of the images of each class, and the divergence from them.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "passes/evidence.h"
#include "scores/fit.h"

namespace gs {

// softmax(z) rounded to float32, as the published script holds it: small probabilities become exactly 0,
// which the divergence depends on.
std::vector<double> float32_softmax(std::span<const float> z);

// Sums of softmax rows by class, float64, with counts: shards add up to the whole.
class KlmSums {
  public:
    explicit KlmSums(int64_t classes);
    explicit KlmSums(const FitState& state);  // throws Error(Data) where shapes do not agree

    void add(std::span<const float> z, int64_t group);
    void add(const KlmSums& other);  // throws Error(Data) for another number of classes
    FitState state(const std::map<std::string, std::string>& options) const;  // "sums" [C,C], "counts" [C]

    int64_t classes() const { return static_cast<int64_t>(counts_.size()); }
    int64_t count(int64_t group) const { return counts_[static_cast<size_t>(group)]; }
    std::span<const double> sum(int64_t group) const;

  private:
    std::vector<double> sums_;
    std::vector<int64_t> counts_;
};

// q_c of the classes that have images; with by=predicted, those that were never predicted are one-hot
// (OpenOOD).
class KlmTemplates {
  public:
    // Throws Error(Data) where the state is not of `classes` classes, or of no images.
    KlmTemplates(const FitState& state, int64_t classes);

    // out[n] = -min_c sum_j p_j log(p_j / q_cj) over p_j > 0; a class with q_cj = 0 < p_j drops out; -inf
    // where all do. NaN where a logit is.
    void score(const Matrix& logits, std::span<double> out) const;

  private:
    struct Template {
        std::vector<double> q, log_q;  // log_q 0 where q is
        std::vector<int32_t> zeros;    // where q is 0
    };
    std::vector<Template> templates_;
};

}  // namespace gs
