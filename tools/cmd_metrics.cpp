// gradscore metrics: metrics and table of a run's score files, anew.
#include "tools/commands.h"
#include "tools/run_folder.h"

namespace gs {

int run_metrics(const MetricsFlags& flags) {
    StoredRun stored = read_run(flags.run);
    print_results(summarise(std::move(stored.results.run), std::move(stored.results.methods), stored.sets),
                  flags.json, "");
    return 0;
}

}  // namespace gs
