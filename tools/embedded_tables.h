// The papers' tables (tools/tables/*.json), in the binary: an installed gradscore needs no folder to find
// them.
#pragma once

#include <span>
#include <string_view>

namespace gs {

// Their texts, sorted by the files' names; tests hold that each is a table named like its file.
std::span<const std::string_view> embedded_tables();

}  // namespace gs
