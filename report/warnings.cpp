#include "report/warnings.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "report/text.h"

namespace gs {
namespace {

// No better than guessing: within two standard errors of 1/C, or less than a twentieth of the way from 1/C
// to 1.
bool near_chance(double accuracy, int64_t classes, int64_t images) {
    const double chance = 1 / double(classes);
    const double error = std::sqrt(chance * (1 - chance) / double(std::max<int64_t>(images, 1)));
    return accuracy <= chance + std::max(2 * error, 0.05 * (1 - chance));
}

void warn_of_accuracy(const Results& results, std::vector<Warning>& warnings) {
    if (!results.run.classes || *results.run.classes < 2) return;
    for (const SetInfo& set : results.sets)
        if (set.accuracy && near_chance(*set.accuracy, *results.run.classes, set.scored))
            warnings.push_back(
                {"accuracy-near-chance", "", set.name,
                 "accuracy on " + set.name + " is " + percent(*set.accuracy) + " %, near chance for " +
                     grouped(*results.run.classes) +
                     " classes: labels in another order than the net's classes, another preprocessing than "
                     "the net was trained with, or weights of another net"});
}

void warn_of_few_images(const Results& results, std::vector<Warning>& warnings) {
    for (const SetInfo& set : results.sets)
        if (set.scored < 20)
            warnings.push_back({"few-images", "", set.name,
                                "only " + grouped(set.scored) + " scored image" +
                                    (set.scored == 1 ? "" : "s") + " in " + set.name +
                                    ": FPR95 moves in steps larger than 5 %, the figures say little"});
}

void warn_of_constant(const std::string& method, const SetInfo& set, const std::vector<double>& scores,
                      std::vector<Warning>& warnings) {
    if (scores.size() < 2) return;
    if (!std::all_of(scores.begin(), scores.end(), [&](double s) { return s == scores.front(); })) return;
    warnings.push_back({"constant-scores", method, set.name,
                        method + " gives all " + grouped(int64_t(scores.size())) + " images of " + set.name +
                            " the score " + shortest(scores.front()) +
                            ": a saturated softmax, a head of zeros, or the same image many times"});
}

void warn_of_nan(const std::string& method, const SetInfo& set, const std::vector<double>& scores,
                 std::vector<Warning>& warnings) {
    const auto count = std::count_if(scores.begin(), scores.end(), [](double s) { return std::isnan(s); });
    if (count == 0) return;
    warnings.push_back({"nan-scores", method, set.name,
                        method + " is NaN for " + grouped(count) + " of " + grouped(int64_t(scores.size())) +
                            " images of " + set.name +
                            ", left out of its metrics: overflow in the net, or NaN in weights or input"});
}

// Metrics of one method on one OOD set. Every figure of a perfect separation follows from the first.
void warn_of_metrics(const MethodMetrics& m, const std::string& id, std::vector<Warning>& warnings) {
    const auto add = [&](const char* kind, const std::string& message) {
        warnings.push_back({kind, m.method, m.ood, m.method + " on " + m.ood + ": " + message});
    };
    if (m.metrics.id_count == 0 || m.metrics.ood_count == 0)
        add("no-scores", "no metrics, as " + (m.metrics.id_count == 0 ? id : m.ood) + " has no usable score");
    else if (m.metrics.auroc == 1)
        add("auroc-one",
            "AUROC is exactly 100 %: do the sets differ in more than content (image size, file "
            "format, preprocessing)?");
    else if (m.metrics.auroc == 0.5)
        add("auroc-half", "AUROC is exactly 50 %: is it the same set twice, or are all scores equal?");
    else if (m.metrics.fpr95_closest == 0)
        add("fpr-zero", "FPR95 is 0: do the sets differ in more than content, or are they very small?");
}

}  // namespace

std::vector<Warning> find_warnings(const Results& results, std::span<const ScoredSet> sets) {
    std::vector<Warning> warnings;
    warn_of_accuracy(results, warnings);
    warn_of_few_images(results, warnings);
    for (size_t k = 0; k < results.methods.size(); ++k)
        for (const ScoredSet& set : sets) {
            warn_of_constant(results.methods[k].name, set.info, set.scores[k], warnings);
            warn_of_nan(results.methods[k].name, set.info, set.scores[k], warnings);
        }
    for (const MethodMetrics& m : results.metrics) warn_of_metrics(m, results.id_set().name, warnings);
    return warnings;
}

}  // namespace gs
