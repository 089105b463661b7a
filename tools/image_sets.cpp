#include "tools/image_sets.h"

#include <set>

#include "core/files.h"
#include "report/table_parts.h"

namespace gs {
namespace {

// Set names become file names and column heads.
void check_names(const std::vector<std::unique_ptr<ImageSet>>& sets) {
    std::set<std::string> seen;
    for (const auto& set : sets) {
        const std::string& name = set->name();
        if (!is_file_name(name))
            throw Error(ErrorKind::Usage,
                        "set name '" + name + "': cannot be a file name; use NAME=KIND:PATH");
        if (name == kAverage)
            throw Error(ErrorKind::Usage, "set name '" + name +
                                              "': is what tables call the mean over the sets; use "
                                              "NAME=KIND:PATH");
        if (!seen.insert(name).second)
            throw Error(ErrorKind::Usage,
                        "two sets are called '" + name + "'; use NAME=KIND:PATH to tell them apart");
    }
}

}  // namespace

void require_apart(const std::filesystem::path& out, const std::vector<const ImageSet*>& sets) {
    for (const ImageSet* set : sets)
        for (const std::filesystem::path& place : set->places())
            if (is_within(place, out))
                throw Error(ErrorKind::Usage, "--out " + out.string() + ": holds what " + set->name() +
                                                  " is read from, " + place.string() +
                                                  "; choose a folder outside");
}

std::vector<std::string> notices_of(const ImageSet& set, const PreprocessFlags& flags) {
    std::vector<std::string> notices;
    for (const std::string& notice : set.notices()) notices.push_back(set.name() + ": " + notice);
    if (set.is_raw() && !(flags.resize + flags.crop + flags.mean + flags.std).empty())
        notices.push_back(
            set.name() + ": float32 input is used as it is; --resize, --crop, --mean and --std do not apply");
    return notices;
}

std::vector<std::unique_ptr<ImageSet>> open_sets(const std::string& id, const std::vector<std::string>& ood,
                                                 uint64_t seed) {
    std::vector<std::unique_ptr<ImageSet>> sets;
    sets.push_back(open_image_set(id, seed));
    for (const std::string& spec : ood) sets.push_back(open_image_set(spec, seed));
    check_names(sets);
    return sets;
}

}  // namespace gs
