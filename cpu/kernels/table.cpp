#include "cpu/kernels/declarations.h"

#define GS_STRING_(x) #x
#define GS_STRING(x) GS_STRING_(x)

namespace gs::cpu::GS_ISA {

// A function, not an object: nothing of this instruction set runs before it has been chosen.
Kernels table();
Kernels table() {
    Kernels k{};
    const auto set_maps = [](auto& maps) {
        set_pointwise(maps);
        set_norm(maps);
        set_pool(maps);
        set_unfold(maps);
    };
    set_maps(static_cast<MapKernels<float>&>(k));
    set_maps(k.bf16);
    k.isa = GS_STRING(GS_ISA);
    k.gemm_rows = gemm_rows;
    k.gemm_columns = gemm_columns;
    k.widen = widen;
    k.narrow = narrow;
    k.sign_step = sign_step;
    k.gemm_tile = gemm_tile;
    k.gradient_panel = gradient_panel;
    k.fold_lanes = fold_lanes;
    k.row_sums = row_sums;
    k.row_norm = row_norm;
    k.stored_row = stored_row;
    k.dot = dot;
    k.transpose = transpose;
    k.sum_taps = sum_taps;
    k.projection_sums = projection_sums;
    k.wide_product = wide_product;
    k.wide_dot = wide_dot;
    k.wide_gram = wide_gram;
    k.winograd_filters = winograd_filters;
    k.winograd_input = winograd_input;
    k.winograd_output = winograd_output;
    k.depthwise = depthwise;
    k.depthwise_backward = depthwise_backward;
    k.depthwise_weights = depthwise_weights;
    k.normalize_add = normalize_add;
    k.dropout = dropout;
    k.sgd = sgd;
    return k;
}

}  // namespace gs::cpu::GS_ISA
