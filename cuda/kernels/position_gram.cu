// ||G||^2 = sum over pairs of positions s, t of <dy_s, dy_t> <X_s, X_t>. Three kernels: the Gram matrix of a
// sample's pixels; <X_s, X_t> as a sum of shifted copies of it; tiles of the Gram matrix of each of its
// gradients, multiplied with that and summed. All matrices are symmetric, and have values where s <= t alone.
#include "core/norm_cost.h"
#include "cuda/kernels/gram_tile.cuh"
#include "cuda/kernels/launch.h"
#include "cuda/kernels/position_gram.h"

namespace gs::cuda {
namespace {

constexpr int64_t kMostPositions = 256;
// Multiply-adds over the product's below which Gram matrices are taken. No GPU has measured where they begin
// to pay: this is half of what the CPU asks for. Gradients in bfloat16 that are scaled go by three products
// of tf32, six times the time of one of bfloat16, which is what the product itself takes.
constexpr double kMostCost = 0.25, kMostCostOfScaledBf16 = kMostCost / 6;

template <class T>
struct GramArguments {
    const T* maps;        // [rows][positions][channels]
    const float* factor;  // [channels], or null: 1
    bool wide;
    int positions, channels, tiles_side, tiles;
    RowOrder order;
    int64_t first;        // of the rows' order; a block each and tile
    float* to;            // [rows of the launch][positions][positions]; null: the norm's sums are wanted
    const float* inputs;  // [samples of the launch][positions][positions]
    double* partial;      // [rows][tiles]
};

// Tiles on and above the diagonal, row by row.
struct TilePair {
    int s = 0, t = 0;

    GS_HOST_DEVICE TilePair(int index, int side) {
        for (; index >= side - s; ++s) index -= side - s;
        t = s + index;
    }
};

// Two share a multiprocessor; of larger tiles one where there are 100 KiB of shared memory (8.6, 8.9, 12.0).
template <class Config>
constexpr int blocks_that_fit() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ != 800 && (__CUDA_ARCH__ < 900 || __CUDA_ARCH__ >= 1200)
    return Config::kSide == 64 ? 1 : 2;
#else
    return 2;
#endif
}

template <class Config>
__global__ void __launch_bounds__(Config::kThreads, blocks_that_fit<Config>())
    gram_tile_kernel(GramArguments<typename Config::T> args) {
    GS_DYNAMIC_SHARED(unsigned char, memory);
    constexpr int kSide = Config::kSide;
    const int index = static_cast<int>(blockIdx.x) % args.tiles,
              of_launch = static_cast<int>(blockIdx.x) / args.tiles, positions = args.positions;
    const int64_t row = args.order.row(args.first + of_launch);
    const TilePair place(index, args.tiles_side);
    GramTile<Config> tile(args.maps + row * positions * args.channels, positions, args.channels, args.factor,
                          args.wide, place.s * kSide, place.t * kSide, memory);
    tile.make();
    const int64_t matrix = int64_t{positions} * positions,
                  sample = of_launch / static_cast<int>(args.order.cotangents);
    double total = 0;
    for (int e = static_cast<int>(threadIdx.x); e < kSide * kSide; e += Config::kThreads) {
        const int s = place.s * kSide + e / kSide, t = place.t * kSide + e % kSide;
        if (s > t || t >= positions) continue;
        const float value = tile.value(e / kSide, e % kSide);
        const int at = s * positions + t;
        if (args.to != nullptr)
            args.to[of_launch * matrix + at] = value;
        else  // in both orders
            total += (s == t ? 1 : 2) * static_cast<double>(value) *
                     static_cast<double>(args.inputs[sample * matrix + at]);
    }
    if (args.to != nullptr) return;
    total = sum_over_block(total);
    if (threadIdx.x == 0) args.partial[row * args.tiles + index] = total;
}

struct MapSize {
    Divisor positions, w;
    int h, pad;
};

// to[s][t] = the sum over taps of pixels[s + tap][t + tap]; s or t in the padding: 0. A thread a pair.
__global__ void __launch_bounds__(kBlock)
    shifted_sum_kernel(const float* pixels, MapSize size, int64_t count, float* to) {
    const int64_t at = static_cast<int64_t>(blockIdx.x) * kBlock + threadIdx.x;
    if (at >= count) return;
    const int positions = size.positions.value(), w = size.w.value();
    const int row = size.positions.quotient(static_cast<int>(at)), t = static_cast<int>(at) - row * positions,
              s = row - size.positions.quotient(row) * positions;
    if (s > t) return;
    const int sh = size.w.quotient(s), sw = s - sh * w, th = size.w.quotient(t), tw = t - th * w;
    float sum = 0;
    for (int dh = -size.pad; dh <= size.pad; ++dh) {
        if (sh + dh < 0 || th + dh >= size.h) continue;  // sh <= th
        for (int dw = -size.pad; dw <= size.pad; ++dw) {
            const bool inside = sw + dw >= 0 && sw + dw < w && tw + dw >= 0 && tw + dw < w;
            if (inside) sum += pixels[at + static_cast<int64_t>(dh * w + dw) * (positions + 1)];
        }
    }
    to[at] = sum;
}

// A sum that is 0 but for rounding may come out below it. NaN stays.
__global__ void __launch_bounds__(kBlock)
    sum_tiles_kernel(const double* partial, int tiles, int64_t rows, float* out) {
    const int64_t row = static_cast<int64_t>(blockIdx.x) * kBlock + threadIdx.x;
    if (row >= rows) return;
    double total = 0;
    for (int i = 0; i < tiles; ++i) total += partial[row * tiles + i];
    out[row] = total < 0 ? 0.0f : static_cast<float>(total);
}

// f(GramConfig{}) for a map. split_bf16: its values are scaled, and no longer of bfloat16.
template <int kSide, class F>
void with_gram_config(DType type, bool split_bf16, bool tf32, const F& f) {
    if (type == DType::BF16 && split_bf16)
        f(GramConfig<Arithmetic::ThreeTf32, Bf16, kSide>{});
    else if (type == DType::BF16)
        f(GramConfig<Arithmetic::Bf16, Bf16, kSide>{});
    else if (tf32)
        f(GramConfig<Arithmetic::Tf32, float, kSide>{});
    else
        f(GramConfig<Arithmetic::ThreeTf32, float, kSide>{});
}

class PositionGrams {
  public:
    PositionGrams(Context& context, const WeightGradientNorm& args)
        : context_(context),
          args_(args),
          positions_(static_cast<int>(args.dy.shape.pixels())),
          side_(positions_ <= 32 ? 32 : 64),
          tiles_side_((positions_ + side_ - 1) / side_),
          tiles_(tiles_side_ * (tiles_side_ + 1) / 2),
          samples_(args.x.shape.n),
          cotangents_(args.dy.shape.n / samples_) {}

