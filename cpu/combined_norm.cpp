// Squared norms of combinations of a sample's weight gradients.
#include <cmath>

#include "core/contract.h"
#include "cpu/cpu_backend.h"
#include "cpu/gradient_gram.h"
#include "cpu/position_sweep.h"

namespace gs::cpu {
namespace {

// a^T K a
double form(std::span<const double> k, std::span<const float> a) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) {
        double row = 0;
        for (size_t j = 0; j < a.size(); ++j) row += k[i * a.size() + j] * static_cast<double>(a[j]);
        sum += static_cast<double>(a[i]) * row;
    }
    return sum;
}

}  // namespace

void CpuBackend::combined_gradient_norm(const CombinedGradientNorm& args) {
    contract::combined_gradient_norm(args);
    const WeightGradientNorm& gradients = args.gradients;
    const int64_t samples = gradients.x.shape.n, rows = gradients.dy.shape.n;
    if (samples == 0) return;
    const int64_t cotangents = rows / samples;
    const int64_t results = args.coefficients.shape.n, each = cotangents * cotangents;
    const auto size = static_cast<size_t>(samples * each);
    const std::span all(context_->workspace.get<double>(2 * size), 2 * size);
    const std::span grams = all.first(size), taken = all.subspan(size);
    const NormRoute route = cheapest_gram_route(gradients);
    if (route == NormRoute::Direct) {
        gram_by_tiles(*context_, gradients, 0, samples, grams);
    } else {
        gram_by_positions(*context_, gradients, route, grams, taken);
    }
    const auto of_sample = [&](std::span<double> matrices, int64_t sample) {
        return matrices.subspan(static_cast<size_t>(sample * each), static_cast<size_t>(each));
    };
    const auto coefficients = [&](int64_t row) {
        return std::span<const float>(args.coefficients.f32() + row * cotangents,
                                      static_cast<size_t>(cotangents));
    };
    for (int64_t sample = 0; sample < samples; ++sample) {
        const std::span<double> gram = of_sample(grams, sample);
        bool accurate = true;
        for (int64_t row = sample; row < results && route != NormRoute::Direct; row += samples) {
            const double left = form(gram, coefficients(row)),
                         all_of_it = left + form(of_sample(taken, sample), coefficients(row));
            accurate = accurate && !(left < PositionSweep::kLeastKept * all_of_it);
        }
        if (!accurate) gram_by_tiles(*context_, gradients, sample, 1, gram);
        // A sum of squares; less than 0 by rounding alone.
        for (int64_t row = sample; row < results; row += samples) {
            const double square = form(gram, coefficients(row));
            args.out.f32()[row] = static_cast<float>(square < 0 ? 0 : square);
        }
    }
}

}  // namespace gs::cpu
