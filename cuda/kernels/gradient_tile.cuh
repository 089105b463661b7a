// A tile of one row's weight gradient in the registers of a block,
//   G[o,k] = sum_s dy[s,o] X[s,k],
// by tensor cores. Chunks of positions of both operands stream through shared memory, several at once under
// way; X is unfolded while it is loaded, and what lies beyond an edge is loaded as zeros.
#pragma once

#include "cuda/kernels/mma.cuh"
#include "cuda/kernels/unfold.h"

namespace gs::cuda {

// What products are made of. ThreeTf32 is float32: each operand is the sum of two tf32 numbers, of whose four
// products the smallest is left out, 2^-22 of the whole.
enum class Arithmetic : uint8_t { Bf16, Tf32, ThreeTf32 };

// A tile of kO x kK values, cut among the warps of a block; a warp has kM x kN fragments of 16 x 8.
template <int kO_, int kK_, int kWarpsO_, int kWarpsK_>
struct TileShape {
    static constexpr int kO = kO_, kK = kK_, kWarpsO = kWarpsO_, kWarpsK = kWarpsK_;
    static constexpr int kThreads = kWarpsO * kWarpsK * kWarpSize;
    static constexpr int kM = kO / kWarpsO / 16, kN = kK / kWarpsK / 8;
    static_assert(kM * 16 * kWarpsO == kO && kN * 8 * kWarpsK == kK && kN % 2 == 0);
};

// Rows of a panel in shared memory are 8 values longer than its columns: ldmatrix' rows of 16 bytes and the
// single words of a tf32 fragment then fall into different banks.
constexpr int pitch_of(int columns) {
    return columns + 8;
}

template <Arithmetic arithmetic_, class TX_, class TD_, class Shape_>
struct TileConfig {
    using TX = TX_;
    using TD = TD_;
    using Shape = Shape_;
    static constexpr Arithmetic kArithmetic = arithmetic_;
    static constexpr MmaType kMma = kArithmetic == Arithmetic::Bf16 ? MmaType::Bf16 : MmaType::Tf32;
    static constexpr int kChunk = 2 * mma_depth(kMma);  // positions
    static constexpr int kStages = 4;
    // Positions that a tensor core's own sum runs over before it is added in float32, rounded to nearest: it
    // cuts off what does not fit, three times as often with three products.
    static constexpr int kFlush = kArithmetic == Arithmetic::ThreeTf32 ? 64 : 256;
    static_assert(kArithmetic != Arithmetic::Bf16 || (sizeof(TX) == 2 && sizeof(TD) == 2));

    struct alignas(16) Stage {
        TD dy[kChunk * pitch_of(Shape::kO)];
        TX x[kChunk * pitch_of(Shape::kK)];
    };
    using Tile = float[Shape::kM][Shape::kN][4];
};

// Where a thread stands in a tile.
template <class Shape>
struct TileThread {
    int lane, warp_o, warp_k, o, k;  // o, k: of the warp's corner in the tile

    __device__ TileThread()
        : lane(static_cast<int>(threadIdx.x) % kWarpSize),
          warp_o(static_cast<int>(threadIdx.x) / kWarpSize / Shape::kWarpsK),
          warp_k(static_cast<int>(threadIdx.x) / kWarpSize % Shape::kWarpsK),
          o(warp_o * Shape::kM * 16),
          k(warp_k * Shape::kN * 8) {}
    // Of accumulator [m][n][i].
    __device__ int row(int m, int i) const { return o + 16 * m + accumulator_row(lane, i); }
    __device__ int column(int n, int i) const { return k + 8 * n + accumulator_column(lane, i); }
};

template <class TX, class TD>
struct GradientOperands {
    UnfoldedInput input;
    int outputs;
    int64_t samples;
    const TX* x;
    const TD* dy;
    bool wide_x, wide_dy;  // channels are whole, aligned vectors of 16 bytes
};

// The part of a panel of kColumns that a thread loads: rows row, row + step, ... at one column, a vector of
// 16 bytes or one value.
template <class T, int kColumns, int kThreads>
struct PanelThread {
    static constexpr int kVector = static_cast<int>(16 / sizeof(T));
    bool wide;
    int column, row, step;

