// A file that is written at the end of long work (gradscore fit, search). Beside it lie OUT.journal, what is
// done so far, until it is written, and OUT.lock while a process is at work.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "core/file_lock.h"
#include "tools/owned_folder.h"
#include "tools/run_journal.h"

namespace gs {

class JournaledFile {
  public:
    // Before anything slow. Throws Error(Usage) where another process is at work, and for unfinished work
    // that is neither gone on with nor moved aside. `what` is how messages call it: "fit".
    JournaledFile(const std::filesystem::path& out, Earlier earlier, const std::string& what);
    // Takes the lock, for as long as this lives.
    void lock();
    // The file is there and its journal has gone: nothing is left to be done. Of --resume alone.
    bool is_finished() const;
    // A new journal, or the one that is there.
    RunJournal open(const RunStart& start, bool quiet) const;
    // Before the file is written: an earlier one, which --force replaces, is moved aside.
    void make_room() const;

  private:
    std::filesystem::path out_, journal_, lock_path_;
    Earlier earlier_;
    std::string what_;
    std::optional<FileLock> lock_;

    bool is_unfinished() const;
    void refuse_unfinished() const;
};

}  // namespace gs
