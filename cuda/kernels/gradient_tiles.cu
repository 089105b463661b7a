#include "cuda/kernels/gradient_epilogue.cuh"
#include "cuda/kernels/gradient_tiles.h"
#include "cuda/kernels/launch.h"

namespace gs::cuda {
namespace {

template <class TX, class TD>
struct TileArguments {
    GradientOperands<TX, TD> operands;
    NormPlan plan;
    bool keeps_dy;
    RowOrder order;
    int64_t first;
    unsigned* next_ticket;  // or null
    float* slice_sums;      // or null
    TileEnding ending;
};

// Shared memory: the sums, x's ring, dy's ring or all of it; in place of the latter two values for general
// exponents.
template <class Config>
struct TileMemory {
    static constexpr int kOfSums = (sizeof(EndingMemory<typename Config::Shape>) + 127) / 128 * 128;
    static constexpr int kOfX = Config::kRingOfX * static_cast<int>(sizeof(typename Config::TX));
    static constexpr int kOfValues = sizeof(TileValues<typename Config::Shape>);
    static constexpr int kMost = 99 << 10;  // of a block on compute capability 8.6

    static constexpr int bytes(int dy_rows, bool general) {
        const int streams = kOfX + dy_rows * Config::kPitchO * static_cast<int>(sizeof(typename Config::TD));
        return kOfSums + (general && streams < kOfValues ? kOfValues : streams);
    }
    static_assert(bytes(Config::kStages * Config::kChunk, true) <= kMost);
};

template <class Config>
__device__ void store_tile(typename Config::Tile& tile, int outputs, int k, int o0, int k0, float* to) {
    using Shape = typename Config::Shape;
    const TileThread<Shape> self;
    GS_UNROLL
    for (int m = 0; m < Shape::kM; ++m) {
        GS_UNROLL
        for (int half = 0; half < 2; ++half) {
            const int64_t o = o0 + self.row(m, 2 * half);
            for_each_in_row(tile[m], half, [&](float value, int n, int i) {
                const int column = k0 + self.column(n, i);
                if (o < outputs && column < k) to[o * k + column] = value;
            });
        }
    }
}

// Two blocks of smaller tiles share a multiprocessor, but where its shared memory has room for one (8.6, 8.9,
// 12.0), and on 8.0 where float32 takes more than half of the registers.
template <class Config>
struct Occupancy {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ == 800
    static constexpr bool kTwoFit =
        Config::kArithmetic != Arithmetic::ThreeTf32 || sizeof(typename Config::TD) != 4;
#elif defined(__CUDA_ARCH__) && (__CUDA_ARCH__ < 900 || __CUDA_ARCH__ >= 1200)
    static constexpr bool kTwoFit = false;
#else
    static constexpr bool kTwoFit = true;
#endif
    static constexpr int kBlocks = Config::Shape::kM * Config::Shape::kN <= 8 && kTwoFit ? 2 : 1;
};

template <class Config>
__global__ void __launch_bounds__(Config::Shape::kThreads, Occupancy<Config>::kBlocks)
    weight_gradient_tile_kernel(TileArguments<typename Config::TX, typename Config::TD> args) {
    using Shape = typename Config::Shape;
    using TX = typename Config::TX;
    using TD = typename Config::TD;
    using Memory = TileMemory<Config>;
    GS_DYNAMIC_SHARED(unsigned char, memory);
    TX* const x = reinterpret_cast<TX*>(memory + Memory::kOfSums);
    TD* const dy = reinterpret_cast<TD*>(memory + Memory::kOfSums + Memory::kOfX);
    const unsigned index = args.next_ticket != nullptr ? take_ticket(args.next_ticket) : blockIdx.x;
    const TilePlace place(index, args.first, args.order, args.plan);
    const int begin = place.slice * args.plan.slice, outputs = args.operands.outputs,
              k = args.operands.input.k(), positions = args.operands.input.positions,
              o0 = place.tile_o * Shape::kO;
    const int end = positions - begin < args.plan.slice ? positions : begin + args.plan.slice;
    TileEnd<Config> ending(args.ending, place, args.plan, outputs, k,
                           *reinterpret_cast<EndingMemory<Shape>*>(memory));
    ending.begin();
    TileStream<Config> stream(args.operands, place.row, o0, place.first_k * Shape::kK, place.count, begin,
                              end, args.keeps_dy, x, dy);
    GS_ROLLED
    for (int t = 0; t < place.count; ++t) {
        typename Config::Tile tile;
        stream.make_tile(tile);
        if (t == place.count - 1) stream.end();
        if (args.slice_sums != nullptr) {
            const int64_t at = (place.in_order - args.first) * args.plan.slices + place.slice;
            store_tile<Config>(tile, outputs, k, o0, (place.first_k + t) * Shape::kK,
                               args.slice_sums + at * outputs * k);
        } else {
            ending.add(tile, place.first_k + t, reinterpret_cast<TileValues<Shape>*>(x));
        }
    }
    if (args.slice_sums == nullptr) ending.write();
}

// f(Config{}, TX{}, TD{}) for the types that maps come in, at the backend's precision. An image is float32
// whatever its gradient is; it keeps more bits than bfloat16 has.
template <class Shape, class F>
void with_config_of_shape(Precision precision, DType x, DType dy, const F& f) {
    if (x == DType::BF16) {
        GS_REQUIRE(dy == DType::BF16);
        f(TileConfig<Arithmetic::Bf16, Bf16, Bf16, Shape>{});
    } else if (dy == DType::BF16) {
        f(TileConfig<Arithmetic::ThreeTf32, float, Bf16, Shape>{});
    } else if (precision == Precision::TF32) {
        f(TileConfig<Arithmetic::Tf32, float, float, Shape>{});
    } else {
        f(TileConfig<Arithmetic::ThreeTf32, float, float, Shape>{});
    }
}

template <class F>
void with_config(const NormPlan& plan, Precision precision, DType x, DType dy, const F& f) {
    if (plan.tile_o == 64)
        with_config_of_shape<TileShape<64, 128, 2, 4>>(precision, x, dy, f);
    else if (plan.tile_k == 64)
        with_config_of_shape<TileShape<128, 64, 4, 2>>(precision, x, dy, f);
    else
        with_config_of_shape<TileShape<128, 128, 2, 4>>(precision, x, dy, f);
}

template <class T>
bool is_wide(const View& view) {
    return view.shape.c % kWide<T> == 0 && is_aligned(view);
}

}  // namespace

void launch_gradient_tiles(Context& context, const WeightGradientNorm& args, const NormPlan& plan,
                           const TileRun& run) {
    if (plan.wgmma) return launch_gradient_tiles_by_wgmma(context, args, plan, run);
    const int64_t blocks = run.count * plan.slices * plan.tiles_o * plan.parts_k;
    GS_REQUIRE(blocks < (int64_t{1} << 31) && args.dy.shape.n < (int64_t{1} << 31));
    const auto& exponents = run.ending.exponents;
    const bool general = std::any_of(exponents.of, exponents.of + exponents.count,
                                     [](const Exponent& e) { return e.power == Power::Any; });
    GS_REQUIRE(!general || plan.walk == 1);
    with_config(plan, context.options().precision, args.x.dtype, args.dy.dtype, [&](auto config) {
        using Config = decltype(config);
        using TX = typename Config::TX;
        using TD = typename Config::TD;
        using Memory = TileMemory<Config>;
        const UnfoldedInput input(args.spec, args.x.shape.with_n(1));
        const int all_dy = (input.positions + Config::kChunk - 1) / Config::kChunk * Config::kChunk;
        const bool keeps_dy = plan.walk > 1 && input.positions <= NormPlan::kLongRow &&
                              Memory::bytes(all_dy, false) <= Memory::kMost;
        const int bytes = Memory::bytes(keeps_dy ? all_dy : Config::kStages * Config::kChunk, general);
        const auto kernel = weight_gradient_tile_kernel<Config>;
        launch(context, "weight gradient tiles", kernel, dim3(static_cast<unsigned>(blocks)),
               Config::Shape::kThreads, static_cast<size_t>(bytes),
               TileArguments<TX, TD>{.operands = {.input = input,
                                                  .outputs = static_cast<int>(args.dy.shape.c),
                                                  .samples = args.x.shape.n,
                                                  .x = static_cast<const TX*>(args.x.data),
                                                  .dy = static_cast<const TD*>(args.dy.data),
                                                  .wide_x = is_wide<TX>(args.x),
                                                  .wide_dy = is_wide<TD>(args.dy)},
                                     .plan = plan,
                                     .keeps_dy = keeps_dy,
                                     .order = run.order,
                                     .first = run.first,
                                     .next_ticket = run.next_ticket,
                                     .slice_sums = run.slice_sums,
                                     .ending = run.ending});
    });
}

}  // namespace gs::cuda
