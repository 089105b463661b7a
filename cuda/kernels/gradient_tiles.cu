#include "cuda/kernels/gradient_epilogue.cuh"
#include "cuda/kernels/gradient_tiles.h"
#include "cuda/kernels/launch.h"

namespace gs::cuda {
namespace {

template <class TX, class TD>
struct TileArguments {
    GradientOperands<TX, TD> operands;
    int tiles_o, tiles_k, slices, slice;
    int64_t first_row;
    unsigned* next_ticket;  // or null
    float* slice_sums;      // or null
    TileEnding ending;
};

template <class Config>
union TileMemory {
    typename Config::Stage stages[Config::kStages];
    EndingMemory<typename Config::Shape> ending;
};

template <class Shape, class Tile>
__device__ void store_tile(Tile& tile, int outputs, int k, const TilePlace& place, float* to) {
    const TileThread<Shape> self;
    const int o0 = place.tile_o * Shape::kO, k0 = place.tile_k * Shape::kK;
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

// Two blocks of smaller tiles share a multiprocessor's registers.
template <class Config>
constexpr int kBlocksTogether = Config::Shape::kM* Config::Shape::kN <= 8 ? 2 : 1;

template <class Config>
__global__ void __launch_bounds__(Config::Shape::kThreads, kBlocksTogether<Config>)
    weight_gradient_tile_kernel(TileArguments<typename Config::TX, typename Config::TD> args) {
    using Shape = typename Config::Shape;
    GS_DYNAMIC_SHARED(TileMemory<Config>, memory);
    const unsigned index = args.next_ticket != nullptr ? take_ticket(args.next_ticket) : blockIdx.x;
    const TilePlace place(index, args.first_row, args.tiles_o, args.tiles_k, args.slices);
    const int begin = place.slice * args.slice, outputs = args.operands.outputs, k = args.operands.input.k(),
              positions = args.operands.input.positions;
    const int end = positions - begin < args.slice ? positions : begin + args.slice;
    typename Config::Tile tile;
    make_tile<Config>(args.operands, place.row, place.tile_o * Shape::kO, place.tile_k * Shape::kK, begin,
                      end, memory->stages, tile);
    if (args.slice_sums != nullptr) {
        const int64_t at = (place.row - args.first_row) * args.slices + place.slice;
        store_tile<Shape>(tile, outputs, k, place, args.slice_sums + at * outputs * k);
    } else {
        end_tile<Shape>(tile, outputs, k, place, args.ending, memory->ending);
    }
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
    const int64_t blocks = run.count * plan.slices * plan.tiles_o * plan.tiles_k;
    GS_REQUIRE(blocks < (int64_t{1} << 31));
    with_config(plan, context.options().precision, args.x.dtype, args.dy.dtype, [&](auto config) {
        using Config = decltype(config);
        using TX = typename Config::TX;
        using TD = typename Config::TD;
        const auto kernel = weight_gradient_tile_kernel<Config>;
        constexpr size_t kShared = sizeof(TileMemory<Config>);
        static_assert(kShared <= size_t{99} << 10, "more than a block has on compute capability 8.6");
        check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kShared),
              "shared memory of weight gradient tiles");
        launch(context, "weight gradient tiles", kernel, dim3(static_cast<unsigned>(blocks)),
               Config::Shape::kThreads, kShared,
               TileArguments<TX, TD>{.operands = {.input = UnfoldedInput(args.spec, args.x.shape.with_n(1)),
                                                  .outputs = static_cast<int>(args.dy.shape.c),
                                                  .samples = args.x.shape.n,
                                                  .x = static_cast<const TX*>(args.x.data),
                                                  .dy = static_cast<const TD*>(args.dy.data),
                                                  .wide_x = is_wide<TX>(args.x),
                                                  .wide_dy = is_wide<TD>(args.dy)},
                                     .tiles_o = plan.tiles_o,
                                     .tiles_k = plan.tiles_k,
                                     .slices = plan.slices,
                                     .slice = plan.slice,
                                     .first_row = run.first,
                                     .next_ticket = run.next_ticket,
                                     .slice_sums = run.slice_sums,
                                     .ending = run.ending});
    });
}

}  // namespace gs::cuda
