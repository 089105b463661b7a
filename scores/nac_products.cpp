#include "scores/nac_products.h"

#include <algorithm>

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

// columns [begin, end) of samples [first, last) of gradients · W, times features: blocks that stay in the
// first-level cache, so that W is read once for several samples.
struct Block {
    int64_t first, last, begin, end;
};

void multiply(const Block& b, std::span<const double> gradients, const Head& head, const Matrix& features,
              std::vector<float>& products) {
    const int64_t width = b.end - b.begin;
    std::vector<double> sums(static_cast<size_t>((b.last - b.first) * width), 0.0);
    for (int64_t c = 0; c < head.classes; ++c) {
        const float* w = head.weight.data() + c * head.features + b.begin;
        for (int64_t n = b.first; n < b.last; ++n) {
            const double a = gradients[static_cast<size_t>(n * head.classes + c)];
            double* sum = sums.data() + (n - b.first) * width;
            for (int64_t d = 0; d < width; ++d) sum[d] += a * static_cast<double>(w[d]);
        }
    }
    for (int64_t n = b.first; n < b.last; ++n)
        for (int64_t d = 0; d < width; ++d) {
            const auto at = static_cast<size_t>(n * head.features + b.begin + d);
            products[at] = static_cast<float>(static_cast<double>(features.values[at]) *
                                              sums[static_cast<size_t>((n - b.first) * width + d)]);
        }
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
    constexpr int64_t kSamples = 8, kColumns = 256;
    const Matrix& f = evidence.features;
    GS_REQUIRE(f.cols == net_.head.features && evidence.logits.cols == net_.head.classes);
    const std::vector<double> gradients = logit_gradients(evidence.logits);
    Matrix products{f.rows, f.cols, std::vector<float>(f.values.size())};
    for (int64_t n = 0; n < f.rows; n += kSamples)
        for (int64_t d = 0; d < f.cols; d += kColumns)
            multiply({n, std::min(n + kSamples, f.rows), d, std::min(d + kColumns, f.cols)}, gradients,
                     net_.head, f, products.values);
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
