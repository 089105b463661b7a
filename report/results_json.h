// results.json, schema "gradscore/results/1": a Results as text and back. Metrics are fractions, NaN is null,
// and the objects `metrics` (method, then OOD set) and `averages` (method) have the names as keys.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "report/results.h"

namespace gs {

std::string results_to_json(const Results& results);

// Throws Error(Data), one line with the file's `name` and the place in it: "NAME: metrics.msp.dtd.auroc is
// missing; …". Unknown members are passed over, so that later versions may add some.
Results results_from_json(std::string_view text, const std::string& name);

void write_results_json(const std::filesystem::path& path, const Results& results);  // atomically
Results read_results_json(const std::filesystem::path& path);

}  // namespace gs
