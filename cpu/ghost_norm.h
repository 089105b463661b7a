// The squared norm of a weight gradient without the gradient: ||G||^2 = sum over pairs of positions of <dy_s,
// dy_s'> <X_s, X_s'>, which is cheap where there are few positions.
#pragma once

#include "core/backend.h"
#include "cpu/context.h"

namespace gs::cpu {

enum class NormRoute : uint8_t {
    Direct,    // the gradient's tiles
    Ghost,     // Gram matrices of the gradients and of the unfolded input
    PixelGram  // the latter as sums of shifted copies of the Gram matrix of pixels; stride 1, output as large
               // as input
};

// Multiply-adds of a route's Gram matrices (half of each: they are symmetric) over those of the gradient.
double ghost_cost(const ConvSpec& spec, const Shape& x);
double pixel_gram_cost(const ConvSpec& spec, const Shape& x);
// The cheapest route to a squared norm on the CPU, where other work than multiply-adds is counted by asking
// for less than 0.7 or 0.5 of them.
NormRoute cheapest_route(const ConvSpec& spec, const Shape& x);

// p = 2 alone, no weight standardisation.
class GhostNorm {
  public:
    // Takes memory of the context for every thread.
    GhostNorm(Context& context, const WeightGradientNorm& args, NormRoute route);
    // Sum of the squares of one row's gradient. thread: below the context's number of threads.
    double run(int64_t row, int thread) const;

  private:
    // A symmetric matrix of which the part right of the diagonal counts, with zeros left and right of its
    // rows.
    struct Gram {
        float* data;
        int64_t pitch;
        float* row(int64_t i) const { return data + i * pitch; }
    };
    struct Workspace {
        Gram gradients, masked, inputs;
        float* scaled;      // [positions][outputs]
        float* panel;       // [positions][gemm_columns] of the unfolded input
        float* transposed;  // [depth of a block][gemm_columns]
        float* widened;     // an input of bfloat16
    };
    Workspace workspace(int thread) const;
    Gram clear(float* data, int64_t count) const;
    void scale_gradients(int64_t row, float* scaled) const;
    // The sample's map, converted to `widened` where it is not float32.
    const float* as_floats(int64_t sample, float* widened) const;
    void add_gram(const float* vectors, int64_t count, int64_t depth, int64_t pitch, float* transposed,
                  bool accumulate, const Gram& gram) const;
    template <class T>
    void gram_of_unfolded(const T* x, const Workspace& work) const;
    double sum_of_products(const Gram& a, const Gram& b, int64_t count) const;
    Gram mask(const Workspace& work, int64_t left, int64_t right) const;
    double sum_over_taps(const Workspace& work) const;

    const Kernels& kernels_;
    const WeightGradientNorm args_;
    NormRoute route_;
    Shape x_, y_;  // of one sample
    int64_t margin_;
    size_t sizes_[7] = {};  // of a workspace's parts, in floats
    float* memory_ = nullptr;
};

}  // namespace gs::cpu
