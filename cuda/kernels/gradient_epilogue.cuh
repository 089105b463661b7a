// What becomes of a finished tile of a weight gradient: sums of its rows, the projection of standardised
// weights, and power sums. Only these leave the block.
#pragma once

#include "cuda/kernels/arrivals.cuh"
#include "cuda/kernels/gradient_tile.cuh"
#include "cuda/kernels/gradient_tiles.h"

namespace gs::cuda {

// Where a tile lies.
struct TilePlace {
    int64_t row;
    int tile_o, tile_k, tiles_o, tiles_k, slice;

    // `index` counts along k first, then along o, slices and rows: a row of G is consecutive.
    GS_HOST_DEVICE TilePlace(unsigned index, int64_t first_row, int tiles_o_, int tiles_k_, int slices)
        : tiles_o(tiles_o_), tiles_k(tiles_k_) {
        const auto in_row = static_cast<unsigned>(tiles_o * tiles_k), k = static_cast<unsigned>(tiles_k);
        tile_k = static_cast<int>(index % k);
        tile_o = static_cast<int>(index % in_row / k);
        const unsigned sliced = index / in_row;
        slice = static_cast<int>(sliced % static_cast<unsigned>(slices));
        row = first_row + sliced / static_cast<unsigned>(slices);
    }
    GS_HOST_DEVICE int64_t group() const { return row * tiles_o + tile_o; }
    GS_HOST_DEVICE int64_t tile() const { return static_cast<int64_t>(tile_o) * tiles_k + tile_k; }
};

// In the shared memory that the stages were in.
template <class Shape>
struct EndingMemory {
    float sums[kRowSums][Shape::kWarpsK][Shape::kO];
    float factor[Shape::kO], mean[Shape::kO], slope[Shape::kO];
    float values[Shape::kM * Shape::kN * 4][Shape::kThreads];  // for general exponents
};

// The sum of a value of all lanes that hold one row of a fragment, for each of them.
__device__ inline float sum_over_row_lanes(float value) {
    value += __shfl_xor_sync(0xffffffffu, value, 1);
    return value + __shfl_xor_sync(0xffffffffu, value, 2);
}

// f(value, n, i) of a thread's values in the row that accumulators 2 half and 2 half + 1 of line m belong to.
template <int N, class F>
__device__ void for_each_in_row(float (&line)[N][4], int half, const F& f) {
    GS_UNROLL
    for (int n = 0; n < N; ++n) {
        f(line[n][2 * half], n, 2 * half);
        f(line[n][2 * half + 1], n, 2 * half + 1);
    }
}

// The tile's part of the sums of its rows: memory.sums, by warp along k.
template <class Shape, class Tile>
__device__ void sum_rows_of_warps(Tile& tile, const TileEnding& ending, int outputs, int k, int o0, int k0,
                                  EndingMemory<Shape>& memory) {
    const TileThread<Shape> self;
    const float* const weights[] = {nullptr, ending.standardised, ending.gamma_weights};
    GS_UNROLL
    for (int m = 0; m < Shape::kM; ++m) {
        GS_UNROLL
        for (int half = 0; half < 2; ++half) {
            const int row = self.row(m, 2 * half), o = o0 + row;
            GS_UNROLL
            for (int which = 0; which < kRowSums; ++which) {
                float sum = 0;
                for_each_in_row(tile[m], half, [&](float value, int n, int i) {
                    const int column = k0 + self.column(n, i);
                    if (column >= k || o >= outputs) return;
                    if (which == kSumOfRow)
                        sum += value;
                    else if (weights[which] != nullptr)
                        sum = fmaf(value, weights[which][static_cast<int64_t>(o) * k + column], sum);
                });
                sum = sum_over_row_lanes(sum);
                if (self.lane % 4 == 0) memory.sums[which][self.warp_k][row] = sum;
            }
        }
    }
    __syncthreads();
}

// Of row sums `which` of output o0 + row; the tiles of a row in order.
template <class Shape>
__device__ double whole_row_sum(int which, int row, int o, int outputs, const TilePlace& place,
                                const TileEnding& ending, const EndingMemory<Shape>& memory) {
    double sum = 0;
    if (ending.row_sums == nullptr) {
        for (int w = 0; w < Shape::kWarpsK; ++w) sum += static_cast<double>(memory.sums[which][w][row]);
        return sum;
    }
    for (int t = 0; t < place.tiles_k; ++t)
        sum += static_cast<double>(
            __ldcg(ending.row_sums + ((place.row * place.tiles_k + t) * kRowSums + which) * outputs + o));
    return sum;
}

template <class Shape>
__device__ void write_row_sums(int outputs, int o0, const TilePlace& place, const TileEnding& ending,
                               const EndingMemory<Shape>& memory) {
    for (int at = static_cast<int>(threadIdx.x); at < kRowSums * Shape::kO; at += Shape::kThreads) {
        const int which = at / Shape::kO, row = at % Shape::kO;
        if (o0 + row >= outputs) continue;
        float sum = 0;
        for (int w = 0; w < Shape::kWarpsK; ++w) sum += memory.sums[which][w][row];
        ending
            .row_sums[((place.row * place.tiles_k + place.tile_k) * kRowSums + which) * outputs + o0 + row] =
            sum;
    }
}

// G - mean - w * slope, the gradient of the stored weights but for its scale.
template <class Shape, class Tile>
__device__ void project(Tile& tile, int outputs, int k, int o0, int k0, const TilePlace& place,
                        const TileEnding& ending, EndingMemory<Shape>& memory) {
    const TileThread<Shape> self;
    for (int at = static_cast<int>(threadIdx.x); at < Shape::kO; at += Shape::kThreads) {
        if (o0 + at >= outputs) continue;
        const auto mean = [&](int which) {
            return static_cast<float>(whole_row_sum(which, at, o0 + at, outputs, place, ending, memory) / k);
        };
        memory.mean[at] = mean(kSumOfRow);
        memory.slope[at] = mean(kSlope);
    }
    __syncthreads();
    GS_UNROLL
    for (int m = 0; m < Shape::kM; ++m) {
        GS_UNROLL
        for (int half = 0; half < 2; ++half) {
            const int row = self.row(m, 2 * half);
            const int64_t o = o0 + row;
            if (o >= outputs) continue;
            const float mean = memory.mean[row], slope = memory.slope[row];
            for_each_in_row(tile[m], half, [&](float& value, int n, int i) {
                const int column = k0 + self.column(n, i);
                if (column < k) value = fmaf(-ending.standardised[o * k + column], slope, value - mean);
            });
        }
    }
}

// |v|^p; a root is off by at most 2^-23 of itself, and an instruction instead of a dozen.
template <Power kind>
__device__ float fast_power(float v) {
#if defined(__CUDACC__)
    if constexpr (kind == Power::Half) {
        float root;
        asm("sqrt.approx.f32 %0, %1;" : "=f"(root) : "f"(fabsf(v)));
        return root;
    }
#endif
    Exponent exponent;
    exponent.power = kind;
    return power(v, exponent);
}

// The power sum of a thread's values: float32 along its part of a row, whose scale stands before the sum.
template <Power kind, class Shape, class Tile>
__device__ double power_sum(Tile& tile, const EndingMemory<Shape>& memory) {
    const TileThread<Shape> self;
    Exponent exponent;
    exponent.power = kind;
    double total = 0;
    GS_UNROLL
    for (int m = 0; m < Shape::kM; ++m) {
        GS_UNROLL
        for (int half = 0; half < 2; ++half) {
            float sum = 0;
            for_each_in_row(tile[m], half, [&](float value, int, int) {
                sum = combined(sum, fast_power<kind>(value), exponent);
            });
            const double scaled =
                static_cast<double>(sum) * static_cast<double>(memory.factor[self.row(m, 2 * half)]);
            total = combined(total, scaled, exponent);
        }
    }
    return total;
}

// One value after the other, so that the power needs its registers once.
template <class Shape, class Tile>
__device__ double general_power_sum(const Tile& tile, const Exponent& exponent, EndingMemory<Shape>& memory) {
    const TileThread<Shape> self;
    GS_UNROLL
    for (int m = 0; m < Shape::kM; ++m) {
        GS_UNROLL
        for (int n = 0; n < Shape::kN; ++n) {
            GS_UNROLL
            for (int i = 0; i < 4; ++i)
                memory.values[(m * Shape::kN + n) * 4 + i][threadIdx.x] = tile[m][n][i];
        }
    }
    double total = 0;
    GS_ROLLED
    for (int at = 0; at < Shape::kM * Shape::kN * 4; ++at) {
        const float factor = memory.factor[self.row(at / (Shape::kN * 4), at % 4)];
        total += static_cast<double>(factor) *
                 static_cast<double>(power(memory.values[at][threadIdx.x], exponent));
    }
    return total;
}

template <class Shape, class Tile>
__device__ double power_sum(Tile& tile, const Exponent& exponent, EndingMemory<Shape>& memory) {
    switch (exponent.power) {
        case Power::Half:
            return power_sum<Power::Half, Shape>(tile, memory);
        case Power::One:
            return power_sum<Power::One, Shape>(tile, memory);
        case Power::Two:
            return power_sum<Power::Two, Shape>(tile, memory);
        case Power::Three:
            return power_sum<Power::Three, Shape>(tile, memory);
        case Power::Largest:
            return power_sum<Power::Largest, Shape>(tile, memory);
        case Power::Any:
            break;
    }
    return general_power_sum<Shape>(tile, exponent, memory);
}

// Every thread of the block must call it.
template <class Shape, class Tile>
__device__ void end_tile(Tile& tile, int outputs, int k, const TilePlace& place, const TileEnding& ending,
                         EndingMemory<Shape>& memory) {
    const int o0 = place.tile_o * Shape::kO, k0 = place.tile_k * Shape::kK;
    if (ending.writes_row_sums) {
        sum_rows_of_warps<Shape>(tile, ending, outputs, k, o0, k0, memory);
        if (ending.row_sums != nullptr) write_row_sums<Shape>(outputs, o0, place, ending, memory);
        if (ending.arrived != nullptr)
            wait_for_group(ending.arrived + place.group(), static_cast<unsigned>(place.tiles_k));
    }
    if (ending.projects) project<Shape>(tile, outputs, k, o0, k0, place, ending, memory);
    const int64_t tiles = static_cast<int64_t>(place.tiles_o) * place.tiles_k;
    for (int n = 0; n < ending.exponents.count; ++n) {
        const Exponent exponent = ending.exponents.of[n];
        for (int at = static_cast<int>(threadIdx.x); at < Shape::kO; at += Shape::kThreads) {
            const bool scaled = ending.row_scale != nullptr && o0 + at < outputs;
            memory.factor[at] = scaled ? power(ending.row_scale[o0 + at], exponent) : 1.0f;
        }
        __syncthreads();
        const double sum = combined_over_block(power_sum<Shape>(tile, exponent, memory), exponent);
        if (threadIdx.x == 0)
            ending.partial[(place.row * ending.exponents.count + n) * tiles + place.tile()] = sum;
    }
}

}  // namespace gs::cuda
