#include "tools/several_devices.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <iostream>

#include "core/files.h"
#include "tools/merge_runs.h"
#include "tools/owned_folder.h"
#include "tools/score_run.h"
#include "tools/setup.h"

namespace gs {
namespace {

namespace fs = std::filesystem;

// Beside the run's folder: not in it where a slash ends its name.
fs::path parts_folder(const ScoreFlags& flags) {
    return without_last_slash(flags.out).string() + ".parts";
}

ScoreFlags part_of(const ScoreFlags& flags, const std::vector<int>& ordinals, size_t index) {
    ScoreFlags part = flags;
    part.net.device = "cuda:" + std::to_string(ordinals[index]);
    part.shard = std::to_string(index) + "/" + std::to_string(ordinals.size());
    part.out = (parts_folder(flags) / std::to_string(index)).string();
    part.quiet = flags.quiet || index > 0;  // the first one's progress stands for all
    part.force = false;                     // an old run's parts have been moved aside as a whole
    return part;
}

// Never returns into the parent's program.
[[noreturn]] void run_part(const ScoreFlags& part,
                           const std::function<int(const ScoreFlags&, bool prints)>& score) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);  // nobody would merge what it does
    int code = static_cast<int>(ErrorKind::Internal);
    try {
        code = score(part, /*prints=*/false);
    } catch (const Error& error) {
        say("gradscore: on " + part.net.device + ": " + error.what());
        code = error.exit_code();
    } catch (const std::exception& error) {
        say("gradscore: on " + part.net.device + ": " + error.what());
    }
    std::cout.flush();
    ::_exit(code);
}

int wait_for(pid_t child) {
    int status = 0;
    while (::waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) return static_cast<int>(ErrorKind::Internal);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : static_cast<int>(ErrorKind::Internal);
}

bool is_usable(int code) {
    return code == 0 || code == kSomeExcluded;
}

}  // namespace

int score_on_devices(const ScoreFlags& flags, const std::vector<int>& ordinals,
                     const std::function<int(const ScoreFlags&, bool prints)>& score) {
    if (!flags.shard.empty())
        throw Error(ErrorKind::Usage, "--shard with several devices: each device takes a part of its own");
    const Earlier earlier = earlier_run(flags.force, flags.resume);
    check_folder(flags.out, earlier, "--out");
    const fs::path parts = parts_folder(flags);
    std::error_code error;
    if (flags.resume && fs::exists(fs::path(flags.out) / "results.json", error)) {
        // Merged already: the whole run's flags are compared by whoever would go on with it.
        ScoreFlags whole = flags;
        whole.net.device = "cuda:" + std::to_string(ordinals.front());
        const int code = score(whole, /*prints=*/true);
        if (is_usable(code)) fs::remove_all(parts, error);
        return code;
    }
    const OwnedFolder owned(parts, earlier, "--out", "score");  // held by the children too
    std::cout.flush();
    std::vector<pid_t> children;
    for (size_t i = 0; i < ordinals.size(); ++i) {
        const pid_t child = ::fork();
        if (child < 0) throw Error(ErrorKind::Internal, "fork: no process for another device");
        if (child == 0) run_part(part_of(flags, ordinals, i), score);
        children.push_back(child);
    }
    int code = 0;
    for (const pid_t child : children) {
        const int ended = wait_for(child);
        if (is_usable(code) && ended != 0) code = ended;
    }
    if (!is_usable(code)) {
        say("what each device has done is in " + parts.string() + "; --resume goes on from there");
        return code;
    }
    MergeFlags merge{.out = flags.out,
                     .in = {},
                     .force = flags.force,
                     .json = flags.json,
                     .quiet = flags.quiet,
                     .resume = flags.resume,
                     .command_line = flags.command_line};
    for (size_t i = 0; i < ordinals.size(); ++i) merge.in.push_back((parts / std::to_string(i)).string());
    const int merged = merge_runs(merge);
    fs::remove_all(parts, error);
    return merged == 0 ? code : merged;
}

}  // namespace gs
