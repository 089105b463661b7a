// Shards of a run (score --shard I/N) as the run that one process would have made.
#pragma once

#include "tools/commands.h"

namespace gs {

// Writes OUT as a run folder: the same scores/*.csv and arrays, byte for byte, and the same results.json but
// for times, command and what belongs to a machine. Returns the exit code. Throws Error(Usage) where the
// folders are not all shards of one run, Error(Data) for damaged files; nothing is written then.
int merge_runs(const MergeFlags& flags);

}  // namespace gs
