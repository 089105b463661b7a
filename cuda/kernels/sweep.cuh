// Where a thread of a sweep (launch.h) stands, and the terms of a gradient that it adds up.
#pragma once

#include "cuda/kernels/device.cuh"
#include "cuda/kernels/launch.h"

namespace gs::cuda {

static_assert(kSweepBlock == kBlock, "sum_over_y is for the blocks that Sweep cuts");

// A sweep as kernels see it.
struct SweepShape {
    int64_t pixels, channels, slab_pixels, slabs;

    explicit SweepShape(const Sweep& sweep)
        : pixels(sweep.pixels),
          channels(sweep.channels),
          slab_pixels(sweep.slab_pixels()),
          slabs(sweep.slabs) {}
};

template <int W>
struct SweepThread {
    int64_t row, slab, channel;  // channels [channel, channel + W)
    int64_t begin, end;          // pixels begin, begin + blockDim.y, ... of this thread
    bool active;                 // has channels at all

    __device__ explicit SweepThread(const SweepShape& shape)
        : row(blockIdx.x),
          slab(blockIdx.y),
          channel((static_cast<int64_t>(blockIdx.z) * blockDim.x + threadIdx.x) * W),
          begin(slab * shape.slab_pixels + threadIdx.y),
          end((slab + 1) * shape.slab_pixels < shape.pixels ? (slab + 1) * shape.slab_pixels : shape.pixels),
          active(channel < shape.channels) {}

    // Of this thread's channels in a map's row.
    __device__ int64_t at(const SweepShape& shape, int64_t map_row, int64_t pixel) const {
        return (map_row * shape.pixels + pixel) * shape.channels + channel;
    }
    // Of this thread's channels in an array [rows][slabs][channels].
    __device__ int64_t partial(const SweepShape& shape) const {
        return (row * shape.slabs + slab) * shape.channels + channel;
    }
    __device__ bool writes_sums() const { return active && threadIdx.y == 0; }
};

// Every thread of the block must call it: the sums over a slab's pixels, written where `to` is not null.
template <int W>
__device__ void write_slab_sums(const SweepThread<W>& self, const SweepShape& shape, const Values<W>& sums,
                                float* to) {
    if (to == nullptr) return;
    const Values<W> total = sum_over_y(sums);
    if (self.writes_sums()) store<W>(to + self.partial(shape), total);
}

// Of a gradient (core/contract.h).
template <class T>
struct Terms {
    const T* from[kMostTerms] = {};
    int count = 0;

    explicit Terms(std::span<const View> views) {
        for (const View& view : views) from[count++] = static_cast<const T*>(view.data);
    }
    template <int W>
    __device__ Values<W> sum(int64_t at) const {
        Values<W> total = load<W>(from[0] + at);
        for (int t = 1; t < count; ++t) {
            const Values<W> term = load<W>(from[t] + at);
            GS_UNROLL
            for (int i = 0; i < W; ++i) total[i] += term[i];
        }
        return total;
    }
};

}  // namespace gs::cuda
