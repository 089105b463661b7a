// What a scoring run or a fit is started with, for the journal (tools/run_journal.h) and for what
// comes out.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/backend.h"
#include "data/image_set.h"
#include "tools/commands.h"
#include "tools/run_journal.h"
#include "tools/setup.h"

namespace gs {

// Flags, version, weights, net, preprocessing, the lists of images and the files that flags name, as hashes;
// circumstances are the machine's. `statistics`: the file of --stats, where there is that flag.
RunStart run_start(const ImageRunFlags& flags, const LoadedNet& loaded, const Preprocess& preprocess,
                   const Backend& backend, const std::vector<const ImageSet*>& sets,
                   const std::string& statistics = "");

}  // namespace gs
