// A named array on the host: weights in the names and layout of the weight files, or an optimiser's.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace gs::train {

struct Array {
    std::string name;
    std::vector<int64_t> shape;  // PyTorch's order
    std::vector<float> values;   // row-major
    bool operator==(const Array&) const = default;
};

// Null where there is none of this name.
const Array* find(std::span<const Array> arrays, const std::string& name);

}  // namespace gs::train
