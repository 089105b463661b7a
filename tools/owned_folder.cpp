#include "tools/owned_folder.h"

#include "core/error.h"
#include "core/files.h"
#include "tools/setup.h"

namespace gs {
namespace {

namespace fs = std::filesystem;

fs::path lock_path(const fs::path& out) {
    return out / "lock";
}

// As is_unused(), for a folder that is there.
bool is_empty(const fs::path& folder, const std::string& name) {
    std::error_code error;
    bool empty = true;
    for (fs::directory_iterator entry(folder, error), end; !error && empty && entry != end;
         entry.increment(error))
        empty = entry->path().filename() == lock_path("").filename() || is_temporary(entry->path());
    if (error) throw Error(ErrorKind::Usage, name + ": cannot read: " + error.message());
    return empty;
}

void require_usable(bool empty, Earlier earlier, const std::string& name) {
    if (!empty && earlier == Earlier::Refuse)
        throw Error(ErrorKind::Usage, name +
                                          ": not empty; choose another folder, --resume to go on with an "
                                          "unfinished run, or --force to move it aside");
}

}  // namespace

Earlier earlier_run(bool force, bool resume) {
    if (force && resume) throw Error(ErrorKind::Usage, "--resume and --force exclude each other");
    return force ? Earlier::MoveAside : resume ? Earlier::GoOn : Earlier::Refuse;
}

void check_folder(const fs::path& out, Earlier earlier, const std::string& flag) {
    if (out.empty()) throw Error(ErrorKind::Usage, flag + ": a folder's name is needed");
    const std::string name = flag + " " + out.string();
    std::error_code error;
    if (!fs::exists(out, error)) return;
    if (!fs::is_directory(out, error)) throw Error(ErrorKind::Usage, name + ": exists and is no folder");
    require_free(lock_path(out));
    require_usable(is_empty(out, name), earlier, name);
}

bool is_unused(const fs::path& folder) {
    std::error_code error;
    return !fs::exists(folder, error) || is_empty(folder, folder.string());
}

fs::path move_aside(const fs::path& path) {
    fs::path aside;
    for (int i = 1; aside.empty() || fs::exists(aside); ++i)
        aside = (path.has_filename() ? path : path.parent_path()).string() + ".old" + std::to_string(i);
    std::error_code error;
    fs::rename(path, aside, error);
    if (error) throw Error(ErrorKind::Internal, path.string() + ": cannot move aside: " + error.message());
    say("moved the old " + path.string() + " to " + aside.string());
    return aside;
}

OwnedFolder::OwnedFolder(const fs::path& out, Earlier earlier, const std::string& flag,
                         const std::string& command)
    : out_(out) {
    check_folder(out, earlier, flag);
    make_folder(out);
    const std::string owner = describe_process(command);
    lock_ = std::make_unique<FileLock>(lock_path(out), owner);
    // Only now is it sure that nobody else has put anything there.
    const std::string name = flag + " " + out.string();
    was_empty_ = is_empty(out, name);
    require_usable(was_empty_, earlier, name);
    if (was_empty_ || earlier == Earlier::GoOn) return;
    std::error_code ignored;
    fs::remove(lock_path(move_aside(out)), ignored);
    make_folder(out);
    lock_ = std::make_unique<FileLock>(lock_path(out), owner);
    was_empty_ = is_empty(out, name);
    require_usable(was_empty_, Earlier::Refuse, name);
}

void OwnedFolder::prepare(const std::vector<std::string>& inside) const {
    remove_temporaries(out_);
    for (const std::string& folder : inside) {
        make_folder(out_ / folder);
        remove_temporaries(out_ / folder);
    }
}

}  // namespace gs
