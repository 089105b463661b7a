// What all operations of one CPU backend share.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "cpu/kernels/kernels.h"
#include "cpu/memory.h"

namespace gs::cpu {

struct Context {
    int threads;
    const Kernels& kernels;
    // Scratch memory, each used by several operations, for as long as one of them runs. What a function
    // leaves there is lost to the next one that uses the same.
    Scratch partial_sums;     // of slabs, and of the parts of gradient norms: to be combined in a fixed order
    Scratch coefficients;     // of a norm's channels; of Gram matrices over positions their strips' sums, and
                              // what ghost_norms() returns, which stays while by_rows() runs
    Scratch sinks;            // sums on their way to a tap (SinkSums), or of a PositionSweep's gradients
    Scratch workspace;        // of group norm and depthwise norms a stretch a thread; a norm's factors of dx;
                              // combined norms' Gram matrices, which stay while they are made and read
    Scratch convolution;      // what the convolution that is running unfolds, or a library's own scratchpad
    Scratch weight_gradient;  // tiles and panels of gradients and of Gram matrices, a stretch a thread
    Scratch input, output;    // maps of another type, beside a convolution's own
    Scratch halves;           // an image as two addends
    DType map_type = DType::F32;

    Context(int thread_count, const Kernels& table) : threads(thread_count), kernels(table) {}
};

// How many parts of b cover a.
inline int64_t div_up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

// oneDNN takes its number of threads from OpenMP's setting of the calling thread, when a primitive is made
// and when it runs, and relies on getting as many: with fewer, weight gradients lack what the others would
// have added. It is told what there is: one inside a parallel region of the caller's, at most
// OMP_THREAD_LIMIT, and no fewer where OMP_DYNAMIC would allow that.
class ThreadCount {
  public:
    explicit ThreadCount(int threads) : before_(omp_get_max_threads()), dynamic_(omp_get_dynamic()) {
        const bool alone = omp_in_parallel() != 0 || omp_get_max_active_levels() == 0;
        count_ = alone ? 1 : std::min(threads, omp_get_thread_limit());
        omp_set_num_threads(count_);
        omp_set_dynamic(0);
    }
    ~ThreadCount() {
        omp_set_num_threads(before_);
        omp_set_dynamic(dynamic_);
    }
    ThreadCount(const ThreadCount&) = delete;
    ThreadCount& operator=(const ThreadCount&) = delete;
    int get() const { return count_; }

  private:
    int before_, dynamic_, count_ = 1;
};

// body(i) or body(i, worker) for i in [0, count), spread over the threads. Bodies write disjoint memory and
// do not throw, so the result cannot depend on the number of threads. A worker, below `threads`, does one
// thing at a time: scratch memory of a thread is chosen by it. OpenMP's number of the calling thread would
// not do: where nothing is spread it is the caller's, who may be one of a larger team.
template <class Body>
void parallel_for(int threads, int64_t count, const Body& body) {
    const auto call = [&](int64_t i, [[maybe_unused]] int worker) {
        if constexpr (std::is_invocable_v<const Body&, int64_t, int>)
            body(i, worker);
        else
            body(i);
    };
    if (threads == 1 || count <= 1) {
        for (int64_t i = 0; i < count; ++i) call(i, 0);
        return;
    }
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < count; ++i) call(i, omp_get_thread_num());
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

// Elementwise work on `count` values: body(first, size) of each chunk.
template <class Body>
void in_chunks(int threads, int64_t count, const Body& body, int64_t chunk = Slabs::kFloats) {
    parallel_for(threads, div_up(count, chunk),
                 [&](int64_t i) { body(i * chunk, std::min(chunk, count - i * chunk)); });
}

// Two sweeps over every row of a batch with a combination between: sweep(row, slab, worker), combine(row),
// second(row, slab, worker). Whole rows go to a thread each, so that the second sweep finds its row in cache;
// what is left over is cut into slabs. Which of the two happens changes no bit.
template <class Sweep, class Combine, class Second>
void two_sweeps(int threads, int64_t rows, int64_t slabs, const Sweep& sweep, const Combine& combine,
                const Second& second) {
    const int64_t whole = rows - rows % threads;
    parallel_for(threads, whole, [&](int64_t row, int worker) {
        for (int64_t s = 0; s < slabs; ++s) sweep(row, s, worker);
        combine(row);
        for (int64_t s = 0; s < slabs; ++s) second(row, s, worker);
    });
    for (int64_t row = whole; row < rows; ++row) {
        parallel_for(threads, slabs, [&](int64_t s, int worker) { sweep(row, s, worker); });
        combine(row);
        parallel_for(threads, slabs, [&](int64_t s, int worker) { second(row, s, worker); });
    }
}

}  // namespace gs::cpu
