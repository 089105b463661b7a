#include "cpu/sinks.h"

namespace gs::cpu {

SinkSums::SinkSums(Scratch& scratch, std::span<const TapSink> sinks, const Shape& shape, const Slabs& slabs)
    : sinks_(sinks), channels_(shape.c), slabs_(slabs.count), pixels_(shape.pixels()) {
    bool sums = false, shares = false;
    for (const TapSink& sink : sinks) {
        (sink.reduction == Reduction::NonzeroShare ? shares : sums) = true;
    }
    const size_t each = static_cast<size_t>(shape.n * slabs.count * shape.c);
    if (!sums && !shares) return;
    float* memory = scratch.get<float>(each * (sums && shares ? 2 : 1));
    if (sums) sums_ = memory;
    if (shares) nonzero_ = sums ? memory + each : memory;
}

ChannelSums SinkSums::slab(int64_t row, int64_t slab) const {
    const int64_t at = (row * slabs_ + slab) * channels_;
    return {sums_ ? sums_ + at : nullptr, nonzero_ ? nonzero_ + at : nullptr};
}

double SinkSums::total(const float* first, int64_t channel) const {
    double sum = 0.0;
    for (int64_t s = 0; s < slabs_; ++s) sum += static_cast<double>(first[s * channels_ + channel]);
    return sum;
}

void SinkSums::write(int64_t row, const float* sums) const {
    for (const TapSink& sink : sinks_) {
        const bool share = sink.reduction == Reduction::NonzeroShare;
        const float* from = share ? nonzero_ + row * slabs_ * channels_ : sums;
        const double divisor = sink.reduction == Reduction::Sum ? 1.0 : static_cast<double>(pixels_);
        float* out = sink.out.f32() + row * channels_;
        for (int64_t c = 0; c < channels_; ++c) out[c] = static_cast<float>(total(from, c) / divisor);
    }
}

}  // namespace gs::cpu
