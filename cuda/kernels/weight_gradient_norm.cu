// Per-sample norms of weight gradients. The gradient of one sample is an implicit product over its positions,
//   G[o,k] = sum_s dy[s,o] X[s,k],
// made in tiles in registers, the input unfolded while it is loaded. Where the norm needs nothing but |G| a
// tile ends in its power sums; where it needs whole rows first (standardised weights, a folded gamma) the
// tiles of a few samples go to scratch memory of the size of the second-level cache, and a second kernel
// reduces their rows.
#include "cuda/cuda_backend.h"
#include "cuda/kernels/depthwise.h"
#include "cuda/kernels/launch.h"
#include "cuda/kernels/power.cuh"
#include "cuda/kernels/weight_gradient_norm.h"

namespace gs::cuda {
namespace {

constexpr int kTile = 64, kChunk = 16, kThreads = 256, kEach = 4;  // a thread holds 4 x 4 of a tile's values
constexpr int kFlush = 256;  // positions that a float32 sum runs over before it is added to the total

template <class TX, class TD>
struct TileArguments {
    UnfoldedInput input;
    int64_t outputs, samples, first_row;
    const TX* x;
    const TD* dy;
    float* g;                // [rows][outputs][k], or null
    const float* row_scale;  // [outputs], or null: 1
    Exponents exponents;
    double* partial;  // [rows][exponents][tiles]
};

struct alignas(16) TileMemory {
    float dy[kChunk][kTile], x[kChunk][kTile];
    int64_t h[kChunk], w[kChunk];  // of the window's corner at each position
};

// Positions [s0, s0 + kChunk) of both operands into shared memory, zeros beyond the edges.
template <class TX, class TD>
__device__ void load_chunk(const TileArguments<TX, TD>& args, const TX* x, const TD* dy, int64_t s0,
                           int64_t o0, const UnfoldedColumn& column, TileMemory& memory) {
    const int64_t positions = args.input.positions();
    if (threadIdx.x < kChunk) {
        const int64_t s = s0 + threadIdx.x;
        memory.h[threadIdx.x] = s / args.input.out_w * args.input.stride - args.input.pad;
        memory.w[threadIdx.x] = s % args.input.out_w * args.input.stride - args.input.pad;
    }
    __syncthreads();
    const int lane = static_cast<int>(threadIdx.x) % kTile;
    for (int i = static_cast<int>(threadIdx.x) / kTile; i < kChunk; i += kThreads / kTile) {
        const bool exists = s0 + i < positions;
        const int64_t o = o0 + lane;
        memory.dy[i][lane] =
            exists && o < args.outputs ? static_cast<float>(dy[(s0 + i) * args.outputs + o]) : 0.0f;
        const int64_t at = exists ? column.at(args.input, memory.h[i], memory.w[i]) : -1;
        memory.x[i][lane] = at >= 0 ? static_cast<float>(x[at]) : 0.0f;
    }
    __syncthreads();
}

__device__ void clear(float (&tile)[kEach][kEach]) {
    GS_UNROLL
    for (int i = 0; i < kEach; ++i) {
        GS_UNROLL
        for (int j = 0; j < kEach; ++j) tile[i][j] = 0;
    }
}

__device__ void add_to(float (&total)[kEach][kEach], const float (&tile)[kEach][kEach]) {
    GS_UNROLL
    for (int i = 0; i < kEach; ++i) {
        GS_UNROLL
        for (int j = 0; j < kEach; ++j) total[i][j] += tile[i][j];
    }
}

__device__ void multiply_chunk(const TileMemory& memory, int oy, int kx, float (&tile)[kEach][kEach]) {
    GS_UNROLL
    for (int s = 0; s < kChunk; ++s) {
        const Values<4> a = load<4>(&memory.dy[s][oy]), b = load<4>(&memory.x[s][kx]);
        GS_UNROLL
        for (int i = 0; i < kEach; ++i) {
            GS_UNROLL
            for (int j = 0; j < kEach; ++j) tile[i][j] = fmaf(a[i], b[j], tile[i][j]);
        }
    }
}

// Tile (blockIdx.x along k, blockIdx.y along o) of row blockIdx.z.
template <class TX, class TD, bool store_g>
__global__ void __launch_bounds__(kThreads) weight_gradient_tile_kernel(TileArguments<TX, TD> args) {
    __shared__ TileMemory memory;
    const int64_t k0 = static_cast<int64_t>(blockIdx.x) * kTile,
                  o0 = static_cast<int64_t>(blockIdx.y) * kTile;
    const int64_t row = args.first_row + blockIdx.z, positions = args.input.positions();
    const TX* x = args.x + row % args.samples * args.input.per_sample();
    const TD* dy = args.dy + row * positions * args.outputs;
    const UnfoldedColumn column(args.input, k0 + threadIdx.x % kTile);
    const int oy = static_cast<int>(threadIdx.x) / 16 * kEach,
              kx = static_cast<int>(threadIdx.x) % 16 * kEach;
    float total[kEach][kEach], tile[kEach][kEach];
    clear(total);
    clear(tile);
    for (int64_t s0 = 0; s0 < positions; s0 += kChunk) {
        load_chunk(args, x, dy, s0, o0, column, memory);
        multiply_chunk(memory, oy, kx, tile);
        __syncthreads();
        if (s0 % kFlush == kFlush - kChunk) {
            add_to(total, tile);
            clear(tile);
        }
    }
    add_to(total, tile);
    const int64_t k = args.input.k();
    if constexpr (store_g) {
        float* g = args.g + static_cast<int64_t>(blockIdx.z) * args.outputs * k;
        for (int i = 0; i < kEach; ++i)
            for (int j = 0; j < kEach; ++j)
                if (o0 + oy + i < args.outputs && k0 + kx + j < k)
                    g[(o0 + oy + i) * k + k0 + kx + j] = total[i][j];
    } else {
        const int64_t tiles = static_cast<int64_t>(gridDim.x) * gridDim.y;
        // One value after the other, so that a general power needs its registers once.
        __shared__ float values[kEach * kEach][kThreads];
        GS_UNROLL
        for (int i = 0; i < kEach; ++i) {
            const int64_t o = o0 + oy + i;
            const float scale = args.row_scale != nullptr && o < args.outputs ? args.row_scale[o] : 1.0f;
            GS_UNROLL
            for (int j = 0; j < kEach; ++j)  // beyond the edges they are 0
                values[i * kEach + j][threadIdx.x] = scale * total[i][j];
        }
        for (int n = 0; n < args.exponents.count; ++n) {
            const Exponent exponent = args.exponents.of[n];
            double sum = 0;
            GS_ROLLED
            for (int e = 0; e < kEach * kEach; ++e)
                sum = combined(sum, static_cast<double>(power(values[e][threadIdx.x], exponent)), exponent);
            sum = combined_over_block(sum, exponent);
            if (threadIdx.x == 0)
                args.partial[(row * args.exponents.count + n) * tiles + blockIdx.y * gridDim.x + blockIdx.x] =
                    sum;
        }
    }
}

struct RowArguments {
    const float* g;  // value (o, k) at o * stride_o + k * stride_k of its row's per_row values
    int64_t stride_o, stride_k, per_row, outputs, k, first_row;
    const float *row_scale, *standardised;       // or null
    const float *gamma_weights, *shift, *dbeta;  // where dgamma is there
    float* dgamma;                               // [rows][outputs], or null
    Exponents exponents;
    double* partial;  // [rows][exponents][outputs]
};

// Output channel blockIdx.x of row blockIdx.y.
__global__ void __launch_bounds__(kThreads) gradient_rows_kernel(RowArguments args) {
    const int64_t o = blockIdx.x, row = args.first_row + blockIdx.y;
    const float* g = args.g + blockIdx.y * args.per_row + o * args.stride_o;
    double sum = 0, slope = 0, dot = 0;
    for (int64_t i = threadIdx.x; i < args.k; i += blockDim.x) {
        const double value = g[i * args.stride_k];
        sum += value;
        if (args.standardised != nullptr)
            slope += value * static_cast<double>(args.standardised[o * args.k + i]);
        if (args.dgamma != nullptr) dot += value * static_cast<double>(args.gamma_weights[o * args.k + i]);
    }
    if (args.dgamma != nullptr) {
        dot = sum_over_block(dot);
        const int64_t at = row * args.outputs + o;
        if (threadIdx.x == 0)
            args.dgamma[at] = static_cast<float>(dot + static_cast<double>(args.shift[o]) *
                                                           static_cast<double>(args.dbeta[at]));
    }
    float mean = 0, mean_dot = 0;
    if (args.standardised != nullptr) {
        mean = static_cast<float>(sum_over_block(sum) / static_cast<double>(args.k));
        mean_dot = static_cast<float>(sum_over_block(slope) / static_cast<double>(args.k));
    }
    const float scale = args.row_scale == nullptr ? 1.0f : args.row_scale[o];
    for (int n = 0; n < args.exponents.count; ++n) {
        const Exponent exponent = args.exponents.of[n];
        double total = 0;
        for (int64_t i = threadIdx.x; i < args.k; i += blockDim.x) {
            float value = g[i * args.stride_k];
            if (args.standardised != nullptr)
                value = fmaf(-args.standardised[o * args.k + i], mean_dot, value - mean);
            total = combined(total, static_cast<double>(power(scale * value, exponent)), exponent);
        }
        total = combined_over_block(total, exponent);
        if (threadIdx.x == 0) args.partial[(row * args.exponents.count + n) * args.outputs + o] = total;
    }
}

struct Outputs {
    float* of[kMostNorms];
};

// Row blockIdx.x, exponent blockIdx.y: `count` partial values each.
__global__ void __launch_bounds__(kThreads)
    combine_partial_kernel(const double* partial, int64_t count, Exponents exponents, Outputs outs) {
    const Exponent exponent = exponents.of[blockIdx.y];
    const double* from = partial + (static_cast<int64_t>(blockIdx.x) * exponents.count + blockIdx.y) * count;
    double total = 0;
    for (int64_t i = threadIdx.x; i < count; i += blockDim.x) total = combined(total, from[i], exponent);
    total = combined_over_block(total, exponent);
    if (threadIdx.x == 0) outs.of[blockIdx.y][blockIdx.x] = static_cast<float>(total);
}

// One position: the gradient is an outer product, and ||a f^T||_p = ||a||_p ||f||_p. A block a row.
__global__ void __launch_bounds__(kThreads)
    outer_product_kernel(const float* dy, int64_t outputs, const float* row_scale, const float* x,
                         int64_t samples, int64_t inputs, Exponent exponent, float* out) {
    double left = 0, right = 0;
    for (int64_t o = threadIdx.x; o < outputs; o += blockDim.x) {
        const float scale = row_scale == nullptr ? 1.0f : row_scale[o];
        left = combined(left, static_cast<double>(power(scale * dy[blockIdx.x * outputs + o], exponent)),
                        exponent);
    }
    const float* f = x + blockIdx.x % samples * inputs;
    for (int64_t c = threadIdx.x; c < inputs; c += blockDim.x)
        right = combined(right, static_cast<double>(power(f[c], exponent)), exponent);
    left = combined_over_block(left, exponent);
    right = combined_over_block(right, exponent);
    if (threadIdx.x == 0) out[blockIdx.x] = static_cast<float>(left * right);
}

const float* data_or_null(const View& view) {
    return view ? view.f32() : nullptr;
}

// f(TX{}, TD{}) for the types that maps come in: an image is float32 whatever its gradient is.
template <class F>
void with_types(const View& x, const View& dy, const F& f) {
    with_type(dy.dtype, [&](auto gradient) {
        if (x.dtype == dy.dtype) return f(gradient, gradient);
        GS_REQUIRE(x.dtype == DType::F32);
        f(float{}, gradient);
    });
}

// One call of the operation: at most kMostNorms exponents.
class NormRun {
  public:
    NormRun(Context& context, const WeightGradientNorm& args, std::span<const PowerSum> norms)
        : context_(context), args_(args), input_(args.spec, args.x.shape), rows_(args.dy.shape.n) {
        for (const PowerSum& norm : norms) {
            outs_.of[exponents_.count] = norm.out.f32();
            exponents_.of[exponents_.count++] = Exponent(norm.p);
        }
    }

