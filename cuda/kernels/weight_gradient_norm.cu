// Per-sample norms of weight gradients (docs/gradient-norms-cuda.md). The gradient of one sample is an
// implicit product over its positions, made in tiles in the registers of a block (gradient_tile.cuh), which
// end in sums of |.|^p (gradient_epilogue.cuh). Where positions are many and tiles few, a sample's positions
// are cut into slices, whose partial tiles lie in scratch memory until a second kernel adds them in order.
// p = 2 alone goes by Gram matrices over positions where those cost less (position_gram.cu).
#include "core/contract.h"
#include "core/norm_cost.h"
#include "cuda/cuda_backend.h"
#include "cuda/kernels/depthwise.h"
#include "cuda/kernels/gradient_rows.h"
#include "cuda/kernels/gradient_tiles.h"
#include "cuda/kernels/launch.h"
#include "cuda/kernels/position_gram.h"
#include "cuda/kernels/unfold.h"
#include "cuda/kernels/wgmma_layers.h"

namespace gs::cuda {
namespace {

// One position: the gradient is an outer product, and ||a f^T||_p = ||a||_p ||f||_p. A block a row.
__global__ void __launch_bounds__(kBlock)
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

// One call of the operation: at most kMostNorms exponents.
class NormRun {
  public:
    NormRun(Context& context, const WeightGradientNorm& args, std::span<const PowerSum> norms)
        : context_(context),
          args_(args),
          input_(args.spec, args.x.shape.with_n(1)),
          plan_(args.dy.shape.c, input_.k(), input_.positions, static_cast<bool>(args.standardised),
                has_general(norms), context.waiting_blocks(),
                context.options().wgmma_norms && can_use_wgmma(args)),
          rows_(args.dy.shape.n),
          order_{.samples = args.x.shape.n, .cotangents = rows_ / args.x.shape.n} {
        for (const PowerSum& norm : norms) {
            outs_.of[exponents_.count] = norm.out.f32();
            exponents_.of[exponents_.count++] = Exponent(norm.p);
        }
    }

    void run() {
        if (plan_.slices > 1)
            by_slices();
        else
            by_tiles();
    }

    // g: [rows][taps][channels]
    void depthwise(float* g) {
        allocate_partial(args_.dy.shape.c);
        const int64_t c = args_.dy.shape.c;
        launch_rows(g, {.o = 1, .k = c}, input_.taps * c, 1, 0, rows_, {.samples = rows_});
        if (exponents_.count > 0) combine(c);
    }

  private:
    using RowSums = NormPlan::RowSums;
    Context& context_;
    const WeightGradientNorm& args_;
    UnfoldedInput input_;
    NormPlan plan_;
    int64_t rows_;
    RowOrder order_;
    Exponents exponents_;
    NormOutputs outs_{};
    double* partial_ = nullptr;

    static bool has_general(std::span<const PowerSum> norms) {
        return std::any_of(norms.begin(), norms.end(),
                           [](const PowerSum& norm) { return Exponent(norm.p).power == Power::Any; });
    }

    void allocate_partial(int64_t each) {
        partial_ =
            context_.scratch<double>(ScratchUse::Partial, rows_ * std::max(1, exponents_.count) * each);
    }

    void by_tiles() {
        const int64_t parts = int64_t{plan_.tiles_o} * plan_.parts_k, outputs = args_.dy.shape.c;
        const bool across = plan_.row_sums == RowSums::Together || plan_.row_sums == RowSums::Twice;
        allocate_partial(parts);
        TileEnding ending = this->ending();
        if (across || args_.gamma.out)
            ending.row_sums =
                context_.scratch<float>(ScratchUse::RowSums, rows_ * plan_.tiles_k * kRowSums * outputs);
        unsigned* ticket = nullptr;
        if (plan_.row_sums == RowSums::Together) {
            const int64_t counters = 1 + rows_ * plan_.tiles_o;
            ticket = context_.scratch<unsigned>(ScratchUse::Arrivals, counters);
            check(cudaMemsetAsync(ticket, 0, static_cast<size_t>(counters) * sizeof(unsigned),
                                  context_.stream()),
                  "counters of tiles");
            ending.arrived = ticket + 1;
        }
        if (plan_.row_sums == RowSums::Twice) {
            TileEnding first = ending;
            first.projects = false;
            first.exponents.count = 0;
            launch_gradient_tiles(context_, args_, plan_, {.order = order_, .count = rows_, .ending = first});
            ending.writes_row_sums = false;
        }
        launch_gradient_tiles(context_, args_, plan_,
                              {.order = order_, .count = rows_, .next_ticket = ticket, .ending = ending});
        if (exponents_.count > 0) combine(parts);
        if (args_.gamma.out) sum_gamma(context_, ending.row_sums, plan_.tiles_k, args_.gamma);
    }