    GS_HOST_DEVICE PanelThread(bool vectors, int thread)
        : wide(vectors),
          column(wide ? thread % (kColumns / kVector) * kVector : thread % kColumns),
          row(wide ? thread / (kColumns / kVector) : thread / kColumns),
          step(wide ? kThreads / (kColumns / kVector) : kThreads / kColumns) {}
};

// place(row): what lies there, counted from `from`, or -1 for zeros.
template <int kRows, class T, int kColumns, int kThreads, class Place>
__device__ void load_panel(const PanelThread<T, kColumns, kThreads>& self, T* panel, const T* from,
                           const Place& place) {
    for (int row = self.row; row < kRows; row += self.step) {
        const int at = place(row);
        T* to = panel + row * pitch_of(kColumns) + self.column;
        if (self.wide)
            copy_async<16>(to, from + (at < 0 ? 0 : at), at >= 0);
        else if constexpr (sizeof(T) == 4)
            copy_async<4>(to, from + (at < 0 ? 0 : at), at >= 0);
        else
            *to = at >= 0 ? from[at] : T(0.0f);
    }
}

// The stream of both operands' chunks: positions [s, end) of one row, columns from (o, k) on.
template <class Config>
class ChunkLoader {
  public:
    using TX = typename Config::TX;
    using TD = typename Config::TD;
    using Shape = typename Config::Shape;

    __device__ ChunkLoader(const GradientOperands<TX, TD>& operands, int64_t row, int o, int k)
        : operands_(operands),
          x_(operands.x + row % operands.samples * operands.input.per_sample()),
          dy_(operands.dy + row * operands.input.positions * operands.outputs),
          of_x_(operands.wide_x, static_cast<int>(threadIdx.x)),
          of_dy_(operands.wide_dy, static_cast<int>(threadIdx.x)),
          o_(o + of_dy_.column),
          column_(operands.input, k + of_x_.column) {}

    __device__ void load(typename Config::Stage& stage, int s, int end) const {
        load_panel<Config::kChunk>(of_dy_, stage.dy, dy_, [&](int row) {
            return s + row < end && o_ < operands_.outputs ? (s + row) * operands_.outputs + o_ : -1;
        });
        load_panel<Config::kChunk>(of_x_, stage.x, x_, [&](int row) {
            return s + row < end ? column_.at(operands_.input, operands_.input.corner(s + row)) : -1;
        });
    }

