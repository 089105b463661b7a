// Tiles of 128 x 256 of per-sample weight gradients by wgmma, fed by TMA; what becomes of them is
// gradient_epilogue.cuh's. A block makes one tile: one thread starts the copies, a chunk of positions after
// the other through a ring of stages, and two warpgroups of 64 rows each multiply. Compiled for sm_90a alone.
#include "cuda/kernels/gradient_epilogue.cuh"
#include "cuda/kernels/gradient_tiles.h"
#include "cuda/kernels/hopper.cuh"
#include "cuda/kernels/launch.h"
#include "cuda/kernels/position_boxes.h"
#include "cuda/kernels/wgmma_layers.h"

namespace gs::cuda {
namespace {

// 8 warps of 16 rows, as a warpgroup's product lays them out.
struct WgmmaTile {
    using Shape = TileShape<128, 256, 8, 1>;
    using Tile = float[Shape::kM][Shape::kN][4];
};
using Shape = WgmmaTile::Shape;

constexpr int kConsumers = Shape::kThreads, kThreads = kConsumers + kWarpSize;
constexpr int kPanelsOfDy = Shape::kO / kTmaChannels, kPanelsOfX = Shape::kK / kTmaChannels;
constexpr int kMostStages = 8;
// Tensor cores cut their sums off, and a second set of sums, to take them out as gradient_tile.cuh does,
// would not fit the registers. Over this many positions a norm then errs by some 1e-6.
constexpr int kMostPositions = 1024;
constexpr int kLeastPositions = 128;  // fewer do not pay for a block's start

struct WgmmaArguments {
    CUtensorMap x, dy;
    PositionBoxes boxes;
    int stages, channels, kernel_w, pad, outputs, k;
    int64_t samples;
    NormPlan plan;
    RowOrder order;
    int64_t first;
    unsigned* next_ticket;  // or null
    TileEnding ending;
};

// Shared memory: the stages, in their place later values for general exponents; the sums; barriers.
struct WgmmaMemory {
    static constexpr int kMost = 226 << 10;  // of 227 KiB; the ticket is static
    static constexpr int kValues = sizeof(TileValues<Shape>);
    struct Rest {
        EndingMemory<Shape> sums;
        Mbarrier full[kMostStages], empty[kMostStages];
    };
    static constexpr int kRest = kSwizzleSpan + static_cast<int>(sizeof(Rest));  // and the stages' alignment

    GS_HOST_DEVICE static int panel(const PositionBoxes& boxes) { return boxes.size() * 2 * kTmaChannels; }
    GS_HOST_DEVICE static int stage(const PositionBoxes& boxes) {
        return (kPanelsOfDy + kPanelsOfX) * panel(boxes);
    }
    GS_HOST_DEVICE static int streams(const PositionBoxes& boxes, int stages) {
        return stages * stage(boxes) > kValues ? stages * stage(boxes) : kValues;
    }
    static int stages(const PositionBoxes& boxes) {
        return std::min(kMostStages, (kMost - kRest) / stage(boxes));
    }
};
static_assert(3 * PositionBoxes::kMost * 2 * kTmaChannels * (kPanelsOfDy + kPanelsOfX) + WgmmaMemory::kRest <=
              WgmmaMemory::kMost);
static_assert(WgmmaMemory::kValues + WgmmaMemory::kRest <= WgmmaMemory::kMost);

struct Ring {
    unsigned char* stages;
    Mbarrier *full, *empty;
    int panel, count;

    __device__ unsigned char* dy(int stage, int i) const {
        return stages + (stage * (kPanelsOfDy + kPanelsOfX) + i) * panel;
    }
    __device__ unsigned char* x(int stage, int i) const { return dy(stage, kPanelsOfDy + i); }
};

// The stages one after the other, and the parity of the round.
struct RingPlace {
    int stage = 0;
    unsigned parity = 0;

