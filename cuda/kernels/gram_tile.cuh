// A tile of the Gram matrix of a map's pixels in a block, by tensor cores:
//   G[s][t] = sum_c factor[c]^2 map[s][c] map[t][c]
// Chunks of channels of both rows of pixels pass through shared memory, the next on its way while one is
// multiplied. Channels lie side by side, as fragments want them: nothing is transposed.
#pragma once

#include <cstring>

#include "cuda/kernels/gradient_tile.cuh"

namespace gs::cuda {

// A tile of kSide x kSide, cut among warps of 32 x 32; kSplits sets of warps share each chunk's channels.
template <Arithmetic arithmetic_, class T_, int kSide_>
struct GramConfig {
    using T = T_;
    static constexpr Arithmetic kArithmetic = arithmetic_;
    static constexpr MmaType kMma = kArithmetic == Arithmetic::Bf16 ? MmaType::Bf16 : MmaType::Tf32;
    static constexpr int kSide = kSide_, kThreads = 256, kWarpSide = 32, kM = kWarpSide / 16,
                         kN = kWarpSide / 8, kWarpsSide = kSide / kWarpSide,
                         kSplits = kThreads / kWarpSize / (kWarpsSide * kWarpsSide);
    static constexpr int kChunk = 256 / static_cast<int>(sizeof(T));  // channels
    static constexpr int kOfSplit = kChunk / kSplits;
    static_assert(kOfSplit % mma_depth(kMma) == 0);
    // 16 bytes more than a chunk: the words of a fragment fall into different banks.
    static constexpr int kPitch = kChunk + 16 / static_cast<int>(sizeof(T));
    static constexpr int kPanel = kSide * kPitch, kStages = 2, kOfSums = kSide * kSide;
    static constexpr int kBytesOfPanels = kStages * 2 * kPanel * static_cast<int>(sizeof(T)),
                         kBytesOfSums = kSplits * kOfSums * static_cast<int>(sizeof(float)),
                         kBytes = kBytesOfPanels > kBytesOfSums ? kBytesOfPanels : kBytesOfSums;
    using Tile = float[kM][kN][4];
};

template <class Config>
class GramTile {
  public:
    using T = typename Config::T;

    // map: [pixels][channels] of one row; factor: [channels], or null: 1; wide: channels are whole, aligned
    // vectors of 16 bytes. The tile's corner is at (s, t), s <= t; below the diagonal it has no values.
    // memory: Config::kBytes, shared.
    __device__ GramTile(const T* map, int pixels, int channels, const float* factor, bool wide, int s, int t,
                        unsigned char* memory)
        : map_(map),
          factor_(factor),
          pixels_(pixels),
          channels_(channels),
          wide_(wide),
          s_(s),
          t_(t),
          lane_(static_cast<int>(threadIdx.x) % kWarpSize),
          split_(warp() / (Config::kWarpsSide * Config::kWarpsSide)),
          warp_s_(warp() / Config::kWarpsSide % Config::kWarpsSide * Config::kWarpSide),
          warp_t_(warp() % Config::kWarpsSide * Config::kWarpSide),
          panels_(reinterpret_cast<T*>(memory)),
          sums_(reinterpret_cast<float*>(memory)) {}

    // Every thread of the block must call it, before value().
    __device__ void make() {
        const int last = t_ + warp_t_ + Config::kWarpSide - 1;
        const bool works = t_ + warp_t_ < pixels_ && s_ + warp_s_ <= last;
        typename Config::Tile total;
        clear(total);
        load(0, 0);
        for (int c = 0, stage = 0; c < channels_; c += Config::kChunk, stage = 1 - stage) {
            wait_for_copies<0>();
            __syncthreads();  // the chunk is there, and that before it is used up
            if (c + Config::kChunk < channels_) load(c + Config::kChunk, 1 - stage);
            if (!works) continue;
            typename Config::Tile tile;  // added to nearest: tensor cores cut their sums off
            clear(tile);
            multiply_chunk(c, stage, tile);
            add_to(total, tile);
        }
        __syncthreads();
        if (works) store(total);
        __syncthreads();
    }
    // At [s][t] of the tile, s <= t in the matrix, both of them pixels.
    __device__ float value(int s, int t) const {
        float sum = 0;
        GS_UNROLL
        for (int split = 0; split < Config::kSplits; ++split)
            sum += sums_[split * Config::kOfSums + s * Config::kSide + t];
        return sum;
    }

  private:
    const T* map_;
    const float* factor_;
    int pixels_, channels_;
    bool wide_;
    int s_, t_, lane_, split_, warp_s_, warp_t_;
    T* panels_;
    float* sums_;  // in the panels' place, once these are used up

    __device__ static int warp() { return static_cast<int>(threadIdx.x) / kWarpSize; }
    // On the diagonal one panel serves as both.
    __device__ T* panel(int stage, bool of_t) const {
        return panels_ + (2 * stage + (of_t && s_ != t_ ? 1 : 0)) * Config::kPanel;
    }

