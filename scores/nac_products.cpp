#include "scores/nac_products.h"

#include <algorithm>
#include <array>

#include "scores/softmax.h"

namespace gs {
namespace {

// The sum of -log softmax: C times KL.
const Cotangent kSumOverClasses{Cotangent::Kind::UniformCrossEntropy, 1};

// p_c - 1/C of every sample, [samples][classes].
std::vector<double> logit_gradients(const Matrix& logits) {
    const auto classes = static_cast<double>(logits.cols);
    std::vector<double> gradients;
    gradients.reserve(logits.values.size());
    for (int64_t n = 0; n < logits.rows; ++n) {
        const auto z = logits.row(n);
        // expm1 does not cancel near the uniform distribution.
        const double shift = std::log(classes) - log_sum_exp(z);
        for (const float v : z) gradients.push_back(std::expm1(v + shift) / classes);
    }
    return gradients;
}

constexpr int64_t kSamples = 4, kColumns = 256;  // a block of sums that stays in the first-level cache

// sums[s][d] += a[s][c] w[c][d] over all classes, for kSamples samples and `width` columns of W: every weight
// is read once for all samples.
[[gnu::always_inline]] inline void add_products(const std::array<const double*, kSamples>& a, const float* w,
                                                int64_t classes, int64_t stride, int64_t width,
                                                double* sums) {
    for (int64_t c = 0; c < classes; ++c, w += stride) {
        const double a0 = a[0][c], a1 = a[1][c], a2 = a[2][c], a3 = a[3][c];
        for (int64_t d = 0; d < width; ++d) {
            const auto weight = static_cast<double>(w[d]);
            sums[d] += a0 * weight;
            sums[kColumns + d] += a1 * weight;
            sums[2 * kColumns + d] += a2 * weight;
            sums[3 * kColumns + d] += a3 * weight;
        }
    }
}

using AddProducts = void (*)(const std::array<const double*, kSamples>&, const float*, int64_t, int64_t,
                             int64_t, double*);

void add_products_portable(const std::array<const double*, kSamples>& a, const float* w, int64_t classes,
                           int64_t stride, int64_t width, double* sums) {
    add_products(a, w, classes, stride, width, sums);
}

#if defined(__x86_64__)
// Without fused multiply-add: the same bits.
[[gnu::target("avx2")]] void add_products_avx2(const std::array<const double*, kSamples>& a, const float* w,
                                               int64_t classes, int64_t stride, int64_t width, double* sums) {
    add_products(a, w, classes, stride, width, sums);
}
#endif

AddProducts best_add_products() {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) return add_products_avx2;
#endif
    return add_products_portable;
}

}  // namespace

NacProducts::NacProducts(const Net& net, std::vector<std::string> taps) : net_(net), taps_(std::move(taps)) {
    for (const std::string& tap : taps_) net_.tap(tap);
}

Request NacProducts::request() const {
    Request request;
    Backward backward{.cotangent = kSumOverClasses};
    for (const std::string& tap : taps_) {
        if (is_pooled(tap)) {
            request.logits = request.features = true;
        } else {
            request.activations.push_back({tap, Reduction::Sum});
            backward.gradients.push_back({tap, Reduction::Sum});
        }
    }
    if (!backward.gradients.empty()) request.backwards = {backward};
    return request;
}

Matrix NacProducts::at_pooled(const Evidence& evidence) const {
    static const AddProducts add = best_add_products();
    const Matrix& f = evidence.features;
    const Head& head = net_.head;
    GS_REQUIRE(f.cols == head.features && evidence.logits.cols == head.classes);
    const std::vector<double> gradients = logit_gradients(evidence.logits);
    const std::vector<double> none(static_cast<size_t>(head.classes), 0);  // of samples beyond the last
    Matrix products{f.rows, f.cols, std::vector<float>(f.values.size())};
    for (int64_t first = 0; first < f.rows; first += kSamples) {
        const int64_t count = std::min(kSamples, f.rows - first);
        std::array<const double*, kSamples> a{};
        for (int64_t s = 0; s < kSamples; ++s)
            a[static_cast<size_t>(s)] =
                s < count ? gradients.data() + (first + s) * head.classes : none.data();
        for (int64_t begin = 0; begin < f.cols; begin += kColumns) {
            const int64_t width = std::min(kColumns, f.cols - begin);
            std::array<double, kSamples * kColumns> sums{};
            add(a, head.weight.data() + begin, head.classes, f.cols, width, sums.data());
            for (int64_t s = 0; s < count; ++s)
                for (int64_t d = 0; d < width; ++d) {
                    const auto at = static_cast<size_t>((first + s) * f.cols + begin + d);
                    products.values[at] = static_cast<float>(static_cast<double>(f.values[at]) *
                                                             sums[static_cast<size_t>(s * kColumns + d)]);
                }
        }
    }
    return products;
}

Matrix NacProducts::at_stage(const Evidence& evidence, const std::string& tap) const {
    const Matrix& o = evidence.activation({tap, Reduction::Sum});
    const Matrix& g = evidence.gradient(kSumOverClasses, {tap, Reduction::Sum});
    GS_REQUIRE(o.values.size() == g.values.size());
    const auto classes = static_cast<double>(net_.head.classes);
    Matrix products{o.rows, o.cols, std::vector<float>(o.values.size())};
    for (size_t i = 0; i < o.values.size(); ++i)
        products.values[i] =
            static_cast<float>(static_cast<double>(o.values[i]) * static_cast<double>(g.values[i]) / classes);
    return products;
}

std::vector<Matrix> NacProducts::of(const Evidence& evidence) const {
    std::vector<Matrix> products;
    for (const std::string& tap : taps_)
        products.push_back(is_pooled(tap) ? at_pooled(evidence) : at_stage(evidence, tap));
    return products;
}

}  // namespace gs