    __device__ void advance(int count) {
        if (++stage < count) return;
        stage = 0;
        parity ^= 1;
    }
};

// f(h, w) of every box, in order.
template <class F>
__device__ void for_each_box(const PositionBoxes& boxes, const F& f) {
    GS_ROLLED
    for (int h = 0; h < boxes.out_h; h += boxes.h) {
        GS_ROLLED
        for (int w = 0; w < boxes.out_w; w += boxes.w) f(h, w);
    }
}

// By one thread.
__device__ void load_operands(const WgmmaArguments& args, const TilePlace& place, const Ring& ring) {
    const int sample = static_cast<int>(place.row % args.samples), o = place.tile_o * Shape::kO;
    struct Panel {
        int c, dh, dw;
    } panels[kPanelsOfX];
    GS_UNROLL
    for (int i = 0; i < kPanelsOfX; ++i) {
        const int k = place.first_k * Shape::kK + i * kTmaChannels, tap = k / args.channels;
        panels[i] = {k < args.k ? k % args.channels : args.channels,  // beyond the last: zeros
                     tap / args.kernel_w - args.pad, tap % args.kernel_w - args.pad};
    }
    RingPlace at;
    for_each_box(args.boxes, [&](int h, int w) {
        Mbarrier& full = ring.full[at.stage];
        wait(ring.empty[at.stage], at.parity ^ 1);
        arrive_expecting(full, (kPanelsOfDy + kPanelsOfX) * ring.panel);
        GS_UNROLL
        for (int i = 0; i < kPanelsOfDy; ++i)
            load_box(ring.dy(at.stage, i), args.dy, o + i * kTmaChannels, w, h, place.row, full);
        GS_UNROLL
        for (int i = 0; i < kPanelsOfX; ++i)
            load_box(ring.x(at.stage, i), args.x, panels[i].c, w + panels[i].dw, h + panels[i].dh, sample,
                     full);
        at.advance(ring.count);
    });
}

// A chunk's products, as one group: in a straight line, since in a loop each would become a group of its own.
template <int kSteps>
__device__ void start_group(int steps, WgmmaTile::Tile& tile, uint64_t dy, uint64_t x) {
    if constexpr (kSteps > 1) {
        if (steps < kSteps) return start_group<kSteps - 1>(steps, tile, dy, x);
    }
    fence_products();
    GS_UNROLL
    for (int step = 0; step < kSteps; ++step)
        start_product(tile[0], dy + step * kDescriptorStep, x + step * kDescriptorStep);
    commit_products();
}

// By both warpgroups. A group of products reads a stage; that of the stage before is waited for, which is
// then free, so that one is always under way.
__device__ void make_tile(const WgmmaArguments& args, const TilePlace& place, const Ring& ring,
                          WgmmaTile::Tile& tile) {
    static_assert(Shape::kM == 1);
    const int warpgroup = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / kWarpgroup, 0);
    const bool works = place.tile_o * Shape::kO + warpgroup * kTmaChannels < args.outputs;
    clear(tile);
    RingPlace at;
    int before = -1;
    for_each_box(args.boxes, [&](int h, int w) {
        wait(ring.full[at.stage], at.parity);
        __syncwarp();  // products are of whole warps
        if (works) {
            pin(tile[0]);
            start_group<PositionBoxes::kMost / PositionBoxes::kStep>(
                args.boxes.steps(h, w), tile, panel_descriptor(ring.dy(at.stage, warpgroup), ring.panel),
                panel_descriptor(ring.x(at.stage, 0), ring.panel));
            pin(tile[0]);
            wait_for_products<1>();
        }
        if (before >= 0 && threadIdx.x % kWarpSize == 0) arrive(ring.empty[before]);
        before = at.stage;
        at.advance(ring.count);
    });
    wait_for_products<0>();
    pin(tile[0]);
}

__global__ void __launch_bounds__(kThreads, 1)
    weight_gradient_wgmma_kernel(const __grid_constant__ WgmmaArguments args) {
    GS_DYNAMIC_SHARED(unsigned char, memory);
    unsigned char* const streams =
        memory + (kSwizzleSpan - shared_address(memory) % kSwizzleSpan) % kSwizzleSpan;
    auto& rest =
        *reinterpret_cast<WgmmaMemory::Rest*>(streams + WgmmaMemory::streams(args.boxes, args.stages));
    const Ring ring{streams, rest.full, rest.empty, WgmmaMemory::panel(args.boxes), args.stages};
    const unsigned index = args.next_ticket != nullptr ? take_ticket(args.next_ticket) : blockIdx.x;
    const TilePlace place(index, args.first, args.order, args.plan);
    TileEnd<WgmmaTile> ending(args.ending, place, args.plan, args.outputs, args.k, rest.sums);
    if (threadIdx.x < kConsumers) {
        ending.begin();
    } else if (threadIdx.x == kConsumers) {
        GS_ROLLED
        for (int stage = 0; stage < ring.count; ++stage) {
            init(ring.full[stage], 1);
            init(ring.empty[stage], kConsumers / kWarpSize);
        }
        fence_barriers();
    }
    __syncthreads();
    if (threadIdx.x >= kConsumers) {  // ends; later barriers of the block are for those that are left
        if (threadIdx.x == kConsumers) load_operands(args, place, ring);
        return;
    }
    WgmmaTile::Tile tile;
    make_tile(args, place, ring, tile);
    __syncthreads();  // the stages have been read
    ending.add(tile, place.first_k, reinterpret_cast<TileValues<Shape>*>(streams));
    ending.write();
}

// A 1x1 convolution's positions are one row: no edge but the last.
bool is_row(const ConvSpec& spec) {
    return spec.kernel_h == 1 && spec.kernel_w == 1 && spec.pad == 0;
}
View as_row(View map) {
    map.shape = {map.shape.n, 1, map.shape.pixels(), map.shape.c};
    return map;
}

}  // namespace

