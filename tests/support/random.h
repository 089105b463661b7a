// Seeded data for tests: the same numbers on every machine, so a failure can be repeated.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <string>
#include <vector>

#include "core/error.h"
#include "tests/reference/tensor.h"

namespace gs::test {

// Sebastiano Vigna's splitmix64 (public domain).
class SplitMix64 {
  public:
    explicit SplitMix64(uint64_t state) : state_(state) {}
    uint64_t next() {
        uint64_t z = state_ += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
    double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }  // [0, 1)
    double normal() {                                                         // Box-Muller
        const double radius = std::sqrt(-2 * std::log(1 - uniform()));
        return radius * std::cos(2 * std::numbers::pi * uniform());
    }
    int64_t integer(int64_t low, int64_t high) {  // both included
        return low + static_cast<int64_t>(next() % static_cast<uint64_t>(high - low + 1));
    }

  private:
    uint64_t state_;
};

enum class Fill {
    SmallIntegers,  // -3 .. 3: sums and products of these are exact in float32, so results must be too
    Normal,         // N(0, 1): shows rounding, and the loss of digits of a reduced precision
    LargeOffset,    // 1000 + N(0, 1): E[x^2] - E[x]^2 loses everything here
    OffKinks,       // N(0, 4) moved at least 0.05 away from 0 and 6: rounding cannot flip a ReLU or ReLU6
};

inline std::string to_string(Fill fill) {
    switch (fill) {
        case Fill::SmallIntegers:
            return "small integers";
        case Fill::Normal:
            return "normal";
        case Fill::LargeOffset:
            return "large offset";
        case Fill::OffKinks:
            return "off the kinks";
    }
    return "?";
}

inline float draw(SplitMix64& random, Fill fill) {
    const double unit = fill == Fill::SmallIntegers ? 0 : random.normal();
    switch (fill) {
        case Fill::SmallIntegers:
            return static_cast<float>(random.integer(-3, 3));
        case Fill::Normal:
            return static_cast<float>(unit);
        case Fill::LargeOffset:
            return static_cast<float>(1000 + unit);
        case Fill::OffKinks:
            break;
    }
    const auto away = [](double x, double kink) {
        return std::abs(x - kink) < 0.05 ? kink + std::copysign(0.05, x - kink) : x;
    };
    return static_cast<float>(away(away(4 * unit, 0), 6));
}

inline std::vector<float> random_values(int64_t count, Fill fill, uint64_t seed) {
    SplitMix64 random(seed * 0xD1342543DE82EF95 + 1);
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = draw(random, fill);
    return values;
}

inline ref::Tensor<float> random_tensor(const Shape& shape, Fill fill, uint64_t seed) {
    ref::Tensor<float> tensor;
    tensor.shape = shape;
    tensor.values = random_values(shape.size(), fill, seed);
    return tensor;
}

}  // namespace gs::test
