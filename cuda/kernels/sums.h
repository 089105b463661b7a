// Reductions over a map's pixels: kernels leave float32 sums of slabs, [rows][slabs][channels]; here they are
// added in float64, in order, and written where they were asked for.
#pragma once

#include <span>

#include "cuda/kernels/launch.h"

namespace gs::cuda {

// out[row][c] = factor * scale[c] * sum over slabs; scale float32 [c] or null: 1.
void add_slabs(Context& context, const char* name, const float* partial, const Sweep& sweep, double factor,
               const float* scale, float* out);

// The sums that a backward sweep makes for taps.
class SinkSums {
  public:
    SinkSums(Context& context, std::span<const TapSink> sinks, const Sweep& sweep);

    float* sum() const { return sum_; }          // of the values; null: nobody asks
    float* nonzero() const { return nonzero_; }  // how many are not 0; null: nobody asks
    // From sum(), unless the sums stand elsewhere.
    void write(const float* sums) const;
    void write() const { write(sum_); }

  private:
    Context& context_;
    std::span<const TapSink> sinks_;
    const Sweep& sweep_;
    float *sum_ = nullptr, *nonzero_ = nullptr;
};

}  // namespace gs::cuda