bool can_use_wgmma(const WeightGradientNorm& args) {
    const ConvSpec& spec = args.spec;
    const int64_t positions = args.dy.shape.pixels(), outputs = args.dy.shape.c;
    return args.x.dtype == DType::BF16 && args.dy.dtype == DType::BF16 && spec.groups == 1 &&
           spec.stride == 1 && spec.in_channels % kTmaChannels == 0 && outputs > 64 && outputs % 8 == 0 &&
           spec.kernel_h * spec.kernel_w * spec.in_channels >= Shape::kK && positions >= kLeastPositions &&
           positions <= kMostPositions && is_aligned(args.x) && is_aligned(args.dy);
}

void launch_gradient_tiles_by_wgmma(Context& context, const WeightGradientNorm& args, const NormPlan& plan,
                                    const TileRun& run) {
    const int64_t blocks = run.count * plan.tiles_o * plan.tiles_k, rows = args.dy.shape.n;
    GS_REQUIRE(can_use_wgmma(args) && plan.wgmma && plan.walk == 1 && plan.slices == 1);
    GS_REQUIRE(blocks < (int64_t{1} << 31) && rows < (int64_t{1} << 31));
    const View x = is_row(args.spec) ? as_row(args.x) : args.x,
               dy = is_row(args.spec) ? as_row(args.dy) : args.dy;
    const PositionBoxes boxes(static_cast<int>(dy.shape.h), static_cast<int>(dy.shape.w));
    const int stages = WgmmaMemory::stages(boxes),
              bytes = WgmmaMemory::kRest + WgmmaMemory::streams(boxes, stages);
    launch(context, "weight gradient tiles by wgmma", weight_gradient_wgmma_kernel,
           dim3(static_cast<unsigned>(blocks)), kThreads, static_cast<size_t>(bytes),
           WgmmaArguments{.x = make_tensor_map(x, boxes.h, boxes.w),
                          .dy = make_tensor_map(dy, boxes.h, boxes.w),
                          .boxes = boxes,
                          .stages = stages,
                          .channels = static_cast<int>(x.shape.c),
                          .kernel_w = static_cast<int>(args.spec.kernel_w),
                          .pad = static_cast<int>(args.spec.pad),
                          .outputs = static_cast<int>(dy.shape.c),
                          .k = static_cast<int>(args.spec.kernel_h * args.spec.kernel_w * x.shape.c),
                          .samples = x.shape.n,
                          .plan = plan,
                          .order = run.order,
                          .first = run.first,
                          .next_ticket = run.next_ticket,
                          .ending = run.ending});
}

}  // namespace gs::cuda