    __device__ void load(int c, int stage) const {
        load_pixels(panel(stage, false), s_, c);
        if (s_ != t_) load_pixels(panel(stage, true), t_, c);
        commit_copies();
    }
    __device__ void load_pixels(T* to, int pixel, int c) const {
        const PanelThread<T, Config::kChunk, Config::kThreads> self(wide_, static_cast<int>(threadIdx.x));
        const int channel = c + self.column;
        load_panel<Config::kSide, Config::kPitch>(self, to, map_, [&](int row) {
            return pixel + row < pixels_ && channel < channels_ ? (pixel + row) * channels_ + channel : -1;
        });
    }

    __device__ void multiply_chunk(int c, int stage, typename Config::Tile& tile) const {
        const T *a = panel(stage, false) + (warp_s_ + lane_ / 4) * Config::kPitch,
                *b = panel(stage, true) + (warp_t_ + lane_ / 4) * Config::kPitch;
        const int begin = split_ * Config::kOfSplit;
        GS_ROLLED
        for (int d = begin; d < begin + Config::kOfSplit; d += mma_depth(Config::kMma)) {
            if (c + d >= channels_) break;
            if constexpr (Config::kArithmetic == Arithmetic::Bf16)
                multiply_bf16(a + d, b + d, tile);
            else
                multiply_tf32(a + d, b + d, c + d, tile);
        }
    }
    // Two neighbouring bfloat16 values, the first at an even place.
    __device__ static uint32_t pair(const Bf16* at) {
        uint32_t bits;
        std::memcpy(&bits, __builtin_assume_aligned(at, 4), 4);
        return bits;
    }
    __device__ void multiply_bf16(const Bf16* from_a, const Bf16* from_b, typename Config::Tile& tile) const {
        const int two = lane_ % 4 * 2;
        uint32_t a[Config::kM][4], b[Config::kN][2];
        GS_UNROLL
        for (int m = 0; m < Config::kM; ++m) {
            GS_UNROLL
            for (int r = 0; r < 4; ++r)
                a[m][r] = pair(from_a + (16 * m + r % 2 * 8) * Config::kPitch + two + r / 2 * 8);
        }
        GS_UNROLL
        for (int n = 0; n < Config::kN; ++n) {
            GS_UNROLL
            for (int r = 0; r < 2; ++r) b[n][r] = pair(from_b + 8 * n * Config::kPitch + two + r * 8);
        }
        multiply<MmaType::Bf16>(tile, a, b);
    }
    __device__ void multiply_tf32(const T* from_a, const T* from_b, int c,
                                  typename Config::Tile& tile) const {
        constexpr bool kThree = Config::kArithmetic == Arithmetic::ThreeTf32;
        const int t = lane_ % 4;
        float factor[2];
        GS_UNROLL
        for (int i = 0; i < 2; ++i) {
            const int channel = c + t + 4 * i;
            factor[i] = factor_ != nullptr && channel < channels_ ? factor_[channel] : 1.0f;
        }
        uint32_t a[Config::kM][4], b[Config::kN][2], rest_a[kThree ? Config::kM : 1][4],
            rest_b[kThree ? Config::kN : 1][2];
        GS_UNROLL
        for (int m = 0; m < Config::kM; ++m) {
            GS_UNROLL
            for (int r = 0; r < 4; ++r) {
                const T at = from_a[(16 * m + r % 2 * 8) * Config::kPitch + t + r / 2 * 4];
                const float value = static_cast<float>(at) * factor[r / 2];
                a[m][r] = rounded_to_tf32(value);
                if constexpr (kThree) rest_a[m][r] = rest_of(value, a[m][r]);
            }
        }
        GS_UNROLL
        for (int n = 0; n < Config::kN; ++n) {
            GS_UNROLL
            for (int r = 0; r < 2; ++r) {
                const T at = from_b[8 * n * Config::kPitch + t + r * 4];
                const float value = static_cast<float>(at) * factor[r];
                b[n][r] = rounded_to_tf32(value);
                if constexpr (kThree) rest_b[n][r] = rest_of(value, b[n][r]);
            }
        }
        if constexpr (kThree) {
            multiply<MmaType::Tf32>(tile, rest_a, b);
            multiply<MmaType::Tf32>(tile, a, rest_b);
        }
        multiply<MmaType::Tf32>(tile, a, b);
    }

    __device__ void store(const typename Config::Tile& tile) const {
        float* to = sums_ + split_ * Config::kOfSums + warp_s_ * Config::kSide + warp_t_;
        GS_UNROLL
        for (int m = 0; m < Config::kM; ++m) {
            GS_UNROLL
            for (int n = 0; n < Config::kN; ++n) {
                GS_UNROLL
                for (int i = 0; i < 4; ++i)
                    to[(16 * m + accumulator_row(lane_, i)) * Config::kSide + 8 * n +
                       accumulator_column(lane_, i)] = tile[m][n][i];
            }
        }
    }
};

}  // namespace gs::cuda
