// A folder that a command writes into: empty before, or with a run that the command goes on with, and nobody
// else's at the time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/file_lock.h"

namespace gs {

// What becomes of an earlier run in the folder.
enum class Earlier : uint8_t {
    Refuse,
    MoveAside,  // --force
    GoOn        // --resume
};
// Throws Error(Usage) for both at once.
Earlier earlier_run(bool force, bool resume);

// What a folder that is not empty may be given, by command.
inline constexpr std::string_view kResumeOrForce =
    "--resume to go on with an unfinished run, or --force to move it aside";
inline constexpr std::string_view kForceToMove = "or --force to move it aside";
inline constexpr std::string_view kForceToReplace = "or --force to replace files of the same names";

// Before anything slow: throws Error(Usage) for a folder that cannot be used: no name, no folder, another
// process at work in it (who is told), not empty where that is refused, or with something else than a run
// that would be moved aside. `flag` is how messages call it:
// "--out". A lock that a killed process has left behind does not count.
void check_folder(const std::filesystem::path& out, Earlier earlier, const std::string& flag,
                  std::string_view advice = kResumeOrForce);

// Nothing there, or nothing in it but a lock and unfinished files of a killed process.
bool is_unused(const std::filesystem::path& folder);

// Gives `path` a new name that is free: PATH.old1, .old2, … Says so, and returns it.
std::filesystem::path move_aside(const std::filesystem::path& path);

class OwnedFolder {
  public:
    // Makes the folder and takes its lock, `out`/lock; checks again. An earlier run is moved aside, or left
    // for the caller to go on with. `command` is who we are in the lock: "score". Throws Error(Internal)
    // where the file system refuses.
    OwnedFolder(const std::filesystem::path& out, Earlier earlier, const std::string& flag,
                const std::string& command, std::string_view advice = kResumeOrForce);
    bool was_empty() const { return was_empty_; }  // no earlier run to go on with
    // Makes folders inside it, and removes unfinished files of a killed process there and in the folder
    // itself: for those who know that the run in it is theirs.
    void prepare(const std::vector<std::string>& inside) const;

  private:
    std::filesystem::path out_;
    std::unique_ptr<FileLock> lock_;
    bool was_empty_ = true;
};

}  // namespace gs
