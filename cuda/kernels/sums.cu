#include "cuda/kernels/device.cuh"
#include "cuda/kernels/sums.h"

namespace gs::cuda {
namespace {

// One value a thread: neighbours read neighbouring channels.
__global__ void __launch_bounds__(kBlock)
    add_slabs_kernel(const float* partial, int64_t values, int64_t channels, int64_t slabs, double factor,
                     const float* scale, float* out) {
    const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= values) return;
    const int64_t row = i / channels, c = i % channels;
    const float* from = partial + row * slabs * channels + c;
    double lanes[4] = {};
    int64_t s = 0;
    for (; s + 4 <= slabs; s += 4) {
        GS_UNROLL
        for (int l = 0; l < 4; ++l) lanes[l] += static_cast<double>(from[(s + l) * channels]);
    }
    for (; s < slabs; ++s) lanes[0] += static_cast<double>(from[s * channels]);
    const double total = (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
    out[i] = static_cast<float>(total * factor * (scale == nullptr ? 1.0 : static_cast<double>(scale[c])));
}

}  // namespace

void add_slabs(Context& context, const char* name, const float* partial, const Sweep& sweep, double factor,
               const float* scale, float* out) {
    const int64_t values = sweep.rows * sweep.channels;
    if (values == 0) return;
    launch(context, name, add_slabs_kernel, blocks_for(values), kBlock, 0, partial, values, sweep.channels,
           sweep.slabs, factor, scale, out);
}

SinkSums::SinkSums(Context& context, std::span<const TapSink> sinks, const Sweep& sweep)
    : context_(context), sinks_(sinks), sweep_(sweep) {
    bool sums = false, shares = false;
    for (const TapSink& sink : sinks) {
        (sink.reduction == Reduction::NonzeroShare ? shares : sums) = true;
    }
    const int64_t each = sweep.rows * sweep.slabs * sweep.channels;
    if (!sums && !shares) return;
    auto* memory = context.scratch<float>(ScratchUse::Sinks, each * (sums && shares ? 2 : 1));
    if (sums) sum_ = memory;
    if (shares) nonzero_ = sums ? memory + each : memory;
}

void SinkSums::write(const float* sums) const {
    for (const TapSink& sink : sinks_) {
        const bool share = sink.reduction == Reduction::NonzeroShare;
        const double factor =
            sink.reduction == Reduction::Sum ? 1.0 : 1.0 / static_cast<double>(sweep_.pixels);
        add_slabs(context_, "reduction at a tap", share ? nonzero_ : sums, sweep_, factor, nullptr,
                  sink.out.f32());
    }
}

}  // namespace gs::cuda
