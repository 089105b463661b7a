// What becomes of a finished tile of a weight gradient: sums of its rows, the projection of standardised
// weights, and power sums. Only these leave the block.
#pragma once

#include "cuda/kernels/arrivals.cuh"
#include "cuda/kernels/gradient_tile.cuh"
#include "cuda/kernels/gradient_tiles.h"

namespace gs::cuda {

// Which tiles a block makes: of slice `slice` of positions, those at (tile_o, first_k), (tile_o, first_k +
// 1)...
struct TilePlace {
    int in_order, row;  // the row, and where it stands in the rows' order
    int tile_o, part, slice, first_k, count;

    // `index` counts along k first, then along o, slices and rows: a row of G is consecutive.
    GS_HOST_DEVICE TilePlace(unsigned index, int64_t first, const RowOrder& order, const NormPlan& plan)
        : part(static_cast<int>(index % static_cast<unsigned>(plan.parts_k))),
          first_k(part * plan.walk),
          count(plan.tiles_k - first_k < plan.walk ? plan.tiles_k - first_k : plan.walk) {
        const unsigned of_part = index / static_cast<unsigned>(plan.parts_k),
                       of_tile = of_part / static_cast<unsigned>(plan.tiles_o);
        tile_o = static_cast<int>(of_part % static_cast<unsigned>(plan.tiles_o));
        slice = static_cast<int>(of_tile % static_cast<unsigned>(plan.slices));
        in_order = static_cast<int>(first + of_tile / static_cast<unsigned>(plan.slices));
        row = static_cast<int>(order.row(in_order));
    }
};

// Shared memory of a block's sums; beside that of the streams.
template <class Shape>
struct EndingMemory {
    float sums[kRowSums][Shape::kWarpsK][Shape::kO];
    float factor[kMostNorms][Shape::kO], mean[Shape::kO], slope[Shape::kO];
    double of_warps[kMostNorms][Shape::kThreads / kWarpSize];
};
// In that of the streams, once they have ended: for general exponents.
template <class Shape>
struct TileValues {
    float of[Shape::kM * Shape::kN * 4][Shape::kThreads];
};

// The sum of a value of all lanes that hold one row of a fragment, for each of them.
__device__ inline float sum_over_row_lanes(float value) {
    value += __shfl_xor_sync(0xffffffffu, value, 1);
    return value + __shfl_xor_sync(0xffffffffu, value, 2);
}

// The weights of two neighbouring columns; both at once where k is even.
struct WeightPair {
    float of[2];