    void by_tiles() {
        const int64_t count = tiles_k() * tiles_o();
        partial_ = context_.scratch<double>(Scratch::Partial, rows_ * exponents_.count * count);
        with_types(args_.x, args_.dy,
                   [&](auto x, auto dy) { launch_tiles<false>(x, dy, 0, rows_, nullptr); });
        combine(count);
    }

    void by_rows() {
        const int64_t per_row = args_.dy.shape.c * input_.k();
        const int64_t most = std::clamp<int64_t>(kScratchFloats / per_row, 1, rows_);
        auto* g = context_.scratch<float>(Scratch::Gradient, most * per_row);
        allocate_row_sums();
        for (int64_t first = 0; first < rows_; first += most) {
            const int64_t count = std::min(most, rows_ - first);
            with_types(args_.x, args_.dy,
                       [&](auto x, auto dy) { launch_tiles<true>(x, dy, first, count, g); });
            launch_rows(g, {.o = input_.k(), .k = 1}, per_row, first, count);
        }
        if (exponents_.count > 0) combine(args_.dy.shape.c);
    }

    // g: [rows][taps][channels]
    void depthwise(const float* g) {
        allocate_row_sums();
        const int64_t c = args_.dy.shape.c, taps = args_.spec.kernel_h * args_.spec.kernel_w;
        launch_rows(g, {.o = 1, .k = c}, taps * c, 0, rows_);
        if (exponents_.count > 0) combine(c);
    }

