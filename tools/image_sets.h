// The image sets of a run, as the command line names them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/image_set.h"
#include "tools/commands.h"

namespace gs {

// The ID set first. Throws Error(Usage) for names that cannot be file names, for a name given twice, and for
// the name of the column of means.
std::vector<std::unique_ptr<ImageSet>> open_sets(const std::string& id, const std::vector<std::string>& ood,
                                                 uint64_t seed);

// What the user should know of a set before it is read, "NAME: …": its own notices, and flags that do not
// apply to it.
std::vector<std::string> notices_of(const ImageSet& set, const PreprocessFlags& flags);

// Throws Error(Usage) where a run's folder holds what a set is read from, which --force would move away.
void require_apart(const std::filesystem::path& out, const std::vector<const ImageSet*>& sets);

}  // namespace gs
