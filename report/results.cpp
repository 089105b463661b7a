#include "report/results.h"

#include <algorithm>
#include <array>
#include <set>

#include "core/error.h"
#include "report/warnings.h"

namespace gs {

std::string_view to_string(SetRole role) {
    return role == SetRole::Id ? "id" : "ood";
}

void SetInfo::count_labels(int64_t images, int64_t predicted_right) {
    labelled = images > 0;
    labelled_images = images;
    correct = predicted_right;
    accuracy.reset();
    if (labelled) accuracy = static_cast<double>(correct) / static_cast<double>(images);
}

std::span<const MetricField> metric_fields() {
    using M = DetectionMetrics;
    static constexpr std::array<MetricField, 13> kFields{{
        {"auroc", &M::auroc},
        {"aupr_in", &M::aupr_in},
        {"aupr_out", &M::aupr_out},
        {"dterr", &M::dterr},
        {"fpr95_closest", &M::fpr95_closest},
        {"fpr95_first", &M::fpr95_first},
        {"fpr95_threshold", &M::fpr95_threshold},
        {"fpr95_ood_positive", &M::fpr95_ood_positive},
        {"fpr95_ood_positive_closest", &M::fpr95_ood_positive_closest},
        {"aupr_in_trapezoid", &M::aupr_in_trapezoid},
        {"aupr_out_trapezoid", &M::aupr_out_trapezoid},
        {"aupr_in_openood", &M::aupr_in_openood},
        {"aupr_out_openood", &M::aupr_out_openood},
    }};
    return kFields;
}

bool Results::complete() const {
    return !run.shard && run.stopped.empty() && std::all_of(sets.begin(), sets.end(), [](const SetInfo& set) {
        return set.total == set.scored + set.excluded;
    });
}

const SetInfo& Results::id_set() const {
    const auto at =
        std::find_if(sets.begin(), sets.end(), [](const SetInfo& s) { return s.role == SetRole::Id; });
    GS_REQUIRE(at != sets.end());
    return *at;
}

const MethodMetrics* Results::find(std::string_view method, std::string_view ood) const {
    const auto at = std::find_if(metrics.begin(), metrics.end(),
                                 [&](const MethodMetrics& m) { return m.method == method && m.ood == ood; });
    return at == metrics.end() ? nullptr : &*at;
}

const MethodMetrics* Results::find_average(std::string_view method) const {
    const auto at = std::find_if(averages.begin(), averages.end(),
                                 [&](const MethodMetrics& m) { return m.method == method; });
    return at == averages.end() ? nullptr : &*at;
}

namespace {

// Names are keys of the tables and of the JSON objects.
void require_unique_names(const std::vector<MethodInfo>& methods, std::span<const ScoredSet> sets) {
    std::set<std::string_view> seen;
    for (const MethodInfo& m : methods)
        if (!seen.insert(m.name).second)
            throw Error(ErrorKind::Usage, "method '" + m.name + "' is named twice; name it once");
    seen.clear();
    for (const ScoredSet& s : sets)
        if (!seen.insert(s.info.name).second)
            throw Error(ErrorKind::Usage,
                        "two sets are named '" + s.info.name + "'; give each its own name: NAME=KIND:PATH");
}

const ScoredSet& only_id_set(std::span<const ScoredSet> sets) {
    const auto is_id = [](const ScoredSet& s) { return s.info.role == SetRole::Id; };
    const auto count = std::count_if(sets.begin(), sets.end(), is_id);
    if (count != 1)
        throw Error(ErrorKind::Usage, "one in-distribution set is needed, not " + std::to_string(count));
    return *std::find_if(sets.begin(), sets.end(), is_id);
}

MethodMetrics average(const std::string& method, std::span<const MethodMetrics> of_sets) {
    MethodMetrics mean{method, "", {}};
    for (const MethodMetrics& m : of_sets) {
        mean.metrics.id_count += m.metrics.id_count;
        mean.metrics.ood_count += m.metrics.ood_count;
        mean.metrics.id_excluded += m.metrics.id_excluded;
        mean.metrics.ood_excluded += m.metrics.ood_excluded;
        for (const MetricField& f : metric_fields()) mean.metrics.*f.value += m.metrics.*f.value;
    }
    for (const MetricField& f : metric_fields()) mean.metrics.*f.value /= double(of_sets.size());
    return mean;
}

}  // namespace

Results summarise(RunInfo run, std::vector<MethodInfo> methods, std::span<const ScoredSet> sets) {
    require_unique_names(methods, sets);
    const ScoredSet& id = only_id_set(sets);
    for (const ScoredSet& s : sets) GS_REQUIRE(s.scores.size() == methods.size());
    Results results{std::move(run), {id.info}, std::move(methods), {}, {}, {}};
    for (const ScoredSet& s : sets)
        if (s.info.role == SetRole::Ood) results.sets.push_back(s.info);
    for (size_t m = 0; m < results.methods.size(); ++m) {
        const std::string& method = results.methods[m].name;
        const size_t first = results.metrics.size();
        for (const ScoredSet& s : sets)
            if (s.info.role == SetRole::Ood)
                results.metrics.push_back(
                    {method, s.info.name, detection_metrics(id.scores[m], s.scores[m])});
        if (results.metrics.size() > first)
            results.averages.push_back(average(method, std::span(results.metrics).subspan(first)));
    }
    results.warnings = find_warnings(results, sets);
    return results;
}

}  // namespace gs
