// Tiles of one row's weight gradient in the registers of a block, one after the other along k,
//   G[o,k] = sum_s dy[s,o] X[s,k],
// by tensor cores. Chunks of positions of both operands stream through shared memory, several at once under
// way, on into the next tile while one ends; X is unfolded while it is loaded, and what lies beyond an edge
// is loaded as zeros. Where all positions of dy fit, they stay for all tiles.
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

    static constexpr int kPitchO = pitch_of(Shape::kO), kPitchK = pitch_of(Shape::kK);
    // Of x, and of dy where it streams; in values.
    static constexpr int kRingOfX = kStages * kChunk * kPitchK, kRingOfDy = kStages * kChunk * kPitchO;
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

// place(row): what lies there, counted from `from`, or -1 for zeros. Rows of the panel are kPitch apart.
template <int kRows, int kPitch, class T, int kColumns, int kThreads, class Place>
__device__ void load_panel(const PanelThread<T, kColumns, kThreads>& self, T* panel, const T* from,
                           const Place& place) {
    for (int row = self.row; row < kRows; row += self.step) {
        const int at = place(row);
        T* to = panel + row * kPitch + self.column;
        if (self.wide)
            copy_async<16>(to, from + (at < 0 ? 0 : at), at >= 0);
        else if constexpr (sizeof(T) == 4)
            copy_async<4>(to, from + (at < 0 ? 0 : at), at >= 0);
        else
            *to = at >= 0 ? from[at] : T(0.0f);
    }
}

// What one thread loads of both operands: positions of one row, columns from (o, k) on.
template <class Config>
class ChunkLoader {
  public:
    using TX = typename Config::TX;
    using TD = typename Config::TD;
    using Shape = typename Config::Shape;

    __device__ ChunkLoader(const GradientOperands<TX, TD>& operands, int64_t row, int o)
        : operands_(operands),
          x_(operands.x + row % operands.samples * operands.input.per_sample()),
          dy_(operands.dy + row * operands.input.positions * operands.outputs),
          o_(o),
          column_(operands.input, 0) {}

    __device__ void move_to(int k) { column_ = UnfoldedColumn(operands_.input, k + of_x().column); }
    // Positions [s, s + kChunk), zeros from `end` on.
    __device__ void load_dy(TD* to, int s, int end) const {
        const OfDy self(operands_.wide_dy, static_cast<int>(threadIdx.x));
        const int o = o_ + self.column;
        load_panel<Config::kChunk, Config::kPitchO>(self, to, dy_, [&](int row) {
            return s + row < end && o < operands_.outputs ? (s + row) * operands_.outputs + o : -1;
        });
    }
    __device__ void load_x(TX* to, int s, int end) const {
        load_panel<Config::kChunk, Config::kPitchK>(of_x(), to, x_, [&](int row) {
            return s + row < end ? column_.at(operands_.input, operands_.input.corner(s + row)) : -1;
        });
    }

  private:
    using OfX = PanelThread<TX, Shape::kK, Shape::kThreads>;
    using OfDy = PanelThread<TD, Shape::kO, Shape::kThreads>;

    const GradientOperands<TX, TD>& operands_;
    const TX* x_;
    const TD* dy_;
    int o_;
    UnfoldedColumn column_;

    // Made where it is needed: it costs less than the registers to keep it.
    __device__ OfX of_x() const { return {operands_.wide_x, static_cast<int>(threadIdx.x)}; }
};

// tile += the products of a chunk's first `count` positions, 16 at a time; those beyond are zeros.
template <class Config>
__device__ void multiply_bf16(const Bf16* dy, const Bf16* x, int count,
                              const TileThread<typename Config::Shape>& self, typename Config::Tile& tile) {
    using Shape = typename Config::Shape;
    const int half = self.lane / 16 * 8, odd = self.lane / 8 % 2 * 8, row = self.lane % 8;
    GS_UNROLL
    for (int s = 0; s < Config::kChunk; s += 16) {
        if (s >= count) break;
        uint32_t a[Shape::kM][4], b[Shape::kN][2];
        GS_UNROLL
        for (int m = 0; m < Shape::kM; ++m)
            load_transposed(a[m], dy + (s + row + half) * Config::kPitchO + self.o + 16 * m + odd);
        GS_UNROLL
        for (int n = 0; n < Shape::kN; n += 2) {
            uint32_t two[4];
            load_transposed(two, x + (s + row + odd) * Config::kPitchK + self.k + 8 * n + half);
            b[n][0] = two[0], b[n][1] = two[1], b[n + 1][0] = two[2], b[n + 1][1] = two[3];
        }
        multiply<MmaType::Bf16>(tile, a, b);
    }
}

// What is left of a value beyond its tf32, as tf32.
__device__ inline uint32_t rest_of(float value, uint32_t rounded) {
    return rounded_to_tf32(value - tf32_value(rounded));
}

