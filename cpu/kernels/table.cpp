#include "cpu/kernels/declarations.h"

#define GS_STRING_(x) #x
#define GS_STRING(x) GS_STRING_(x)

namespace gs::cpu::GS_ISA {

// A function, not an object: nothing of this instruction set runs before it has been chosen.
Kernels table();
Kernels table() {
    return {.isa = GS_STRING(GS_ISA),
            .gemm_rows = gemm_rows,
            .gemm_columns = gemm_columns,
            .affine = affine,
            .activate = activate,
            .add = add,
            .sign_step = sign_step,
            .pointwise_backward = pointwise_backward,
            .channel_sums = channel_sums,
            .add_and_sum = add_and_sum,
            .centered_moments = centered_moments,
            .normalize = normalize,
            .norm_backward_sums = norm_backward_sums,
            .norm_backward = norm_backward,
            .max_pool = max_pool,
            .max_pool_backward = max_pool_backward,
            .gemm_tile = gemm_tile,
            .gradient_panel = gradient_panel,
            .fold_lanes = fold_lanes,
            .unfold = unfold,
            .pack_gradient = pack_gradient,
            .row_sums = row_sums,
            .row_norm = row_norm,
            .stored_row = stored_row,
            .dot = dot,
            .winograd_filters = winograd_filters,
            .winograd_input = winograd_input,
            .winograd_output = winograd_output,
            .depthwise = depthwise,
            .depthwise_backward = depthwise_backward,
            .depthwise_weights = depthwise_weights,
            .normalize_add = normalize_add,
            .dropout = dropout,
            .sgd = sgd};
}

}  // namespace gs::cpu::GS_ISA
