// What `gradscore search` found: options of methods, for which weights and preprocessing, and the hashes of
// the images they were chosen on, so that nobody reports results on those. JSON, schema "gradscore/search/1";
// docs/file-formats.md.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/run_identity.h"
#include "scores/computation.h"
#include "scores/score.h"
#include "scores/statistics.h"

namespace gs {

struct SearchFile {
    Computation by;
    std::vector<MethodSpec> methods;  // ready to be used
    std::optional<int64_t> limit;     // of the search or its statistics: a trial
    RunIdentity started_with;         // empty: of an earlier version
    std::vector<ImageDigest> seen;    // ascending
};

// Throws Error(Data) naming the file and what is wrong with it.
SearchFile search_file_from_json(std::string_view text, const std::string& name);
SearchFile read_search_file(const std::filesystem::path& path);

// Methods that name a search file ("nac:search=FILE") with the options found there; others stay as they are.
// The images searched on are told to `statistics`, where there is one. Throws Error(Usage) where a file is of
// another computation, holds no such method, or an option is given that it holds.
// Returns the files that were searched under --limit, with that.
std::map<std::string, int64_t> use_search_files(std::vector<MethodSpec>& methods, const Computation& own,
                                                StatisticsStore* statistics);

}  // namespace gs
