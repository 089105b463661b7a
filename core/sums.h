// Sums of many floats in float64, in eight lanes: the additions of one lane would wait for each other.
#pragma once

#include <array>
#include <cstddef>
#include <span>

namespace gs {

// Sum of f(v) over the values.
template <class F>
double lane_sum(std::span<const float> values, const F& f) {
    constexpr size_t kLanes = 8;
    std::array<double, kLanes> lanes{};
    size_t i = 0;
    for (; i + kLanes <= values.size(); i += kLanes)
        for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += f(values[i + lane]);
    double sum = 0;
    for (; i < values.size(); ++i) sum += f(values[i]);
    for (const double lane : lanes) sum += lane;
    return sum;
}

// Sum of the products of two rows of equal length.
inline double lane_dot(std::span<const double> a, std::span<const double> b) {
    constexpr size_t kLanes = 8;
    std::array<double, kLanes> lanes{};
    size_t i = 0;
    for (; i + kLanes <= a.size(); i += kLanes)
        for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += a[i + lane] * b[i + lane];
    double sum = 0;
    for (; i < a.size(); ++i) sum += a[i] * b[i];
    for (const double lane : lanes) sum += lane;
    return sum;
}

}  // namespace gs
