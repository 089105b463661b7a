// From flags to the things a run needs: device, net, preprocessing; and the interruption flag.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "core/backend.h"
#include "data/image.h"
#include "nets/net.h"
#include "tools/commands.h"
#include "weights/weight_file.h"

namespace gs {

// Throws Error(Device) for devices that are not there, Error(Usage) for names and precisions that do not
// exist.
std::unique_ptr<Backend> make_backend(const NetFlags& flags);

struct LoadedNet {
    Net net;
    std::string format;                // of the weights' file
    std::vector<std::string> notices;  // of reading and building
};
LoadedNet load_net(Backend& backend, const NetFlags& flags);

// The net's default with the flags laid over it. Throws Error(Usage).
Preprocess resolve_preprocess(const Preprocess& fallback, const PreprocessFlags& flags);

// Threads the process uses: the flag, or the cores it may run on.
int resolve_threads(int flag);

std::string version();
std::map<std::string, std::string> library_versions();

// After this, Ctrl-C (SIGINT) and SIGTERM set a flag that runs look at between batches; a second one ends the
// process.
void catch_interrupts();
bool interrupted();

// Peak resident memory of the process, MiB.
double peak_memory_mib();

void say(const std::string& line);  // to stderr

}  // namespace gs
