// gradscore metrics: metrics and table of a run's score files, anew.
#include <filesystem>
#include <iostream>

#include "report/results_json.h"
#include "report/scores_csv.h"
#include "report/table.h"
#include "tools/commands.h"
#include "tools/setup.h"

namespace gs {

int run_metrics(const MetricsFlags& flags) {
    const std::filesystem::path run(flags.run);
    Results stored = read_results_json(run / "results.json");
    std::vector<ScoredSet> sets;
    for (const SetInfo& info : stored.sets) {
        const ScoreTable table = read_scores_csv(run / "scores" / (info.name + ".csv"));
        bool same = table.methods.size() == stored.methods.size();
        for (size_t m = 0; same && m < table.methods.size(); ++m)
            same = table.methods[m] == stored.methods[m].name;
        if (!same)
            throw Error(ErrorKind::Data, (run / "scores" / (info.name + ".csv")).string() +
                                             ": its columns are not the methods of results.json");
        sets.push_back({info, table.columns()});
    }
    const Results results = summarise(stored.run, stored.methods, sets);
    if (flags.json) {
        std::cout << results_to_json(results);
    } else {
        std::cout << results_table(results, {.width = 100, .utf8 = locale_is_utf8()});
    }
    return 0;
}

}  // namespace gs