  private:
    static constexpr int64_t kScratchFloats = int64_t{8} << 20;  // 32 MiB
    Context& context_;
    const WeightGradientNorm& args_;
    UnfoldedInput input_;
    int64_t rows_;
    Exponents exponents_;
    Outputs outs_{};
    double* partial_ = nullptr;

    int64_t tiles_k() const { return (input_.k() + kTile - 1) / kTile; }
    int64_t tiles_o() const { return (args_.dy.shape.c + kTile - 1) / kTile; }

    void allocate_row_sums() {
        partial_ = context_.scratch<double>(Scratch::Partial,
                                            rows_ * std::max(1, exponents_.count) * args_.dy.shape.c);
    }

    template <bool store_g, class TX, class TD>
    void launch_tiles(TX, TD, int64_t first, int64_t count, float* g) {
        launch(context_, "weight gradient tiles", weight_gradient_tile_kernel<TX, TD, store_g>,
               dim3(static_cast<unsigned>(tiles_k()), static_cast<unsigned>(tiles_o()),
                    static_cast<unsigned>(count)),
               kThreads, 0,
               TileArguments<TX, TD>{.input = input_,
                                     .outputs = args_.dy.shape.c,
                                     .samples = args_.x.shape.n,
                                     .first_row = first,
                                     .x = static_cast<const TX*>(args_.x.data),
                                     .dy = static_cast<const TD*>(args_.dy.data),
                                     .g = g,
                                     .row_scale = data_or_null(args_.scale),
                                     .exponents = exponents_,
                                     .partial = partial_});
    }

