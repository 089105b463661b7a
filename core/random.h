// Random numbers that depend on what they are for alone: a stream of its own for every key, so that neither
// threads nor an interruption change them. Integers are the same on every machine; normal, gamma and beta go
// through the machine's libm.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace gs {

// A purpose as a part of a key: Random{seed, stream("order"), epoch}. FNV-1a.
constexpr uint64_t stream(std::string_view purpose) {
    uint64_t hash = 0xcbf29ce484222325ull;
    for (const char c : purpose) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
    return hash;
}

// splitmix64 (Steele, Lea and Flood 2014), its state counted up from a hash of the key.
class Random {
  public:
    // The key's parts: a seed, a purpose, an epoch, an index … Their order matters.
    explicit Random(std::initializer_list<uint64_t> key) {
        for (const uint64_t part : key) state_ = mix(state_ + kStep) ^ part;
        state_ = mix(state_ + kStep);
    }

    uint64_t next() { return mix(state_ += kStep); }
    double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }  // [0, 1)
    // 0 .. n - 1, n > 0; each as often as the others.
    int64_t below(int64_t n);
    double normal();  // mean 0, standard deviation 1; Box-Muller
    // Beta(a, a), a > 0: mixup's lambda.
    double beta(double a);

    // The n-th number of a state is mix(state + n * kStep).
    static constexpr uint64_t kStep = 0x9E3779B97F4A7C15ull;
    static uint64_t mix(uint64_t z) {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
        return z ^ (z >> 31);
    }

  private:
    uint64_t state_ = 0;
    double log_gamma_variate(double shape);  // the logarithm, since a small shape's variates underflow
};

// A random order of 0 .. n - 1 that keeps nothing: a Feistel network over the next power of four, walked
// until it is back in range (Black and Rogaway 2002).
class Permutation {
  public:
    Permutation(Random random, int64_t n);
    int64_t size() const { return n_; }
    int64_t operator()(int64_t i) const;  // 0 <= i < n

  private:
    static constexpr int kRounds = 8;
    int64_t n_;
    int half_bits_;
    uint64_t keys_[kRounds];
};

}  // namespace gs