  private:
    const GradientOperands<TX, TD>& operands_;
    const TX* x_;
    const TD* dy_;
    PanelThread<TX, Shape::kK, Shape::kThreads> of_x_;
    PanelThread<TD, Shape::kO, Shape::kThreads> of_dy_;
    int o_;
    UnfoldedColumn column_;
};

// tile += the products of `stage`, 16 positions at a time.
template <class Config>
__device__ void multiply_bf16(const typename Config::Stage& stage,
                              const TileThread<typename Config::Shape>& self, typename Config::Tile& tile) {
    using Shape = typename Config::Shape;
    const int half = self.lane / 16 * 8, odd = self.lane / 8 % 2 * 8, row = self.lane % 8;
    GS_UNROLL
    for (int s = 0; s < Config::kChunk; s += 16) {
        uint32_t a[Shape::kM][4], b[Shape::kN][2];
        GS_UNROLL
        for (int m = 0; m < Shape::kM; ++m)
            load_transposed(a[m], stage.dy + (s + row + half) * pitch_of(Shape::kO) + self.o + 16 * m + odd);
        GS_UNROLL
        for (int n = 0; n < Shape::kN; n += 2) {
            uint32_t two[4];
            load_transposed(two, stage.x + (s + row + odd) * pitch_of(Shape::kK) + self.k + 8 * n + half);
            b[n][0] = two[0], b[n][1] = two[1], b[n + 1][0] = two[2], b[n + 1][1] = two[3];
        }
        multiply<MmaType::Bf16>(tile, a, b);
    }
}

// A value as tf32, and what is left of it.
__device__ inline uint32_t rest_of(float value, uint32_t rounded) {
    return rounded_to_tf32(value - std::bit_cast<float>(rounded));
}

// 8 positions at a time.
template <class Config>
__device__ void multiply_tf32(const typename Config::Stage& stage,
                              const TileThread<typename Config::Shape>& self, typename Config::Tile& tile) {
    using Shape = typename Config::Shape;
    constexpr bool kThree = Config::kArithmetic == Arithmetic::ThreeTf32;
    constexpr bool kRestOfA = kThree && sizeof(typename Config::TD) == 4;  // bfloat16 leaves no rest
    const int g = self.lane / 4, t = self.lane % 4;
    GS_UNROLL
    for (int s = 0; s < Config::kChunk; s += 8) {
        uint32_t a[Shape::kM][4], b[Shape::kN][2], rest_a[kRestOfA ? Shape::kM : 1][4],
            rest_b[kThree ? Shape::kN : 1][2];
        GS_UNROLL
        for (int m = 0; m < Shape::kM; ++m) {
            GS_UNROLL
            for (int r = 0; r < 4; ++r) {
                const auto value = static_cast<float>(
                    stage.dy[(s + t + r / 2 * 4) * pitch_of(Shape::kO) + self.o + 16 * m + g + r % 2 * 8]);
                a[m][r] = rounded_to_tf32(value);
                if constexpr (kRestOfA) rest_a[m][r] = rest_of(value, a[m][r]);
            }
        }
        GS_UNROLL
        for (int n = 0; n < Shape::kN; ++n) {
            GS_UNROLL
            for (int r = 0; r < 2; ++r) {
                const auto value =
                    static_cast<float>(stage.x[(s + t + r * 4) * pitch_of(Shape::kK) + self.k + 8 * n + g]);
                b[n][r] = rounded_to_tf32(value);
                if constexpr (kThree) rest_b[n][r] = rest_of(value, b[n][r]);
            }
        }
        if constexpr (kRestOfA) multiply<MmaType::Tf32>(tile, rest_a, b);
        if constexpr (kThree) multiply<MmaType::Tf32>(tile, a, rest_b);
        multiply<MmaType::Tf32>(tile, a, b);
    }
}

template <class Tile>
__device__ void clear(Tile& tile) {
    GS_UNROLL
    for (auto& line : tile) {
        GS_UNROLL
        for (auto& fragment : line) {
            GS_UNROLL
            for (float& value : fragment) value = 0;
        }
    }
}

template <int M, int N>
__device__ void add_to(float (&total)[M][N][4], const float (&tile)[M][N][4]) {
    GS_UNROLL
    for (int m = 0; m < M; ++m) {
        GS_UNROLL
        for (int n = 0; n < N; ++n) {
            GS_UNROLL
            for (int i = 0; i < 4; ++i) total[m][n][i] += tile[m][n][i];
        }
    }
}

// total = the tile at (o, k) of a row's gradient over positions [begin, end). stages: kStages of them, which
// are free again when it returns. Every thread of the block must call it.
template <class Config>
__device__ void make_tile(const GradientOperands<typename Config::TX, typename Config::TD>& operands,
                          int64_t row, int o, int k, int begin, int end, typename Config::Stage* stages,
                          typename Config::Tile& total) {
    constexpr int kChunk = Config::kChunk, kStages = Config::kStages;
    const ChunkLoader<Config> loader(operands, row, o, k);
    const TileThread<typename Config::Shape> self;
    const bool works = o + self.o < operands.outputs && k + self.k < operands.input.k();
    typename Config::Tile tile;
    clear(total);
    clear(tile);
    for (int c = 0; c < kStages - 1; ++c) {
        if (begin + c * kChunk < end) loader.load(stages[c], begin + c * kChunk, end);
        commit_copies();
    }
    for (int s = begin, c = 0; s < end; s += kChunk, ++c) {
        wait_for_copies<kStages - 2>();
        __syncthreads();  // the chunk is there, and that before it is used up
        const int next = s + (kStages - 1) * kChunk;
        if (next < end) loader.load(stages[(c + kStages - 1) % kStages], next, end);
        commit_copies();
        if (!works) continue;
        const typename Config::Stage& stage = stages[c % kStages];
        if constexpr (Config::kArithmetic == Arithmetic::Bf16)
            multiply_bf16<Config>(stage, self, tile);
        else
            multiply_tf32<Config>(stage, self, tile);
        if ((c + 1) % (Config::kFlush / kChunk) != 0) continue;
        add_to(total, tile);
        clear(tile);
    }
    add_to(total, tile);
    wait_for_copies<0>();
    __syncthreads();
}

}  // namespace gs::cuda
