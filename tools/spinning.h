#pragma once

namespace gs {

// Threads that wait for each other spin first, GNU OpenMP's for milliseconds, whoever else uses the
// processors: beside two busy processes two threads then score at a tenth of the speed that yielding gives
// (docs/benchmarks.md). The setting is read as the library is loaded, so the program begins again with a
// shorter one: same process, same words. Nothing happens where OMP_WAIT_POLICY or GOMP_SPINCOUNT says what to
// do, or where the program cannot be started again.
void limit_spinning(char** argv);

}  // namespace gs
