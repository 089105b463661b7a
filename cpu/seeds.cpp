// Gradients of the scores' losses at the logits. One row costs a few thousand exponentials: plain float64.
#include <algorithm>
#include <cmath>

#include "core/contract.h"
#include "cpu/cpu_backend.h"

namespace gs::cpu {
namespace {

// A row of logits through softmax(z / T), in float64.
struct Softmax {
    const float* z;
    int64_t classes, top;
    double temperature, log_sum;  // log_sum: log sum exp((z - z_top) / T)

    Softmax(const float* row, int64_t count, double t)
        : z(row), classes(count), top(std::max_element(row, row + count) - row), temperature(t) {
        double sum = 0.0;
        for (int64_t c = 0; c < classes; ++c) sum += std::exp(shifted(c));
        log_sum = std::log(sum);
    }
    double shifted(int64_t c) const {
        return (static_cast<double>(z[c]) - static_cast<double>(z[top])) / temperature;
    }
    double log_p(int64_t c) const { return shifted(c) - log_sum; }

    // C p - 1 as expm1(log p + log C): keeps its digits where p is nearly uniform.
    void uniform_cross_entropy(float* dz) const {
        const double log_classes = std::log(static_cast<double>(classes));
        for (int64_t c = 0; c < classes; ++c) {
            dz[c] = static_cast<float>(std::expm1(log_p(c) + log_classes) / temperature);
        }
    }
    // p_k - 1 as minus the sum of the others, which keeps its digits where p_k is nearly 1.
    void cross_entropy(int64_t k, float* dz) const {
        double others = 0.0;
        for (int64_t c = 0; c < classes; ++c) {
            const double p = std::exp(log_p(c));
            if (c != k) others += p;
            dz[c] = static_cast<float>(p / temperature);
        }
        dz[k] = static_cast<float>(-others / temperature);
    }
    // sigmoid(u) - 1 as -sigmoid(-u), for the same reason.
    void binary_cross_entropy(int64_t k, float* dz) const {
        for (int64_t c = 0; c < classes; ++c) {
            const double u = static_cast<double>(z[c]) / temperature;
            const double value = c == k ? -1 / (1 + std::exp(u)) : 1 / (1 + std::exp(-u));
            dz[c] = static_cast<float>(value / temperature);
        }
    }
    void max_logit(float* dz) const {
        std::fill(dz, dz + classes, 0.0f);
        dz[top] = 1.0f;
    }
};

}  // namespace

void CpuBackend::seed_logits(Seed seed, float temperature, int64_t target, View z, View dz) {
    contract::seed_logits(temperature, target, z, dz);
    const int64_t classes = z.shape.c;
    each(z.shape.n, [&](int64_t n) {
        const Softmax softmax(z.f32() + n * classes, classes, static_cast<double>(temperature));
        float* out = dz.f32() + n * classes;
        switch (seed) {
            case Seed::UniformCrossEntropy:
                return softmax.uniform_cross_entropy(out);
            case Seed::PredictedCrossEntropy:
                return softmax.cross_entropy(softmax.top, out);
            case Seed::ClassCrossEntropy:
                return softmax.cross_entropy(target, out);
            case Seed::ClassBinaryCrossEntropy:
                return softmax.binary_cross_entropy(target, out);
            case Seed::MaxLogit:
                return softmax.max_logit(out);
        }
    });
}

}  // namespace gs::cpu
