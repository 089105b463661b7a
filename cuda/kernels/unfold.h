// How an input unfolds into the columns of a weight gradient: where X[s,k] of one sample lies in its map.
// k = (kh, kw, c), s = (oh, ow). Indices within a sample have 31 bits.
#pragma once

#include "core/backend.h"

namespace gs::cuda {

// n / d for 0 <= n < 2^31, by a product (Granlund and Montgomery, 1994).
class Divisor {
  public:
    explicit Divisor(int64_t d) : d_(static_cast<int>(d)) {
        GS_REQUIRE(d > 0 && d < (int64_t{1} << 31));
        while ((uint64_t{1} << shift_) < static_cast<uint64_t>(d)) ++shift_;
        multiplier_ = static_cast<uint32_t>(
            ((uint64_t{1} << 32) * ((uint64_t{1} << shift_) - static_cast<uint64_t>(d))) /
                static_cast<uint64_t>(d) +
            1);
    }
    GS_HOST_DEVICE int value() const { return d_; }
    GS_HOST_DEVICE int quotient(int n) const {
        const auto value = static_cast<uint32_t>(n);
        const auto high = static_cast<uint32_t>(static_cast<uint64_t>(multiplier_) * value >> 32);
        return static_cast<int>((high + value) >> shift_);
    }

  private:
    int d_;
    uint32_t multiplier_ = 0, shift_ = 0;
};

// The corner of a position's window, stride * oh - pad.
struct Corner {
    int h, w;
};

struct UnfoldedInput {
    int h, w, c, kernel_w, taps, stride, pad, positions;
    Divisor out_w;

    UnfoldedInput(const ConvSpec& spec, const Shape& x)
        : h(static_cast<int>(x.h)),
          w(static_cast<int>(x.w)),
          c(static_cast<int>(x.c)),
          kernel_w(static_cast<int>(spec.kernel_w)),
          taps(static_cast<int>(spec.kernel_h * spec.kernel_w)),
          stride(static_cast<int>(spec.stride)),
          pad(static_cast<int>(spec.pad)),
          positions(static_cast<int>(spec.output_shape(x).pixels())),
          out_w(spec.output_shape(x).w) {
        GS_REQUIRE(x.per_sample() < (int64_t{1} << 31));
        GS_REQUIRE(spec.output_shape(x).pixels() < (int64_t{1} << 31));
    }
    GS_HOST_DEVICE int k() const { return taps * c; }
    GS_HOST_DEVICE int64_t per_sample() const { return static_cast<int64_t>(h) * w * c; }
    GS_HOST_DEVICE Corner corner(int s) const {
        const int oh = out_w.quotient(s);
        return {oh * stride - pad, (s - oh * out_w.value()) * stride - pad};
    }
};

// One column k: its tap's shift, and what it adds to a corner's place.
struct UnfoldedColumn {
    int dh, dw, offset;
    bool exists;

    GS_HOST_DEVICE UnfoldedColumn(const UnfoldedInput& input, int k)
        : dh(k / input.c / input.kernel_w),
          dw(k / input.c % input.kernel_w),
          offset((dh * input.w + dw) * input.c + k % input.c),
          exists(k < input.k()) {}
    // -1 in the padding and where there is no such column.
    GS_HOST_DEVICE int at(const UnfoldedInput& input, const Corner& corner) const {
        const int ih = corner.h + dh, iw = corner.w + dw;
        const bool inside = exists && ih >= 0 && ih < input.h && iw >= 0 && iw < input.w;
        return inside ? (corner.h * input.w + corner.w) * input.c + offset : -1;
    }
};

}  // namespace gs::cuda
