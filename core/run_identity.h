// What a run was started with, so that one that goes on is the same run.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace gs {

// By name; an empty value is that of a name which is not there.
using RunIdentity = std::map<std::string, std::string>;

// One line a difference: "learning-rate: 0.05 now, 0.1 when the run began".
std::vector<std::string> differences(const RunIdentity& now, const RunIdentity& then);

// Throws Error(Usage) "--resume PLACE: not the run that began there: …" with every difference, and where
// `then` is empty: a file of a version that did not keep it.
void require_same_run(const RunIdentity& now, const RunIdentity& then, const std::string& place);

}  // namespace gs
