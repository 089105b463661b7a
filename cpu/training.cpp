// What training does value by value: dropout, weight standardisation, the update of parameters.
#include "core/training.h"

#include "core/contract.h"
#include "core/standardise.h"
#include "cpu/cpu_backend.h"

namespace gs::cpu {

void CpuBackend::standardise_weights(const StandardiseWeights& args) {
    contract::standardise_weights(args);
    const int64_t k = args.w.shape.per_sample();
    each(args.w.shape.n, [&](int64_t o) {
        const auto size = static_cast<size_t>(k);
        const double scale =
            standardise_row({args.w.f32() + o * k, size}, {args.standardised.f32() + o * k, size});
        args.scale.f32()[o] = static_cast<float>(scale);
    });
}

void CpuBackend::dropout(const Dropout& args) {
    contract::dropout(args);
    const uint32_t threshold = dropout_threshold(args.rate);
    in_chunks(context_->threads, args.x.shape.size(), [&](int64_t first, int64_t count) {
        kernels().dropout(args.x.f32() + first, count, args.key, first, threshold, 1 / (1 - args.rate),
                          args.y.f32() + first);
    });
}

void CpuBackend::sgd_update(const SgdUpdate& args) {
    contract::sgd_update(args);
    const SgdFactors factors{args.learning_rate, args.momentum, args.weight_decay, args.nesterov};
    in_chunks(context_->threads, args.w.shape.size(), [&](int64_t first, int64_t count) {
        kernels().sgd(args.w.f32() + first, args.g.f32() + first, args.v.f32() + first, count, factors);
    });
}

}  // namespace gs::cpu
