// What all operations of one CPU backend share.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>

#include "cpu/kernels/kernels.h"
#include "cpu/memory.h"

namespace gs::cpu {

struct Context {
    int threads;
    const Kernels& kernels;
    Scratch partial_sums;   // of slabs, combined in a fixed order
    Scratch coefficients;   // per sample and channel
    Scratch sinks;          // reductions on their way to a tap
    Scratch per_thread;     // one stretch for each thread, or for each row
    Scratch convolution;    // scratchpad of the convolution that is running
    Scratch gradient;       // of a weight gradient: a tile and a panel for each thread
    Scratch input, output;  // maps of another type, beside a convolution's own
    DType map_type = DType::F32;

    Context(int thread_count, const Kernels& table) : threads(thread_count), kernels(table) {}
};

// How many parts of b cover a.
inline int64_t div_up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

// oneDNN takes its number of threads from OpenMP's setting of the calling thread, when a primitive is made
// and when it runs.
class ThreadCount {
  public:
    explicit ThreadCount(int threads) : before_(omp_get_max_threads()) {
        if (threads != before_) omp_set_num_threads(threads);
    }
    ~ThreadCount() { omp_set_num_threads(before_); }
    ThreadCount(const ThreadCount&) = delete;
    ThreadCount& operator=(const ThreadCount&) = delete;

  private:
    int before_;
};

// body(i) for i in [0, count), spread over the threads. Bodies write disjoint memory and do not throw, so the
// result cannot depend on the number of threads.
template <class Body>
void parallel_for(int threads, int64_t count, const Body& body) {
    if (threads == 1 || count <= 1) {
        for (int64_t i = 0; i < count; ++i) body(i);
        return;
    }
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < count; ++i) body(i);
}

// A map is swept in slabs of whole pixels that fit a core's cache. The cut depends on the map alone, never on
// batch or threads, and partial results are combined in order: sums are the same bits on any machine.
struct Slabs {
    int64_t pixels, channels, slab_pixels, count;

    static constexpr int64_t kFloats = 32768;  // 128 KB
    static constexpr int64_t kPixelUnroll = 4;

    static constexpr int64_t kMostSummed = 256;  // pixels that a channel's float32 sum runs over

    explicit Slabs(const Shape& shape) : Slabs(shape.pixels(), shape.c, kMostSummed) {}
    Slabs(int64_t pixel_count, int64_t channel_count, int64_t most = kFloats)
        : pixels(pixel_count), channels(channel_count) {
        const int64_t fit = std::min(most, kFloats / channels / kPixelUnroll * kPixelUnroll);
        slab_pixels = std::clamp<int64_t>(fit, kPixelUnroll, std::max<int64_t>(pixels, kPixelUnroll));
        count = div_up(pixels, slab_pixels);
    }
    int64_t first(int64_t slab) const { return slab * slab_pixels; }
    int64_t size(int64_t slab) const { return std::min(slab_pixels, pixels - first(slab)); }
    int64_t offset(int64_t slab) const { return first(slab) * channels; }  // in floats, inside a sample
};

// Two sweeps over every row of a batch with a combination between: sweep(row, slab), combine(row),
// second(row, slab). Whole rows go to a thread each, so that the second sweep finds its row in cache; what is
// left over is cut into slabs. Which of the two happens changes no bit.
template <class Sweep, class Combine, class Second>
void two_sweeps(int threads, int64_t rows, int64_t slabs, const Sweep& sweep, const Combine& combine,
                const Second& second) {
    const int64_t whole = rows - rows % threads;
    parallel_for(threads, whole, [&](int64_t row) {
        for (int64_t s = 0; s < slabs; ++s) sweep(row, s);
        combine(row);
        for (int64_t s = 0; s < slabs; ++s) second(row, s);
    });
    for (int64_t row = whole; row < rows; ++row) {
        parallel_for(threads, slabs, [&](int64_t s) { sweep(row, s); });
        combine(row);
        parallel_for(threads, slabs, [&](int64_t s) { second(row, s); });
    }
}

}  // namespace gs::cpu
