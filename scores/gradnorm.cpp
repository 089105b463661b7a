// GradNorm (scores.md section 5): the norm of the gradient of L = sum_c -log softmax(z / T)_c (targets are
// ones, as in the published code) with respect to the last layer's weight.
#include "scores/factories.h"
#include "scores/options.h"
#include "scores/softmax.h"

namespace gs {
namespace {

// dL/dW = a f^T with a_k = (C p_k - 1) / T, and ||a f^T||_p = ||a||_p ||f||_p for every p; the bias' gradient
// is a, so that with it ||f||_p becomes ||(f, 1)||_p. No backward pass, any batch size.
class GradNormHead : public Score {
  public:
    explicit GradNormHead(const MethodSpec& spec) {
        OptionReader reader(spec);
        static constexpr std::string_view kLayers[] = {"head"}, kParams[] = {"weights", "all"};
        temperature_ = reader.number("temperature", 1, 0, 1e30);
        p_ = reader.number("p", 1, 0, std::numeric_limits<double>::infinity());
        reader.choice("layers", "head", kLayers);
        with_bias_ = reader.choice("params", "weights", kParams) == "all";
        options_ = reader.finish();
    }

    Request request() const override { return {.logits = true, .features = true}; }

    void compute(const Evidence& evidence, std::span<double> out) const override {
        for (size_t n = 0; n < out.size(); ++n) {
            const auto i = static_cast<int64_t>(n);
            out[n] = logit_norm(evidence.logits.row(i)) * feature_norm(evidence.features.row(i));
        }
    }

    std::map<std::string, std::string> options() const override { return options_; }

  private:
    double temperature_ = 1, p_ = 1;
    bool with_bias_ = false;
    std::map<std::string, std::string> options_;

    // C p - 1 as expm1(log p + log C), with log p from z - max z: exact to rounding near the uniform
    // distribution, where C p - 1 would cancel, and for large logits.
    double logit_norm(std::span<const float> z) const {
        const double m = max_logit(z);
        const double shift = log_ratio_to_uniform(z, m);
        NormAccumulator norm(p_);
        for (const float v : z) norm.add(std::expm1((v - m) / temperature_ + shift));
        return norm.value() / temperature_;
    }

    // log(C max p) = -log of the mean of exp((z - m) / T), which is close to 1 near the uniform distribution.
    double log_ratio_to_uniform(std::span<const float> z, double m) const {
        double below = 0;
        for (const float v : z) below += std::expm1((v - m) / temperature_);
        below /= static_cast<double>(z.size());
        if (below > -0.5) return -std::log1p(below);
        return std::log(static_cast<double>(z.size())) + log_max_softmax(z, temperature_);
    }

    double feature_norm(std::span<const float> f) const {
        NormAccumulator norm(p_);
        for (const float v : f) norm.add(v);
        if (with_bias_) norm.add(1);
        return norm.value();
    }
};

}  // namespace

std::unique_ptr<Score> make_gradnorm(const MethodSpec& spec, const ScoreContext&) {
    return std::make_unique<GradNormHead>(spec);
}

}  // namespace gs
