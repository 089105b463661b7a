// Whether numbers are numbers.
#pragma once

#include <algorithm>
#include <cmath>

namespace gs {

// None of the values is NaN or infinite.
template <class Values>
bool all_finite(const Values& values) {
    return std::all_of(values.begin(), values.end(), [](auto v) { return std::isfinite(v); });
}

}  // namespace gs
