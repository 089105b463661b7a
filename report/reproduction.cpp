#include "report/reproduction.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace gs {
namespace {

constexpr double kPercent = 100;

// Mean and sample standard deviation.
void set_draws(ComparedFigure& figure, const SetFigures& computed, double DetectionMetrics::*value) {
    const auto n = static_cast<double>(computed.draws.size());
    double mean = 0, squares = 0;
    for (const DetectionMetrics& m : computed.draws) mean += kPercent * (m.*value) / n;
    for (const DetectionMetrics& m : computed.draws) squares += std::pow(kPercent * (m.*value) - mean, 2);
    figure.all = figure.ours;
    figure.ours = mean;
    if (n > 1) figure.spread = std::sqrt(squares / (n - 1));
}

std::vector<ComparedFigure> of_set(const PaperTable& table, const SetFigures* computed) {
    std::vector<ComparedFigure> figures(table.columns.size());
    if (computed == nullptr) return figures;
    for (size_t c = 0; c < figures.size(); ++c) {
        const auto value = table.columns[c].value;
        figures[c].ours = kPercent * (computed->all.*value);
        if (!computed->draws.empty()) set_draws(figures[c], *computed, value);
    }
    return figures;
}

std::optional<double> mean_of(const std::vector<const ComparedFigure*>& parts,
                              std::optional<double> ComparedFigure::*value) {
    double sum = 0;
    for (const ComparedFigure* part : parts) {
        if (!(part->*value)) return std::nullopt;
        sum += *(part->*value);
    }
    return sum / static_cast<double>(parts.size());
}

std::vector<ComparedFigure> of_group(const ComparedRow& row, const TableGroup& group, size_t columns) {
    std::vector<ComparedFigure> figures(columns);
    for (size_t c = 0; c < columns; ++c) {
        std::vector<const ComparedFigure*> parts;
        for (const std::string& set : group.sets) {
            const auto at = std::find(row.places.begin(), row.places.end(), set);
            GS_REQUIRE(at != row.places.end());
            parts.push_back(&row.figures[static_cast<size_t>(at - row.places.begin())][c]);
        }
        figures[c].ours = mean_of(parts, &ComparedFigure::ours);
        figures[c].all = mean_of(parts, &ComparedFigure::all);
    }
    return figures;
}

// Why the figures of a place do not count; of a group: the first reason among its sets.
std::string objection(const RowRun& run, const TableCheckpoint& checkpoint, const std::string& place) {
    const TableGroup* group = checkpoint.group(place);
    for (const std::string& set : group != nullptr ? group->sets : std::vector<std::string>{place}) {
        const auto at = run.sets.find(set);
        if (at != run.sets.end() && !at->second.not_comparable.empty()) return at->second.not_comparable;
    }
    return "";
}

void judge(ComparedRow& row, const RowRun& run, bool limited) {
    for (size_t p = 0; p < row.places.size(); ++p) {
        const std::string why = objection(run, *row.checkpoint, row.places[p]);
        bool objected = false;
        for (size_t c = 0; c < row.figures[p].size(); ++c) {
            ComparedFigure& figure = row.figures[p][c];
            figure.printed = row.row->printed(row.places[p], c);
            const auto difference = figure.difference();
            if (!difference) continue;
            if (limited || !why.empty()) {
                figure.verdict = Verdict::NotComparable;
                objected = !why.empty();
            } else {
                const bool within = std::abs(*difference) <= figure.printed->tolerance;
                figure.verdict = within ? Verdict::Within : Verdict::Out;
            }
        }
        auto& reasons = row.why_not_comparable;
        if (objected && std::find(reasons.begin(), reasons.end(), why) == reasons.end())
            reasons.push_back(why);
    }
}

ComparedRow compare_row(const PaperTable& table, const TableRow& row, const RowRun& run, bool limited) {
    ComparedRow compared;
    compared.row = &row;
    compared.checkpoint = table.checkpoint(row.checkpoint);
    compared.not_run = run.not_run;
    for (const std::string& set : compared.checkpoint->ood) {
        const auto at = run.sets.find(set);
        compared.places.push_back(set);
        compared.figures.push_back(of_set(table, at == run.sets.end() ? nullptr : &at->second));
    }
    for (const TableGroup& group : compared.checkpoint->groups) {
        auto figures = of_group(compared, group, table.columns.size());
        compared.places.push_back(group.name);
        compared.figures.push_back(std::move(figures));
    }
    judge(compared, run, limited);
    return compared;
}

}  // namespace

std::string_view to_string(Verdict verdict) {
    switch (verdict) {
        case Verdict::Within:
            return "within";
        case Verdict::Out:
            return "out";
        case Verdict::NotComparable:
            return "not-comparable";
        case Verdict::NotCompared:
            break;
    }
    return "not-compared";
}

std::optional<double> ComparedFigure::difference() const {
    if (!ours || printed == nullptr) return std::nullopt;
    return *ours - printed->value;
}

int64_t Reproduction::count(Verdict verdict) const {
    int64_t count = 0;
    for (const ComparedRow& row : rows)
        for (const auto& place : row.figures)
            count += std::count_if(place.begin(), place.end(),
                                   [&](const ComparedFigure& f) { return f.verdict == verdict; });
    return count;
}

bool Reproduction::complete() const {
    for (const ComparedRow& row : rows) {
        if (!row.row->reference.empty()) continue;
        if (!row.not_run.empty()) return false;
        for (const auto& place : row.figures)
            for (const ComparedFigure& f : place)
                if (!f.ours || f.verdict == Verdict::NotComparable) return false;
    }
    return true;
}

Reproduction compare(const PaperTable& table, const std::vector<RowRun>& runs, std::optional<int64_t> limit) {
    GS_REQUIRE(runs.size() == table.rows.size());
    Reproduction reproduction;
    reproduction.table = &table;
    reproduction.limit = limit;
    for (size_t r = 0; r < runs.size(); ++r)
        if (runs[r].asked)
            reproduction.rows.push_back(compare_row(table, table.rows[r], runs[r], limit.has_value()));
    return reproduction;
}

}  // namespace gs
