// Saved arrays of the shards of a set (tools/arrays.h), joined.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tools/arrays.h"

namespace gs {

// One shard's file, and what its run says of it.
struct ArrayPart {
    std::filesystem::path path;
    std::string set_digest;
    int64_t rows = 0;  // images
};

// Throws Error(Weights) for files that are no arrays, Error(Data) where they are not of these weights,
// preprocessing and images, or do not hold the same arrays.
// `key`: of the run; its set_digest is each part's own.
void check_array_parts(const std::vector<ArrayPart>& parts, ArrayKey key);

// The rows of all parts, one after the other, under the key of the whole. The parts are checked.
void merge_arrays(const std::filesystem::path& out, const std::vector<ArrayPart>& parts, const ArrayKey& key);

}  // namespace gs
