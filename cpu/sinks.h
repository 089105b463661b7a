// Helpers of the backward sweeps: where gradients come from, and where their reductions go.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "core/backend.h"
#include "cpu/context.h"

namespace gs::cpu {

// Plain pointers to the terms of a gradient (core/contract.h), which are stored as T.
template <class T>
class TermPointers {
  public:
    explicit TermPointers(std::span<const View> terms) {
        shape_ = terms.front().shape;
        for (const View& term : terms) pointers_[static_cast<size_t>(count_++)] = term.as<T>();
    }
    const Shape& shape() const { return shape_; }
    GradientTerms<T> at(int64_t offset) const { return {pointers_.data(), count_, offset}; }

  private:
    std::array<const T*, kMostTerms> pointers_{};
    int64_t count_ = 0;
    Shape shape_;
};

// Per-channel sums and counts of every (row, slab), and their reduction into the sinks. A kernel fills
// slab(row, slab); write(row), after all slabs of a row, adds them in order in float64.
class SinkSums {
  public:
    SinkSums(Scratch& scratch, std::span<const TapSink> sinks, const Shape& shape, const Slabs& slabs);
    ChannelSums slab(int64_t row, int64_t slab) const;
    void write(int64_t row) const { write(row, sums_ ? sums_ + row * slabs_ * channels_ : nullptr); }
    // With the row's sums, [slab][c], from elsewhere.
    void write(int64_t row, const float* sums) const;

  private:
    double total(const float* first, int64_t channel) const;

    std::span<const TapSink> sinks_;
    int64_t channels_, slabs_, pixels_;
    float* sums_ = nullptr;     // [row][slab][c], where a sink wants sums
    float* nonzero_ = nullptr;  // the same, where one wants shares
};

}  // namespace gs::cpu