    void run() {
        const bool shifts = taps_of(args_.spec) > 1;
        const int64_t matrix = int64_t{positions_} * positions_, rows = args_.dy.shape.n;
        const int64_t most =
            std::clamp<int64_t>(kNormScratchFloats / (matrix * (shifts ? 2 : 1)), 1, samples_);
        auto* pixels = context_.scratch<float>(ScratchUse::Gradient, most * matrix * (shifts ? 2 : 1));
        float* inputs = shifts ? pixels + most * matrix : pixels;
        auto* partial = context_.scratch<double>(ScratchUse::Partial, rows * tiles_);
        for (int64_t first = 0; first < samples_; first += most) {
            const int64_t count = std::min(most, samples_ - first);
            launch_tiles(args_.x, {}, {.samples = samples_}, first, count, pixels, nullptr, nullptr);
            if (shifts) {
                const MapSize size{Divisor(positions_), Divisor(args_.x.shape.w),
                                   static_cast<int>(args_.x.shape.h), static_cast<int>(args_.spec.pad)};
                launch(context_, "Gram matrix of unfolded inputs", shifted_sum_kernel,
                       blocks_for(count * matrix), kBlock, 0, pixels, size, count * matrix, inputs);
            }
            launch_tiles(args_.dy, args_.scale, {.samples = samples_, .cotangents = cotangents_},
                         first * cotangents_, count * cotangents_, nullptr, inputs, partial);
        }
        launch(context_, "sum of squared norms", sum_tiles_kernel, blocks_for(rows), kBlock, 0, partial,
               tiles_, rows, args_.norms[0].out.f32());
    }

  private:
    Context& context_;
    const WeightGradientNorm& args_;
    int positions_, side_, tiles_side_, tiles_;
    int64_t samples_, cotangents_;

    void launch_tiles(const View& maps, const View& factor, const RowOrder& order, int64_t first,
                      int64_t count, float* to, const float* inputs, double* partial) {
        // An image beside gradients in bfloat16 keeps its bits.
        const bool tf32 = context_.options().precision == Precision::TF32 && args_.dy.dtype == DType::F32;
        const auto launch_with = [&](auto config) {
            using Config = decltype(config);
            using T = typename Config::T;
            const auto kernel = gram_tile_kernel<Config>;
            launch(context_, "Gram matrix over positions", kernel, grid_size(count * tiles_),
                   Config::kThreads, static_cast<size_t>(Config::kBytes),
                   GramArguments<T>{.maps = static_cast<const T*>(maps.data),
                                    .factor = factor.f32(),
                                    .wide = maps.shape.c % kWide<T> == 0 && is_aligned(maps),
                                    .positions = positions_,
                                    .channels = static_cast<int>(maps.shape.c),
                                    .tiles_side = tiles_side_,
                                    .tiles = tiles_,
                                    .order = order,
                                    .first = first,
                                    .to = to,
                                    .inputs = inputs,
                                    .partial = partial});
        };
        if (side_ == 32)
            with_gram_config<32>(maps.dtype, static_cast<bool>(factor), tf32, launch_with);
        else
            with_gram_config<64>(maps.dtype, static_cast<bool>(factor), tf32, launch_with);
    }
};

}  // namespace

bool can_use_position_grams(const WeightGradientNorm& args) {
    if (!is_square_alone(args) || args.standardised || args.spec.groups > 1 || !keeps_size(args.spec))
        return false;
    const double most = args.dy.dtype == DType::BF16 && args.scale ? kMostCostOfScaledBf16 : kMostCost;
    return args.dy.shape.pixels() <= kMostPositions && pixel_gram_cost(args.spec, args.x.shape) < most;
}

void squared_norms_by_positions(Context& context, const WeightGradientNorm& args) {
    GS_REQUIRE(can_use_position_grams(args));
    PositionGrams(context, args).run();
}

}  // namespace gs::cuda
