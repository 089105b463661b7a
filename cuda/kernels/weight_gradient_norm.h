// How an input unfolds into the columns of a weight gradient.
#pragma once

#include "cuda/context.h"

namespace gs::cuda {

// The unfolded input X[s,k] of one sample: k = (kh, kw, c), s = (oh, ow).
struct UnfoldedInput {
    int64_t h, w, c, kernel_h, kernel_w, stride, pad, out_h, out_w;

    UnfoldedInput(const ConvSpec& spec, const Shape& x)
        : h(x.h),
          w(x.w),
          c(x.c),
          kernel_h(spec.kernel_h),
          kernel_w(spec.kernel_w),
          stride(spec.stride),
          pad(spec.pad),
          out_h(spec.output_shape(x).h),
          out_w(spec.output_shape(x).w) {}
    GS_HOST_DEVICE int64_t k() const { return kernel_h * kernel_w * c; }
    GS_HOST_DEVICE int64_t positions() const { return out_h * out_w; }
    GS_HOST_DEVICE int64_t per_sample() const { return h * w * c; }
};

// One column k, and where its value at a position lies in the sample.
struct UnfoldedColumn {
    int64_t dh, dw, c;  // c < 0: there is no such column

    GS_HOST_DEVICE UnfoldedColumn(const UnfoldedInput& input, int64_t k)
        : dh(k / input.c / input.kernel_w),
          dw(k / input.c % input.kernel_w),
          c(k < input.k() ? k % input.c : -1) {}
    // h, w: the corner of the position's window, stride * oh - pad. -1 for the padding and beyond the
    // columns.
    GS_HOST_DEVICE int64_t at(const UnfoldedInput& input, int64_t corner_h, int64_t corner_w) const {
        const int64_t ih = corner_h + dh, iw = corner_w + dw;
        const bool inside = c >= 0 && ih >= 0 && ih < input.h && iw >= 0 && iw < input.w;
        return inside ? (ih * input.w + iw) * input.c + c : -1;
    }
};

}  // namespace gs::cuda
