#include "report/warnings.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/numbers.h"
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
        if (set.accuracy && near_chance(*set.accuracy, *results.run.classes, set.labelled_images))
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
                                "only " + counted(set.scored, "scored image") + " in " + set.name +
                                    ": FPR95 moves in steps larger than 5 %, the figures say little"});
}

// A few broken files are usual; many are a wrong folder, a broken download or a limit that is too low.
void warn_of_excluded(const Results& results, std::vector<Warning>& warnings) {
    for (const SetInfo& set : results.sets) {
        if (set.excluded == 0 || set.excluded * 10 < set.total) continue;
        std::string message = grouped(set.excluded) + " of " + grouped(set.total) + " images of " + set.name +
                              " could not be used: a damaged or incomplete download, or a limit too low; the "
                              "figures are of the rest";
        if (!set.failures.empty()) message += "; the first reason: " + set.failures.front().reason;
        warnings.push_back({"many-excluded", "", set.name, message});
    }
}

// By the images' bytes; in results of versions that did not count them, by what was named.
void warn_of_shared_images(const Results& results, std::vector<Warning>& warnings) {
    const SetInfo& id = results.id_set();
    for (const SetInfo& set : results.sets) {
        if (set.role == SetRole::Id) continue;
        const auto add = [&](const std::string& message) {
            warnings.push_back({"same-images", "", set.name, message});
        };
        if (set.shared_with_id.value_or(0) > 0)
            add(grouped(*set.shared_with_id) + " of the " + grouped(set.scored) + " images of " + set.name +
                " are images of the ID set " + id.name +
                ", byte for byte: the same folder given twice, or lists that overlap");
        else if (!set.shared_with_id && !set.digest.empty() && set.digest == id.digest)
            add(set.name + " holds the very images of the ID set " + id.name + ": the same set given twice");
        else if (!set.shared_with_id && set.description == id.description)
            add(set.name + " and the ID set " + id.name + " are read from the same place, " + id.description);
    }
}

double side(const ImageSizes::Size& size) {
    return std::sqrt(double(size.width) * double(size.height));
}

std::string to_text(const ImageSizes::Size& size) {
    return std::to_string(size.width) + "x" + std::to_string(size.height);
}

// Four times in width and height: then resizing leaves traces (blur, blocks) that tell the sets apart.
void warn_of_sizes(const Results& results, std::vector<Warning>& warnings) {
    const SetInfo& id = results.id_set();
    for (const SetInfo& set : results.sets) {
        if (set.role == SetRole::Id || !id.image_sizes || !set.image_sizes) continue;
        const auto &own = set.image_sizes->median, &other = id.image_sizes->median;
        if (std::max(side(own), side(other)) < 4 * std::min(side(own), side(other))) continue;
        warnings.push_back({"image-sizes", "", set.name,
                            "images of " + set.name + " are about " + to_text(own) +
                                ", those of the ID set " + id.name + " about " + to_text(other) +
                                ": resizing leaves traces by which scores may tell the sets apart, whatever "
                                "they show"});
    }
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

// Standard error of an AUROC of two samples from one distribution (Mann-Whitney's U without ties).
double auroc_error(int64_t id, int64_t ood) {
    const double n = double(id), m = double(ood);
    return std::sqrt((n + m + 1) / (12 * n * m));
}

bool has(const std::vector<Warning>& warnings, std::string_view kind, std::string_view method,
         std::string_view set) {
    return std::any_of(warnings.begin(), warnings.end(), [&](const Warning& w) {
        return w.kind == kind && w.method == method && w.set == set;
    });
}

// Metrics of one method on one OOD set. Every figure of a perfect separation follows from the first.
// `explained`: another warning tells why an AUROC would be low.
void warn_of_metrics(const MethodMetrics& m, const std::string& id, bool explained,
                     std::vector<Warning>& warnings) {
    const auto add = [&](const char* kind, const std::string& message) {
        warnings.push_back({kind, m.method, m.ood, m.method + " on " + m.ood + ": " + message});
    };
    const DetectionMetrics& figures = m.metrics;
    if (figures.id_count == 0 || figures.ood_count == 0) {
        add("no-scores", "no metrics, as " + (figures.id_count == 0 ? id : m.ood) + " has no usable score");
        return;
    }
    const double error = auroc_error(figures.id_count, figures.ood_count);
    if (figures.auroc == 1)
        add("auroc-one",
            "AUROC is exactly 100 %: do the sets differ in more than content (image size, file format, "
            "preprocessing), or was the method fitted on these very images?");
    else if (figures.auroc == 0.5)
        add("auroc-half", "AUROC is exactly 50 %: is it the same set twice, or are all scores equal?");
    else if (figures.auroc < 0.5 - 3 * error && !explained)
        add("auroc-below-half", "AUROC is " + percent(figures.auroc) +
                                    " %, worse than chance: ID and OOD set the wrong way round, another "
                                    "preprocessing than the net's, or a method that fails on this net");
    else if (figures.fpr95_closest == 0)
        add("fpr-zero", "FPR95 is 0: do the sets differ in more than content, or are they very small?");
}

}  // namespace

std::vector<Warning> find_warnings(const Results& results, std::span<const ScoredSet> sets) {
    std::vector<Warning> warnings;
    warn_of_accuracy(results, warnings);
    warn_of_few_images(results, warnings);
    warn_of_excluded(results, warnings);
    warn_of_shared_images(results, warnings);
    warn_of_sizes(results, warnings);
    for (size_t k = 0; k < results.methods.size(); ++k)
        for (const ScoredSet& set : sets) {
            warn_of_constant(results.methods[k].name, set.info, set.scores[k], warnings);
            warn_of_nan(results.methods[k].name, set.info, set.scores[k], warnings);
        }
    const std::string& id = results.id_set().name;
    for (const MethodMetrics& m : results.metrics) {
        const bool explained = has(warnings, "constant-scores", m.method, id) ||
                               has(warnings, "constant-scores", m.method, m.ood);
        warn_of_metrics(m, id, explained, warnings);
    }
    return warnings;
}

}  // namespace gs