// 8 positions at a time.
template <class Config>
__device__ void multiply_tf32(const typename Config::TD* dy, const typename Config::TX* x, int count,
                              const TileThread<typename Config::Shape>& self, typename Config::Tile& tile) {
    using Shape = typename Config::Shape;
    constexpr bool kThree = Config::kArithmetic == Arithmetic::ThreeTf32;
    constexpr bool kRestOfA = kThree && sizeof(typename Config::TD) == 4;  // bfloat16 leaves no rest
    const int g = self.lane / 4, t = self.lane % 4;
    GS_ROLLED
    for (int s = 0; s < Config::kChunk; s += 8) {
        if (s >= count) break;
        uint32_t a[Shape::kM][4], b[Shape::kN][2], rest_a[kRestOfA ? Shape::kM : 1][4],
            rest_b[kThree ? Shape::kN : 1][2];
        GS_UNROLL
        for (int m = 0; m < Shape::kM; ++m) {
            GS_UNROLL
            for (int r = 0; r < 4; ++r) {
                const auto value = static_cast<float>(
                    dy[(s + t + r / 2 * 4) * Config::kPitchO + self.o + 16 * m + g + r % 2 * 8]);
                a[m][r] = rounded_to_tf32(value);
                if constexpr (kRestOfA) rest_a[m][r] = rest_of(value, a[m][r]);
            }
        }
        GS_UNROLL
        for (int n = 0; n < Shape::kN; ++n) {
            GS_UNROLL
            for (int r = 0; r < 2; ++r) {
                const auto value =
                    static_cast<float>(x[(s + t + r * 4) * Config::kPitchK + self.k + 8 * n + g]);
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

// Makes the tiles at (o, k), (o, k + kK), ... of a row's gradient over positions [begin, end), in turn.
template <class Config>
class TileStream {
  public:
    using TX = typename Config::TX;
    using TD = typename Config::TD;
    using Tile = typename Config::Tile;

    // x: kRingOfX values of shared memory. dy: kRingOfDy, or all positions up to a whole chunk where
    // keeps_dy.
    __device__ TileStream(const GradientOperands<TX, TD>& operands, int64_t row, int o, int k, int tiles,
                          int begin, int end, bool keeps_dy, TX* x, TD* dy)
        : loader_(operands, row, o),
          k_(k),
          begin_(begin),
          end_(end),
          keeps_dy_(keeps_dy),
          has_outputs_(o + self_.o < operands.outputs),
          columns_(operands.input.k()),
          x_(x),
          dy_(dy),
          next_s_(begin),
          next_k_(k),
          end_k_(k + tiles * Config::Shape::kK) {
        loader_.move_to(k);
        for (int i = 0; i < Config::kStages - 1; ++i) load_next();
    }

    // total = the next tile. Every thread of the block must call it.
    __device__ void make_tile(Tile& total) {
        const bool works = has_outputs_ && k_ + self_.k < columns_;
        Tile tile;
        clear(total);
        clear(tile);
        for (int s = begin_, unflushed = 0; s < end_; s += Config::kChunk) {
            wait_for_copies<Config::kStages - 2>();
            __syncthreads();  // the chunk is there, and that before it is used up
            load_next();
            if (works) {
                multiply_chunk(s, tile);
                unflushed += Config::kChunk;
                if (unflushed == Config::kFlush) {
                    add_to(total, tile);
                    clear(tile);
                    unflushed = 0;
                }
            }
            stage_ = (stage_ + 1) % Config::kStages;
        }
        add_to(total, tile);
        k_ += Config::Shape::kK;
    }

    // Frees shared memory.
    __device__ void end() {
        wait_for_copies<0>();
        __syncthreads();
    }

  private:
    static constexpr int kChunkOfX = Config::kChunk * Config::kPitchK;

    TileThread<typename Config::Shape> self_;
    ChunkLoader<Config> loader_;
    int k_, begin_, end_;
    bool keeps_dy_, has_outputs_;
    int columns_;
    TX* x_;
    TD* dy_;
    int stage_ = 0, next_stage_ = 0, next_s_, next_k_, end_k_;
    bool has_dy_ = false;

    __device__ TD* place_of_dy(int s, int stage) const {
        return dy_ + (keeps_dy_ ? s - begin_ : stage * Config::kChunk) * Config::kPitchO;
    }

    __device__ void load_next() {
        if (next_k_ < end_k_) {
            if (!has_dy_) loader_.load_dy(place_of_dy(next_s_, next_stage_), next_s_, end_);
            loader_.load_x(x_ + next_stage_ * kChunkOfX, next_s_, end_);
            next_s_ += Config::kChunk;
            if (next_s_ >= end_) {
                next_s_ = begin_;
                next_k_ += Config::Shape::kK;
                has_dy_ = keeps_dy_;
                loader_.move_to(next_k_);
            }
        }
        commit_copies();
        next_stage_ = (next_stage_ + 1) % Config::kStages;
    }

    __device__ void multiply_chunk(int s, Tile& tile) const {
        const TD* dy = place_of_dy(s, stage_);
        const TX* x = x_ + stage_ * kChunkOfX;
        if constexpr (Config::kArithmetic == Arithmetic::Bf16)
            multiply_bf16<Config>(dy, x, end_ - s, self_, tile);
        else
            multiply_tf32<Config>(dy, x, end_ - s, self_, tile);
    }
};

}  // namespace gs::cuda
