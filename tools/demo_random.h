// Seeded numbers that are the same on every machine: integers, and doubles made by exact operations only.
#pragma once

#include <cstdint>

#include "core/random.h"

namespace gs::demo {

struct Point {
    double x = 0, y = 0;
};

class Random {
  public:
    // A stream of its own for each (seed, set, index): an image does not depend on how many are drawn.
    Random(uint64_t seed, uint64_t set, uint64_t index) : state_(seed) {
        state_ = next() ^ set;
        state_ = next() ^ index;
    }

    uint64_t next() { return gs::Random::mix(state_ += gs::Random::kStep); }

    double uniform(double low, double high) {
        return low + (high - low) * (static_cast<double>(next() >> 11) * 0x1p-53);
    }

    int64_t below(int64_t n) { return static_cast<int64_t>(next() % static_cast<uint64_t>(n)); }
    bool chance(double p) { return uniform(0, 1) < p; }

    // About normal with standard deviation 1: a sum of three uniforms needs no logarithm or cosine, whose
    // last bit depends on the machine's libm.
    double noise() {
        double sum = 0;
        for (int i = 0; i < 3; ++i) sum += uniform(-1, 1);
        return sum;
    }

    // A unit vector, by the rational parameters of the circle (no sine or cosine, for the same reason).
    Point direction() {
        const double t = uniform(-1, 1), sign = chance(0.5) ? 1.0 : -1.0;
        return {sign * (1 - t * t) / (1 + t * t), sign * 2 * t / (1 + t * t)};
    }

  private:
    uint64_t state_;
};

}  // namespace gs::demo
