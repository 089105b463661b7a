// `gradscore score` without its words on stdout, for the commands that score.
#pragma once

#include "report/results.h"
#include "tools/commands.h"

namespace gs {

inline constexpr int kSomeExcluded = 6;  // exit code: done, but inputs were left out

struct ScoreRun {
    Results results;
    bool complete = true;  // false: interrupted; what was done is in the folder

    int64_t excluded() const;  // images of all sets that could not be used
};

// Scores the sets of `flags` and leaves a whole run folder in flags.out. Throws Error as the command does.
ScoreRun score_to_folder(const ScoreFlags& flags);

}  // namespace gs
