// Gradients of stored parameters from those of the weights that run.
#include "core/contract.h"
#include "cpu/cpu_backend.h"

namespace gs::cpu {
namespace {

void put(float& to, double value, Grad mode) {
    to = static_cast<float>(mode == Grad::Add ? static_cast<double>(to) + value : value);
}

// Output o's row of a weight gradient, `k` long.
class StoredRow {
  public:
    StoredRow(const Kernels& kernels, const StoredWeightGradient& args, int64_t o)
        : kernels_(kernels), args_(args), o_(o), k_(args.g.shape.per_sample()) {}

    void run() const {
        if (args_.gamma.out) write_gamma();
        if (args_.dw) write_weights();
    }

  private:
    const Kernels& kernels_;
    const StoredWeightGradient& args_;
    int64_t o_, k_;

    const float* g() const { return args_.g.f32() + o_ * k_; }

    void write_gamma() const {
        const FoldedGamma& gamma = args_.gamma;
        double sum = 0, dot = 0;
        kernels_.row_sums(g(), gamma.weights.f32() + o_ * k_, k_, &sum, &dot);
        const double mean_part = static_cast<double>(gamma.shift.f32()[o_]) * gamma.dbeta.f32()[o_];
        put(gamma.out.f32()[o_], dot + mean_part, args_.mode);
    }

    void write_weights() const {
        const float* w = args_.standardised ? args_.standardised.f32() + o_ * k_ : nullptr;
        double mean = 0, slope = 0;
        if (w != nullptr) {
            kernels_.row_sums(g(), w, k_, &mean, &slope);
            mean /= static_cast<double>(k_);
            slope /= static_cast<double>(k_);
        }
        kernels_.stored_row(g(), w, static_cast<float>(mean), static_cast<float>(slope),
                            args_.scale ? args_.scale.f32()[o_] : 1.0f, k_, args_.mode,
                            args_.dw.f32() + o_ * k_);
    }
};

}  // namespace

void CpuBackend::stored_weight_gradient(const StoredWeightGradient& args) {
    contract::stored_weight_gradient(args);
    each(args.g.shape.n, [&](int64_t o) { StoredRow(kernels(), args, o).run(); });
}

void CpuBackend::sum_rows(View x, View scale, Grad mode, View out) {
    contract::sum_rows(x, scale, out);
    const int64_t c = x.shape.per_sample();
    each(c, [&](int64_t i) {
        double sum = 0;
        for (int64_t n = 0; n < x.shape.n; ++n) sum += static_cast<double>(x.f32()[n * c + i]);
        put(out.f32()[i], scale ? static_cast<double>(scale.f32()[i]) * sum : sum, mode);
    });
}

}  // namespace gs::cpu
