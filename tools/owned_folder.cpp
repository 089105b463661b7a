#include "tools/owned_folder.h"

#include <set>

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

// Whether all there is in a folder is what commands of ours leave there, or one of the files that tell a run.
// A run on several devices has a folder for each of them, called by its number.
bool is_of_gradscore(const fs::path& folder, bool with_parts = true) {
    static const std::set<std::string> kTelling{"results.json", "journal", "recipe.toml",
                                                "checkpoint.safetensors"};
    static const std::set<std::string> kBesides{"lock", "config.toml", "scores", "arrays"};
    std::error_code error;
    bool only_ours = true;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
        const std::string name = entry->path().filename().string();
        if (kTelling.contains(name)) return true;
        std::error_code ignored;
        const bool is_part = with_parts && name.find_first_not_of("0123456789") == std::string::npos &&
                             entry->is_directory(ignored) &&
                             is_of_gradscore(entry->path(), /*with_parts=*/false);
        only_ours = only_ours && (kBesides.contains(name) || is_temporary(name) || is_part);
    }
    return only_ours && !error;
}

// What --force moves aside has to be a run: images that were put there, or a folder named by mistake, stay.
void require_usable(bool empty, Earlier earlier, const fs::path& out, const std::string& name,
                    std::string_view advice) {
    if (empty) return;
    if (earlier == Earlier::Refuse)
        throw Error(ErrorKind::Usage, name + ": not empty; choose another folder, " + std::string(advice));
    if (earlier == Earlier::MoveAside && !is_of_gradscore(out))
        throw Error(ErrorKind::Usage,
                    name +
                        ": holds no run of gradscore, and --force moves nothing else aside; "
                        "choose another folder");
}

}  // namespace

Earlier earlier_run(bool force, bool resume) {
    if (force && resume) throw Error(ErrorKind::Usage, "--resume and --force exclude each other");
    return force ? Earlier::MoveAside : resume ? Earlier::GoOn : Earlier::Refuse;
}

void check_folder(const fs::path& out, Earlier earlier, const std::string& flag, std::string_view advice) {
    if (out.empty()) throw Error(ErrorKind::Usage, flag + ": a folder's name is needed");
    const std::string name = flag + " " + out.string();
    std::error_code error;
    if (!fs::exists(out, error)) return;
    if (!fs::is_directory(out, error)) throw Error(ErrorKind::Usage, name + ": exists and is no folder");
    require_free(lock_path(out));
    require_usable(is_empty(out, name), earlier, out, name, advice);
}

bool is_unused(const fs::path& folder) {
    std::error_code error;
    return !fs::exists(folder, error) || is_empty(folder, folder.string());
}

fs::path move_aside(const fs::path& path) {
    fs::path aside;
    std::error_code error;
    for (int i = 1; aside.empty() || fs::exists(aside, error); ++i)
        aside = without_last_slash(path).string() + ".old" + std::to_string(i);
    fs::rename(path, aside, error);
    if (error) throw Error(ErrorKind::Internal, path.string() + ": cannot move aside: " + error.message());
    say("moved the old " + path.string() + " to " + aside.string());
    return aside;
}

OwnedFolder::OwnedFolder(const fs::path& out, Earlier earlier, const std::string& flag,
                         const std::string& command, std::string_view advice)
    : out_(out) {
    check_folder(out, earlier, flag, advice);
    make_folder(out);
    const std::string owner = describe_process(command);
    lock_ = std::make_unique<FileLock>(lock_path(out), owner);
    // Only now is it sure that nobody else has put anything there.
    const std::string name = flag + " " + out.string();
    was_empty_ = is_empty(out, name);
    require_usable(was_empty_, earlier, out, name, advice);
    if (was_empty_ || earlier == Earlier::GoOn) return;
    std::error_code ignored;
    fs::remove(lock_path(move_aside(out)), ignored);
    make_folder(out);
    lock_ = std::make_unique<FileLock>(lock_path(out), owner);
    was_empty_ = is_empty(out, name);
    require_usable(was_empty_, Earlier::Refuse, out, name, advice);
}

void OwnedFolder::prepare(const std::vector<std::string>& inside) const {
    remove_temporaries(out_);
    for (const std::string& folder : inside) {
        make_folder(out_ / folder);
        remove_temporaries(out_ / folder);
    }
}

}  // namespace gs
