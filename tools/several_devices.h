// A scoring run that is spread over several GPUs of one machine.
#pragma once

#include <functional>
#include <vector>

#include "tools/commands.h"

namespace gs {

// One process a device, each with its part of every set (score --shard), then the parts as one run in
// flags.out (merge). `score` is what each process runs, without printing results: those of the whole are,
// also where they were there before. A part that fails ends the run with its exit code; parts stay in
// OUT.parts then, for --resume, and can be merged by hand. Throws Error(Usage) together with
// --shard.
int score_on_devices(const ScoreFlags& flags, const std::vector<int>& ordinals,
                     const std::function<int(const ScoreFlags&, bool prints)>& score);

}  // namespace gs
