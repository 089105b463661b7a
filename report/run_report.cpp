#include "report/run_report.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "metrics/rank_correlation.h"
#include "report/text.h"

namespace gs {
namespace {

using Columns = std::vector<std::vector<double>>;  // [method][scored image]

std::vector<HardImage> hardest_images(const ScoreTable& table, size_t method, SetRole role, size_t count) {
    std::vector<size_t> rows;
    for (size_t r = 0; r < table.rows.size(); ++r)
        if (table.rows[r].reason.empty() && !std::isnan(table.rows[r].scores[method])) rows.push_back(r);
    const auto score = [&](size_t row) { return table.rows[row].scores[method]; };
    const auto harder = [&](size_t a, size_t b) {
        if (score(a) != score(b)) return role == SetRole::Id ? score(a) < score(b) : score(a) > score(b);
        return a < b;
    };
    count = std::min(count, rows.size());
    const auto middle = rows.begin() + static_cast<std::ptrdiff_t>(count);
    std::partial_sort(rows.begin(), middle, rows.end(), harder);
    std::vector<HardImage> images;
    for (auto row = rows.begin(); row != middle; ++row) {
        const ScoreRow& r = table.rows[*row];
        images.push_back({*row, r.index, r.path, score(*row), r.label, r.prediction});
    }
    return images;
}

bool same_figure(double a, double b) {
    return (std::isnan(a) && std::isnan(b)) || std::abs(a - b) <= 1e-9;
}

// The figures of results.json are shown; scores that lead to others were changed since.
void compare(const MethodMetrics& stored, const DetectionMetrics& computed, std::vector<std::string>& lines) {
    std::string names;
    for (const MetricField& f : metric_fields())
        if (!same_figure(stored.metrics.*f.value, computed.*f.value))
            names += (names.empty() ? "" : ", ") + std::string(f.name);
    if (!names.empty())
        lines.push_back(stored.method + " on " + stored.ood +
                        ": the score files give other values than results.json of " + names +
                        "; gradscore metrics computes them anew");
}

class Analysis {
  public:
    Analysis(RunReport& report, const std::vector<ScoreTable>& tables, const ReportLimits& limits)
        : report_(report), tables_(tables), limits_(limits) {
        for (const ScoreTable& table : tables) columns_.push_back(table.columns());
    }

    void method(size_t m) {
        MethodReport& out = report_.methods.emplace_back();
        std::vector<std::vector<double>> sorted;
        for (const Columns& columns : columns_) sorted.push_back(sorted_without_nan(columns[m]));
        const std::vector<std::span<const double>> spans(sorted.begin(), sorted.end());
        out.bins = bin_range(spans);
        out.thresholds = threshold_table(sorted, limits_.thresholds);
        for (size_t s = 0; s < sorted.size(); ++s) {
            const SetRole role = report_.results.sets[s].role;
            out.histograms.push_back(histogram(sorted[s], out.bins, limits_.bins));
            out.hardest.push_back(hardest_images(tables_[s], m, role, limits_.hardest));
            out.curves.emplace_back();
            if (role == SetRole::Id) continue;
            if (!sorted[0].empty() && !sorted[s].empty())
                out.curves.back() = reduce_roc(roc_curve(sorted[0], sorted[s]), limits_.curve_points);
            const MethodMetrics* stored =
                report_.results.find(report_.results.methods[m].name, report_.results.sets[s].name);
            GS_REQUIRE(stored != nullptr);
            compare(*stored, detection_metrics(columns_[0][m], columns_[s][m]), report_.differences);
        }
    }

    void agreement() {
        for (const Columns& columns : columns_) report_.agreement.push_back(rank_correlations(columns));
    }

  private:
    RunReport& report_;
    const std::vector<ScoreTable>& tables_;
    const ReportLimits& limits_;
    std::vector<Columns> columns_;  // by set
};

}  // namespace

const Thumbnail* RunReport::find_thumbnail(size_t set, int64_t index) const {
    const auto at = std::find_if(thumbnails.begin(), thumbnails.end(),
                                 [&](const Thumbnail& t) { return t.set == set && t.index == index; });
    return at == thumbnails.end() ? nullptr : &*at;
}

RunReport make_run_report(std::string name, Results results, const std::vector<ScoreTable>& tables,
                          const ReportLimits& limits) {
    GS_REQUIRE(tables.size() == results.sets.size());
    RunReport report;
    report.name = std::move(name);
    report.results = std::move(results);
    report.method_keys.resize(report.results.methods.size());
    report.set_keys.resize(report.results.sets.size());
    std::iota(report.method_keys.begin(), report.method_keys.end(), size_t{0});
    std::iota(report.set_keys.begin(), report.set_keys.end(), size_t{0});
    Analysis analysis(report, tables, limits);
    for (size_t m = 0; m < report.results.methods.size(); ++m) analysis.method(m);
    analysis.agreement();
    return report;
}

}  // namespace gs