    void by_slices() {
        const int64_t per_row = args_.dy.shape.c * input_.k();
        const int64_t most = std::clamp<int64_t>(kNormScratchFloats / (per_row * plan_.slices), 1, rows_);
        auto* g = context_.scratch<float>(ScratchUse::Gradient, most * plan_.slices * per_row);
        allocate_partial(args_.dy.shape.c);
        for (int64_t first = 0; first < rows_; first += most) {
            const int64_t count = std::min(most, rows_ - first);
            launch_gradient_tiles(context_, args_, plan_,
                                  {.order = order_, .first = first, .count = count, .slice_sums = g});
            launch_rows(g, {.o = input_.k(), .k = 1}, per_row, plan_.slices, first, count, order_);
        }
        if (exponents_.count > 0) combine(args_.dy.shape.c);
    }

    TileEnding ending() const {
        const bool projects = static_cast<bool>(args_.standardised);
        return {.row_scale = args_.scale.f32(),
                .standardised = args_.standardised.f32(),
                .gamma_weights = args_.gamma.weights.f32(),
                .row_sums = nullptr,
                .arrived = nullptr,
                .writes_row_sums = projects || args_.gamma.out,
                .projects = projects,
                .exponents = exponents_,
                .partial = partial_};
    }

    struct Strides {
        int64_t o, k;
    };
    void launch_rows(float* g, Strides strides, int64_t per_row, int64_t slices, int64_t first, int64_t count,
                     const RowOrder& order) {
        const FoldedGamma& gamma = args_.gamma;
        launch_gradient_rows(context_,
                             RowArguments{.g = g,
                                          .stride_o = strides.o,
                                          .stride_k = strides.k,
                                          .per_row = per_row,
                                          .slices = slices,
                                          .outputs = args_.dy.shape.c,
                                          .k = per_row / args_.dy.shape.c,
                                          .first = first,
                                          .order = order,
                                          .row_scale = args_.scale.f32(),
                                          .standardised = args_.standardised.f32(),
                                          .gamma_weights = gamma.weights.f32(),
                                          .shift = gamma.shift.f32(),
                                          .dbeta = gamma.dbeta.f32(),
                                          .dgamma = gamma.out.f32(),
                                          .exponents = exponents_,
                                          .partial = partial_},
                             count);
    }

    void combine(int64_t count) {
        combine_partial_norms(context_, partial_, rows_, count, exponents_, outs_);
    }
};

}  // namespace

void CudaBackend::weight_gradient_norm(const WeightGradientNorm& args) {
    contract::weight_gradient_norm(args);
    const int64_t rows = args.dy.shape.n;
    if (rows == 0) return;
    if (is_outer_product(args) && args.dy.dtype == DType::F32) {
        for (const PowerSum& norm : args.norms)
            launch(*context_, "norm of an outer product", outer_product_kernel, grid_size(rows), kBlock, 0,
                   args.dy.f32(), args.dy.shape.c, args.scale.f32(), args.x.f32(), args.x.shape.n,
                   args.x.shape.c, Exponent(norm.p), norm.out.f32());
        return;
    }
    GS_REQUIRE(args.dy.shape.per_sample() < (int64_t{1} << 31));
    if (can_use_position_grams(args)) return squared_norms_by_positions(*context_, args);
    const bool depthwise = args.spec.groups > 1;
    float* of_depthwise =
        depthwise ? depthwise_weight_gradients(*context_, args.spec, args.x, args.dy) : nullptr;
    std::span<const PowerSum> left = args.norms;
    do {
        const auto some = left.first(std::min<size_t>(left.size(), kMostNorms));
        left = left.subspan(some.size());
        NormRun run(*context_, args, some);
        if (depthwise)
            run.depthwise(of_depthwise);
        else
            run.run();
    } while (!left.empty());
}

}  // namespace gs::cuda