    __device__ WeightPair(const float* row, int column, int k) : of{0, 0} {
        if (k % 2 == 0) {
            const uint2 bits = *reinterpret_cast<const uint2*>(row + column);
            of[0] = std::bit_cast<float>(bits.x), of[1] = std::bit_cast<float>(bits.y);
        } else {
            of[0] = row[column];
            if (column + 1 < k) of[1] = row[column + 1];
        }
    }
};

// f(values of two neighbouring columns, n) of a thread's values in one row of a line of fragments.
template <int N, class F>
__device__ void for_each_pair(float (&line)[N][4], int half, const F& f) {
    GS_UNROLL
    for (int n = 0; n < N; ++n) f(line[n][2 * half], line[n][2 * half + 1], n);
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

// How a block's tiles end.
template <class Config>
class TileEnd {
  public:
    using Shape = typename Config::Shape;
    using Tile = typename Config::Tile;
    using Memory = EndingMemory<Shape>;

    __device__ TileEnd(const TileEnding& ending, const TilePlace& place, const NormPlan& plan, int outputs,
                       int k, Memory& memory)
        : ending_(ending), place_(place), plan_(plan), outputs_(outputs), k_(k), memory_(memory) {}

    // Before the first tile; the streams' first barrier makes it seen.
    __device__ void begin() {
        for (int at = static_cast<int>(threadIdx.x); at < kMostNorms * Shape::kO; at += Shape::kThreads) {
            const int n = at / Shape::kO, o = o0() + at % Shape::kO;
            const bool scaled = ending_.row_scale != nullptr && o < outputs_ && n < ending_.exponents.count;
            memory_.factor[n][at % Shape::kO] =
                scaled ? power(ending_.row_scale[o], ending_.exponents.of[n]) : 1.0f;
        }
        if (self_.lane == 0)
            for (int n = 0; n < kMostNorms; ++n) memory_.of_warps[n][threadIdx.x / kWarpSize] = 0;
    }

    // tile_k: its number along k. values: where the streams have ended, else null.
    __device__ void add(Tile& tile, int tile_k, TileValues<Shape>* values) {
        const int k0 = tile_k * Shape::kK;
        if (ending_.writes_row_sums) {
            sum_rows_of_warps(tile, k0);
            if (ending_.row_sums != nullptr) write_row_sums(tile_k);
            if (ending_.arrived != nullptr)
                wait_for_group(ending_.arrived + int64_t{place_.row} * plan_.tiles_o + place_.tile_o,
                               static_cast<unsigned>(plan_.tiles_k));
        }
        if (ending_.projects) project(tile, k0);
        for (int n = 0; n < ending_.exponents.count; ++n) {
            const Exponent exponent = ending_.exponents.of[n];
            double sum = power_sum(tile, n, exponent, values);
            GS_UNROLL
            for (int mask = kWarpSize / 2; mask > 0; mask /= 2)
                sum = combined(sum, __shfl_xor_sync(0xffffffffu, sum, mask), exponent);
            double& total = memory_.of_warps[n][threadIdx.x / kWarpSize];
            if (self_.lane == 0) total = combined(total, sum, exponent);
        }
    }

    // After the last: one value an exponent.
    __device__ void write() const {
        __syncthreads();
        const int n = static_cast<int>(threadIdx.x);
        if (n >= ending_.exponents.count) return;
        double total = 0;
        for (const double of_warp : memory_.of_warps[n])
            total = combined(total, of_warp, ending_.exponents.of[n]);
        const int64_t parts = static_cast<int64_t>(plan_.tiles_o) * plan_.parts_k;
        ending_.partial[(int64_t{place_.row} * ending_.exponents.count + n) * parts +
                        place_.tile_o * plan_.parts_k + place_.part] = total;
    }

  private:
    const TileEnding& ending_;
    const TilePlace& place_;
    const NormPlan& plan_;
    int outputs_, k_;
    Memory& memory_;
    TileThread<Shape> self_;

    __device__ int o0() const { return place_.tile_o * Shape::kO; }

    // The tile's part of the sums of its rows, by warp along k. Values beyond the edges are 0.
    __device__ void sum_rows_of_warps(Tile& tile, int k0) {
        GS_UNROLL
        for (int m = 0; m < Shape::kM; ++m) {
            GS_UNROLL
            for (int half = 0; half < 2; ++half) {
                const int row = self_.row(m, 2 * half);
                if (ending_.standardised != nullptr) {
                    float sum = 0;
                    for_each_pair(tile[m], half, [&](float a, float b, int) { sum += a + b; });
                    put_sum(kSumOfRow, row, sum);
                    put_sum(kSlope, row, dot(tile[m], half, ending_.standardised, row, k0));
                }
                if (ending_.gamma_weights != nullptr)
                    put_sum(kGammaDot, row, dot(tile[m], half, ending_.gamma_weights, row, k0));
            }
        }
        __syncthreads();
    }
    __device__ void put_sum(RowSum which, int row, float sum) {
        sum = sum_over_row_lanes(sum);
        if (self_.lane % 4 == 0) memory_.sums[which][self_.warp_k][row] = sum;
    }
    __device__ float dot(float (&line)[Shape::kN][4], int half, const float* weights, int row, int k0) const {
        float sum = 0;
        if (o0() + row >= outputs_) return sum;
        const float* of_row = weights + static_cast<int64_t>(o0() + row) * k_;
        for_each_pair(line, half, [&](float a, float b, int n) {
            const int column = k0 + self_.column(n, 0);
            if (column >= k_) return;
            const WeightPair w(of_row, column, k_);
            sum = fmaf(a, w.of[0], sum);
            sum = fmaf(b, w.of[1], sum);
        });
        return sum;
    }

    // Row sums `which` of output o0 + row over all of k, the tiles of a row in order.
    __device__ double whole_row_sum(int which, int row) const {
        double sum = 0;
        if (ending_.row_sums == nullptr) {
            for (int w = 0; w < Shape::kWarpsK; ++w) sum += static_cast<double>(memory_.sums[which][w][row]);
            return sum;
        }
        for (int t = 0; t < plan_.tiles_k; ++t) sum += static_cast<double>(__ldcg(row_sum(which, t, row)));
        return sum;
    }
    __device__ float* row_sum(int which, int tile_k, int row) const {
        return ending_.row_sums +
               ((int64_t{place_.row} * plan_.tiles_k + tile_k) * kRowSums + which) * outputs_ + o0() + row;
    }

    __device__ void write_row_sums(int tile_k) const {
        for (int at = static_cast<int>(threadIdx.x); at < kRowSums * Shape::kO; at += Shape::kThreads) {
            const int which = at / Shape::kO, row = at % Shape::kO;
            if (o0() + row >= outputs_) continue;
            float sum = 0;
            for (int w = 0; w < Shape::kWarpsK; ++w) sum += memory_.sums[which][w][row];
            *row_sum(which, tile_k, row) = sum;
        }
        __syncthreads();  // project() may read them, and the next tile's sums take their place
    }

    // G - mean - w * slope, the gradient of the stored weights but for its scale.
    __device__ void project(Tile& tile, int k0) {
        for (int at = static_cast<int>(threadIdx.x); at < Shape::kO; at += Shape::kThreads) {
            if (o0() + at >= outputs_) continue;
            memory_.mean[at] = static_cast<float>(whole_row_sum(kSumOfRow, at) / k_);
            memory_.slope[at] = static_cast<float>(whole_row_sum(kSlope, at) / k_);
        }
        __syncthreads();
        GS_UNROLL
        for (int m = 0; m < Shape::kM; ++m) {
            GS_UNROLL
            for (int half = 0; half < 2; ++half) {
                const int row = self_.row(m, 2 * half);
                const int64_t o = o0() + row;
                if (o >= outputs_) continue;
                const float mean = memory_.mean[row], slope = memory_.slope[row];
                const float* of_row = ending_.standardised + o * k_;
                for_each_pair(tile[m], half, [&](float& a, float& b, int n) {
                    const int column = k0 + self_.column(n, 0);
                    if (column >= k_) return;
                    const WeightPair w(of_row, column, k_);
                    a = fmaf(-w.of[0], slope, a - mean);
                    if (column + 1 < k_) b = fmaf(-w.of[1], slope, b - mean);
                });
            }
        }
    }

    // The sum of a thread's values: float32 along its part of a row, whose scale stands before the sum.
    template <Power kind>
    __device__ double sum_of(Tile& tile, int which) const {
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
                const float factor = memory_.factor[which][self_.row(m, 2 * half)];
                total = combined(total, static_cast<double>(sum) * static_cast<double>(factor), exponent);
            }
        }
        return total;
    }

