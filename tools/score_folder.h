// The folder of a scoring run with its journal: begun, gone on with, finished.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "report/results.h"
#include "tools/owned_folder.h"
#include "tools/run_journal.h"
#include "tools/scorer.h"

namespace gs {

std::filesystem::path journal_path(const std::filesystem::path& run);

// The results of a run in `out` that has come to its end; nothing where one is to begin or to go on. Throws
// Error(Usage) where it is another run than `start`, and for a folder that holds something else.
std::optional<Results> finished_run(const std::filesystem::path& out, const RunStart& start);

// Locked as long as it lives.
struct OpenRun {
    OwnedFolder folder;
    RunJournal journal;
};
// Makes the folder, or goes on with the run in it (Earlier::GoOn); `config` is its config.toml. Throws as
// OwnedFolder and RunJournal do.
OpenRun open_run(const std::filesystem::path& out, Earlier earlier, const RunStart& start,
                 const std::string& config, const std::vector<std::string>& inside, bool quiet);

// results.json and results.md of the sets that were scored.
Results write_scored(const std::filesystem::path& out, RunInfo info, const Scorer& scorer,
                     const std::vector<ScoredSet>& scored);
// The same where a set failed, which ends the run: the sets before it stay usable.
void keep_what_is_done(const std::filesystem::path& out, RunInfo info, const Scorer& scorer,
                       const std::vector<ScoredSet>& scored, const std::string& reason);

}  // namespace gs
