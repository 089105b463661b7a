#include "core/random.h"

#include <bit>
#include <cmath>
#include <numbers>

#include "core/error.h"

namespace gs {

int64_t Random::below(int64_t n) {
    GS_REQUIRE(n > 0);
    const auto range = static_cast<uint64_t>(n);
    const uint64_t rest = (0 - range) % range;  // values below this would make some come up once too often
    while (true) {
        const uint64_t value = next();
        if (value >= rest) return static_cast<int64_t>(value % range);
    }
}

double Random::normal() {
    const double radius = std::sqrt(-2 * std::log(1 - uniform()));
    return radius * std::cos(2 * std::numbers::pi * uniform());
}

// Marsaglia and Tsang 2000; below 1 through Gamma(a) = Gamma(a + 1) U^(1 / a).
double Random::log_gamma_variate(double shape) {
    if (shape < 1) {
        const double boost = std::log(1 - uniform()) / shape;
        return log_gamma_variate(shape + 1) + boost;
    }
    const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
    while (true) {
        const double x = normal(), cube = 1 + c * x;
        if (cube <= 0) continue;
        const double v = cube * cube * cube;
        if (std::log(1 - uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) return std::log(d * v);
    }
}

double Random::beta(double a) {
    GS_REQUIRE(a > 0);
    const double x = log_gamma_variate(a), y = log_gamma_variate(a);
    return 1 / (1 + std::exp(y - x));
}

Permutation::Permutation(Random random, int64_t n) : n_(n) {
    GS_REQUIRE(n > 0);
    half_bits_ = (static_cast<int>(std::bit_width(static_cast<uint64_t>(n - 1))) + 1) / 2;
    for (uint64_t& key : keys_) key = random.next();
}

int64_t Permutation::operator()(int64_t i) const {
    GS_REQUIRE(i >= 0 && i < n_);
    const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
    auto value = static_cast<uint64_t>(i);
    do {
        uint64_t left = value >> half_bits_, right = value & mask;
        for (const uint64_t key : keys_) {
            const uint64_t next = left ^ (Random::mix(right ^ key) & mask);
            left = right;
            right = next;
        }
        value = left << half_bits_ | right;
    } while (value >= static_cast<uint64_t>(n_));
    return static_cast<int64_t>(value);
}

}  // namespace gs
