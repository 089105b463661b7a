// Mean and variance without cancellation: (shift, sum, sum of squares) of each slab and channel, float32
// around a value of the slab, merged in float64.
#pragma once

#include "cuda/kernels/sweep.cuh"

namespace gs::cuda {

// x, or a + b written to y on the way. partial: [rows][slabs][3][channels]: a value of the slab as shift, the
// sum of the distances from it and of their squares.
template <class T>
struct StatsSweep {
    SweepShape shape;
    const T *a, *b;  // b null: a alone
    T* y;            // null: not written
    float* partial;
};

template <class T, int W>
__device__ Values<W> summand(const StatsSweep<T>& args, int64_t at) {
    Values<W> value = load<W>(args.a + at);
    if (args.b == nullptr) return value;
    const Values<W> other = load<W>(args.b + at);
    GS_UNROLL
    for (int i = 0; i < W; ++i) value[i] = as_stored<T>(value[i] + other[i]);
    return value;
}

// y may be a or b: the shift is read before any thread of the block writes.
template <class T, int W>
__global__ void __launch_bounds__(kBlock) stats_kernel(StatsSweep<T> args) {
    const SweepThread<W> self(args.shape);
    Values<W> shift = Values<W>::filled(0), sum = shift, squares = shift;
    if (self.active)
        shift = summand<T, W>(args, self.at(args.shape, self.row, self.slab * args.shape.slab_pixels));
    __syncthreads();
    for (int64_t p = self.begin; self.active && p < self.end; p += blockDim.y) {
        const int64_t at = self.at(args.shape, self.row, p);
        const Values<W> value = summand<T, W>(args, at);
        GS_UNROLL
        for (int i = 0; i < W; ++i) {
            const float d = value[i] - shift[i];
            sum[i] += d;
            squares[i] = fmaf(d, d, squares[i]);
        }
        if (args.y != nullptr) store<W>(args.y + at, value);
    }
    sum = sum_over_y(sum);
    squares = sum_over_y(squares);
    if (!self.writes_sums()) return;
    float* out =
        args.partial + 3 * (self.row * args.shape.slabs + self.slab) * args.shape.channels + self.channel;
    store<W>(out, shift);
    store<W>(out + args.shape.channels, sum);
    store<W>(out + 2 * args.shape.channels, squares);
}

// Mean and sum of squared deviations of `count` values (Chan et al.).
struct Moments {
    double count = 0, mean = 0, m2 = 0;

    __device__ void merge(const Moments& other) {
        if (other.count == 0) return;
        const double total = count + other.count, delta = other.mean - mean;
        mean += delta * other.count / total;
        m2 += other.m2 + delta * delta * count * other.count / total;
        count = total;
    }
};

// Of channels [first, first + width) of a row, for thread 0; every thread of a block of kBlock must call it.
__device__ inline Moments merged_moments(const SweepShape& shape, const float* partial, int64_t row,
                                         int64_t first, int64_t width) {
    __shared__ double counts[kBlock], means[kBlock], m2s[kBlock];
    Moments mine;
    for (int64_t i = threadIdx.x; i < shape.slabs * width; i += blockDim.x) {
        const int64_t slab = i / width, c = first + i % width;
        const float* from = partial + 3 * (row * shape.slabs + slab) * shape.channels + c;
        const int64_t left = shape.pixels - slab * shape.slab_pixels;
        const double count = static_cast<double>(left < shape.slab_pixels ? left : shape.slab_pixels);
        const double sum = from[shape.channels], squares = from[2 * shape.channels];
        const double m2 = squares - sum * sum / count;
        mine.merge({count, static_cast<double>(from[0]) + sum / count, m2 > 0 ? m2 : 0});
    }
    const unsigned t = threadIdx.x;
    counts[t] = mine.count, means[t] = mine.mean, m2s[t] = mine.m2;
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (t >= half) continue;
        mine.merge({counts[t + half], means[t + half], m2s[t + half]});
        counts[t] = mine.count, means[t] = mine.mean, m2s[t] = mine.m2;
    }
    return mine;
}

}  // namespace gs::cuda
