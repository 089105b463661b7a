// The image sets of a run, as the command line names them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/image_set.h"

namespace gs {

// The ID set first. Throws Error(Usage) for names that cannot be file names, and for a name given twice.
std::vector<std::unique_ptr<ImageSet>> open_sets(const std::string& id, const std::vector<std::string>& ood,
                                                 uint64_t seed);

}  // namespace gs
