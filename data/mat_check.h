// What a MATLAB file must look like before matio gets it: matio trusts lengths, and a file of a kilobyte
// could make it ask for gigabytes.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace gs::detail {

// Checks that a file is of version 5 and holds plain numeric arrays only, whose lengths fit into the file.
// Throws Error(Data) "PATH: …".
void check_mat_file(std::span<const std::byte> file, const std::string& path);

}  // namespace gs::detail
