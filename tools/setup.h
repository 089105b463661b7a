// From flags to the things a run needs: net, preprocessing; and the interruption flag.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/backend.h"
#include "data/image.h"
#include "nets/net.h"
#include "tools/commands.h"
#include "tools/devices.h"
#include "weights/weight_file.h"

namespace gs {

struct LoadedNet {
    Net net;
    std::string format;                // of the weights' file
    std::vector<std::string> notices;  // of reading and building
    std::string fallback;              // fallback_note of its device
};
LoadedNet load_net(Backend& backend, const NetFlags& flags);

// The net's default with the flags laid over it. Throws Error(Usage).
Preprocess resolve_preprocess(const Preprocess& fallback, const PreprocessFlags& flags);

// "NET (10 classes) on DEVICE" and the preprocessing, unless quiet; then the notices.
void introduce(const LoadedNet& loaded, const Preprocess& preprocess, const Backend& backend, bool quiet);

// Throws Error(Usage) below 1.
void check_limit(const std::optional<int64_t>& limit);
// A file that a command will write, looked at before its work: in a folder that can be written to, no folder
// itself, and replaced under --force only. Throws Error(Usage), or Error(Internal) without permission.
void check_new_file(const std::string& path, bool force);
// The same, with one of these endings.
void check_output_file(const std::string& path, bool force,
                       const std::vector<std::string>& endings = {".safetensors"});

// Where an output is a file that the command reads, --force or not. what: "--weights". Throws Error(Usage).
void require_other_file(const std::string& out, const std::string& input, const std::string& what);

// Where --force would move a folder aside with a file in it that the command reads. Throws Error(Usage).
void require_outside(const std::string& input, const std::string& folder, const std::string& what);

// The exit code of a finished run that left images out, said with where they are listed; 0 where there are
// none.
int say_excluded(int64_t images, const std::string& listed);

// Threads the process uses: the flag, or the cores it may run on.
int resolve_threads(int flag);

std::string version();
std::string utc_now();  // ISO 8601: "2026-11-21T08:27:17Z"
// Who holds a lock: "gradscore COMMAND (process 4711 on HOST, since 2026-11-21T08:27:17Z)".
std::string describe_process(const std::string& command);
std::map<std::string, std::string> library_versions();

// After this, Ctrl-C (SIGINT) and SIGTERM set a flag that runs look at between batches; a second one ends the
// process.
void catch_interrupts();
bool interrupted();

// Peak resident memory of the process, MiB.
double peak_memory_mib();

double seconds_since(std::chrono::steady_clock::time_point then);

void say(const std::string& line);  // to stderr; names in it may hold anything: control characters as \xNN

}  // namespace gs