    struct Strides {
        int64_t o, k;
    };
    void launch_rows(const float* g, Strides strides, int64_t per_row, int64_t first, int64_t count) {
        const FoldedGamma& gamma = args_.gamma;
        launch(context_, "rows of a weight gradient", gradient_rows_kernel,
               dim3(static_cast<unsigned>(args_.dy.shape.c), static_cast<unsigned>(count)), kThreads, 0,
               RowArguments{.g = g,
                            .stride_o = strides.o,
                            .stride_k = strides.k,
                            .per_row = per_row,
                            .outputs = args_.dy.shape.c,
                            .k = per_row / args_.dy.shape.c,
                            .first_row = first,
                            .row_scale = data_or_null(args_.scale),
                            .standardised = data_or_null(args_.standardised),
                            .gamma_weights = data_or_null(gamma.weights),
                            .shift = data_or_null(gamma.shift),
                            .dbeta = data_or_null(gamma.dbeta),
                            .dgamma = gamma.out ? gamma.out.f32() : nullptr,
                            .exponents = exponents_,
                            .partial = partial_});
    }

    void combine(int64_t count) {
        launch(context_, "sum of partial norms", combine_partial_kernel,
               dim3(static_cast<unsigned>(rows_), static_cast<unsigned>(exponents_.count)), kThreads, 0,
               partial_, count, exponents_, outs_);
    }
};

void require(const WeightGradientNorm& args) {
    const int64_t rows = args.dy.shape.n, outputs = args.dy.shape.c;
    GS_REQUIRE(args.dy.shape.with_n(1) == args.spec.output_shape(args.x.shape.with_n(1)));
    GS_REQUIRE(args.x.shape.n > 0 && rows % args.x.shape.n == 0 && (args.gamma.out || !args.norms.empty()));
    for (const PowerSum& norm : args.norms) GS_REQUIRE(norm.p > 0 && norm.out.shape.size() == rows);
    if (!args.gamma.out) return;
    const Shape sums{rows, 1, 1, outputs};
    GS_REQUIRE(args.gamma.out.shape == sums && args.gamma.dbeta.shape == sums);
    GS_REQUIRE(args.gamma.shift.shape == (Shape{1, 1, 1, outputs}));
    GS_REQUIRE(args.gamma.weights.shape.size() == weight_shape(args.spec).size());
}

}  // namespace

void CudaBackend::weight_gradient_norm(const WeightGradientNorm& args) {
    require(args);
    const int64_t rows = args.dy.shape.n;
    if (rows == 0) return;
    const bool depthwise = args.spec.groups > 1;
    const bool linear =
        args.x.shape.pixels() == 1 && args.spec.kernel_h == 1 && args.spec.kernel_w == 1 && !depthwise;
    if (linear && !args.standardised && !args.gamma.out && args.dy.dtype == DType::F32) {
        for (const PowerSum& norm : args.norms)
            launch(*context_, "norm of an outer product", outer_product_kernel,
                   dim3(static_cast<unsigned>(rows)), kThreads, 0, args.dy.f32(), args.dy.shape.c,
                   data_or_null(args.scale), args.x.f32(), args.x.shape.n, args.x.shape.c, Exponent(norm.p),
                   norm.out.f32());
        return;
    }
    GS_REQUIRE(!(depthwise && args.standardised));
    const float* of_depthwise =
        depthwise ? depthwise_weight_gradients(*context_, args.spec, args.x, args.dy) : nullptr;
    std::span<const PowerSum> left = args.norms;
    do {
        const auto some = left.first(std::min<size_t>(left.size(), kMostNorms));
        left = left.subspan(some.size());
        NormRun run(*context_, args, some);
        if (depthwise)
            run.depthwise(of_depthwise);
        else if (args.standardised || args.gamma.out)
            run.by_rows();
        else
            run.by_tiles();
    } while (!left.empty());
}

}  // namespace gs::cuda
