// The small run of sample.h as what the report shows.
#pragma once

#include "report/html.h"
#include "tests/report/sample.h"

namespace gs::test {

// Score files of these sets: paths "SET/0.jpg", …; an excluded image's row has its reason.
inline std::vector<ScoreTable> sample_tables(const std::vector<ScoredSet>& sets,
                                             const std::vector<MethodInfo>& methods) {
    std::vector<ScoreTable> tables;
    for (const ScoredSet& set : sets) {
        ScoreTable& table = tables.emplace_back();
        for (const MethodInfo& m : methods) table.methods.push_back(m.name);
        for (size_t i = 0; i < set.scores[0].size(); ++i) {
            ScoreRow row{int64_t(i), set.info.name + "/" + std::to_string(i) + ".jpg", {}, 3, "", {}};
            for (const auto& column : set.scores) row.scores.push_back(column[i]);
            table.rows.push_back(row);
        }
        for (const SetFailure& f : set.info.failures)
            table.rows.push_back({int64_t(table.rows.size()), f.path, {}, {}, f.reason, {}});
    }
    return tables;
}

inline RunReport sample_report(const std::vector<ScoredSet>& sets = sample_sets(),
                               const std::vector<MethodInfo>& methods = sample_methods(),
                               const RunInfo& info = sample_run(), const std::string& name = "runs/first") {
    return make_run_report(name, summarise(info, methods, sets), sample_tables(sets, methods));
}

inline std::string sample_page(std::vector<RunReport> runs) {
    const PageLists lists = join_lists(runs);
    return report_page(runs, lists, {"0.1.0", "gradscore report runs/first"});
}

}  // namespace gs::test
