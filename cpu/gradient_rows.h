// Norms of the rows of a weight gradient, an output each, from blocks of its product that never leave the
// cache.
#pragma once

#include <iterator>
#include <numeric>
#include <span>

#include "core/backend.h"
#include "cpu/context.h"

namespace gs::cpu {

// The gradient of a folded norm's gamma from sum_k weights[o,k] G[row,o,k].
inline void write_gamma(const FoldedGamma& gamma, int64_t row, int64_t o, double dot) {
    const int64_t at = row * gamma.out.shape.c + o;
    gamma.out.f32()[at] =
        static_cast<float>(dot + static_cast<double>(gamma.shift.f32()[o]) * gamma.dbeta.f32()[at]);
}

// Positions [first, first + count) of one sample's unfolded input, no columns yet.
template <class T>
UnfoldBlock<T> unfold_block(const WeightGradientNorm& args, int64_t sample, int64_t first, int64_t count) {
    const Shape& x = args.x.shape;
    const ConvSpec& spec = args.spec;
    return {args.x.as<T>() + sample * x.per_sample(),
            x.h,
            x.w,
            x.c,
            spec.kernel_w,
            spec.stride,
            spec.pad,
            args.dy.shape.w,
            first,
            count,
            0,
            0};
}
// Between rows of a tile, in floats: whole panels and a cache line, lest a group's rows fall into one set.
inline int64_t gradient_pitch(const Kernels& kernels, int64_t fan_in) {
    return div_up(fan_in, kernels.gemm_columns) * kernels.gemm_columns + 16;
}
// How many floats a thread's tiles may take: half of a core's second-level cache. Speed alone depends on it.
int64_t gradient_tile_floats();
// Outputs [o, o + outputs) at these positions of a row of dy, packed for the kernel.
void pack_gradients(const Kernels& kernels, const View& dy, int64_t row, int64_t first, int64_t count,
                    int64_t o, int64_t outputs, float* to);

// The work is cut into units, (row of dy, group of outputs), whose results do not depend on the cut.
class GradientRows {
  public:
    // Takes memory of the context for every thread.
    GradientRows(Context& context, const WeightGradientNorm& args);
    int64_t groups() const { return groups_; }  // of each row
    // For the outputs of a group: values[i * outputs + o] = sum_k |D[row,o,k]|^p, or the largest, of
    // args.norms[i].
    void run(int64_t row, int64_t group, int worker, std::span<double> values) const;

  private:
    struct Workspace {
        float* gradient;  // [group / gemm_rows][positions of a block][gemm_rows]
        float* panel;     // [positions of a block][gemm_columns] of the unfolded input
        float* tile;      // [group][gradient_pitch]
        float* lanes;     // [group][gemm_columns / 2]
    };
    struct Outputs {
        int64_t first, count;
    };
    size_t workspace_size() const { return std::accumulate(std::begin(sizes_), std::end(sizes_), size_t{0}); }
    Workspace workspace(int worker) const;
    template <class T>  // of the input
    void run_block(int64_t row, const Outputs& outputs, int64_t first, int64_t count, const Workspace& work,
                   double* totals) const;
    void reduce_tile(int64_t row, const Outputs& outputs, const Workspace& work,
                     std::span<double> values) const;
    void choose_group(int threads);

    const Kernels& kernels_;
    const WeightGradientNorm args_;
    Shape x_, y_;  // of one sample
    int64_t fan_in_, panels_, pitch_, blocks_, block_;
    bool keeps_tile_;       // else one norm is taken while the product is in registers
    bool reduces_ = false;  // the last block's product is reduced, not stored
    RowNorm norm_ = RowNorm::Absolute;
    int64_t group_ = 0, groups_ = 0;
    size_t sizes_[4] = {};  // of a workspace's parts, in floats
    float* memory_ = nullptr;
};

}  // namespace gs::cpu
