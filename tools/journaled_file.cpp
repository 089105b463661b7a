#include "tools/journaled_file.h"

#include "report/text.h"
#include "tools/setup.h"

namespace gs {

namespace fs = std::filesystem;

JournaledFile::JournaledFile(const fs::path& out, Earlier earlier, const std::string& what)
    : out_(out),
      journal_(out.string() + ".journal"),
      lock_path_(out.string() + ".lock"),
      earlier_(earlier),
      what_(what) {
    require_free(lock_path_);
    refuse_unfinished();
}

void JournaledFile::lock() {
    lock_.emplace(lock_path_, describe_process(what_));
}

bool JournaledFile::is_unfinished() const {
    std::error_code error;
    return fs::exists(journal_, error);
}

bool JournaledFile::is_finished() const {
    std::error_code error;
    return earlier_ == Earlier::GoOn && fs::exists(out_, error) && !is_unfinished();
}

void JournaledFile::refuse_unfinished() const {
    if (earlier_ == Earlier::Refuse && is_unfinished())
        throw Error(ErrorKind::Usage, journal_.string() + ": of a " + what_ +
                                          " that was not finished; --resume goes on with it, --force moves "
                                          "it aside");
}

void JournaledFile::make_room() const {
    std::error_code error;
    if (earlier_ == Earlier::MoveAside && fs::exists(out_, error)) move_aside(out_);
}

RunJournal JournaledFile::open(const RunStart& start, bool quiet) const {
    refuse_unfinished();  // only with the lock is it sure
    if (earlier_ == Earlier::MoveAside && is_unfinished()) move_aside(journal_);
    if (earlier_ != Earlier::GoOn) return RunJournal::begin(journal_, start);
    RunJournal journal = RunJournal::resume(journal_, start, out_.string());
    if (!journal.resumed())
        say("notice: nothing to go on with for " + out_.string() + "; beginning");
    else if (!quiet)
        say("going on with " + out_.string() + ", where " + grouped(journal.images()) + " images are done");
    return journal;
}

}  // namespace gs
