// What squared norms by Gram matrices over positions share: the strips of the input's matrix, which serve all
// cotangents of a sample, and what weight standardisation needs to know of each row.
//
// Weight standardisation takes from each row of G its mean and its part along the weights w, whose sum is 0:
//   <D_o, D'_o> = scale_o^2 (<G_o, G'_o> - K m m' - (2 - sum_k w_ok^2 / K) K r r'),
//   K m = sum_k G_ok = sum_s dy_so box_s,   K r = sum_k G_ok w_ok = sum_s dy_so y_so,
// box_s the sum of what position s sees and y the convolution's output.
#pragma once

#include <array>

#include "cpu/position_gram.h"

namespace gs::cpu {

// The same bits for any number of threads and any batch.
class PositionSweep {
  public:
    // What is left of a squared norm when the projection has taken more is not accurate in float32.
    static constexpr double kLeastKept = 0.1;

    struct Workspace {
        float* stored;            // of the sample
        float *scratch, *inputs;  // of the thread: for gram_strip; a strip
        float* own;               // of the thread, for `multiply`
    };

    // own_floats: of each thread. Takes the context's memory `gradient` and `sinks`. With standardised
    // weights args.output is present and all maps are float32.
    PositionSweep(Context& context, const WeightGradientNorm& args, NormRoute route, size_t own_floats);
    const PositionGram& gram() const { return gram_; }

    // multiply(sample, i, work): for strip i of the sample's Gram matrix, in work.inputs; in any order.
    template <class Multiply>
    void run(const Multiply& multiply) const {
        // A long strip and a short one together, so that all units cost the same.
        const int64_t strips = gram_.strips(), units = (strips + 1) / 2;
        const auto each_strip = [&](int64_t unit, const auto& body) {
            body(unit);
            if (strips - 1 - unit != unit) body(strips - 1 - unit);
        };
        const auto prepare = [&](int64_t sample, int64_t unit, int worker) {
            each_strip(unit, [&](int64_t i) { this->prepare(sample, i, workspace(sample, worker)); });
        };
        const auto compute = [&](int64_t sample, int64_t unit, int worker) {
            const Workspace work = workspace(sample, worker);
            each_strip(unit, [&](int64_t i) {
                gram_.compute(sample, i, work.stored, work.scratch, work.inputs);
                multiply(sample, i, work);
            });
        };
        two_sweeps(
            context_.threads, samples_, units, prepare, [](int64_t) {}, compute);
    }

    // What the projection takes from <D, D'> of two rows of one sample; after run().
    double taken(int64_t row, int64_t other) const;

  private:
    bool standardised() const { return static_cast<bool>(args_.standardised); }
    Workspace workspace(int64_t sample, int worker) const;
    float* row_sums(int64_t row, int64_t i) const {
        return row_sums_ + (row * gram_.strips() + i) * 2 * y_.c;
    }
    void prepare(int64_t sample, int64_t i, const Workspace& work) const;
    void sum_rows(int64_t sample, int64_t i, float* boxes) const;
    double box_sum(int64_t sample, int64_t position) const;
    struct Sums {
        double plain, weighted;
    };
    Sums sums(int64_t row, int64_t o) const;

    Context& context_;
    const Kernels& kernels_;
    const WeightGradientNorm args_;
    PositionGram gram_;
    Shape x_, y_;  // of one sample
    int64_t samples_, rows_;
    std::array<size_t, 4> sizes_{};  // of a workspace's parts, in floats
    float* memory_ = nullptr;
    float* row_sums_ = nullptr;  // [row][strip][2][outputs]
};

}  // namespace gs::cpu