    // One value after the other, so that the power needs its registers once.
    __device__ double sum_of_general(const Tile& tile, int which, const Exponent& exponent,
                                     TileValues<Shape>& values) const {
        GS_UNROLL
        for (int m = 0; m < Shape::kM; ++m) {
            GS_UNROLL
            for (int n = 0; n < Shape::kN; ++n) {
                GS_UNROLL
                for (int i = 0; i < 4; ++i)
                    values.of[(m * Shape::kN + n) * 4 + i][threadIdx.x] = tile[m][n][i];
            }
        }
        double total = 0;
        GS_ROLLED
        for (int at = 0; at < Shape::kM * Shape::kN * 4; ++at) {
            const float factor = memory_.factor[which][self_.row(at / (Shape::kN * 4), at % 4)];
            total += static_cast<double>(factor) *
                     static_cast<double>(power(values.of[at][threadIdx.x], exponent));
        }
        return total;
    }

    __device__ double power_sum(Tile& tile, int which, const Exponent& exponent,
                                TileValues<Shape>* values) const {
        switch (exponent.power) {
            case Power::Half:
                return sum_of<Power::Half>(tile, which);
            case Power::One:
                return sum_of<Power::One>(tile, which);
            case Power::Two:
                return sum_of<Power::Two>(tile, which);
            case Power::Three:
                return sum_of<Power::Three>(tile, which);
            case Power::Largest:
                return sum_of<Power::Largest>(tile, which);
            case Power::Any:
                break;
        }
        return sum_of_general(tile, which, exponent, *values);
    }
};

}  // namespace gs::cuda
