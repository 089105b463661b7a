// GradNorm (docs/methods/gradnorm.md): the p-norm of the gradient of L = sum_c -log softmax(z / T)_c (targets
// are ones, as in the published code) with respect to the weights of the last layer, or of other layers and
// parameters (the paper's ablations).
#include "scores/factories.h"
#include "scores/options.h"
#include "scores/softmax.h"
#include "scores/weight_selection.h"

namespace gs {
namespace {

struct GradNormOptions {
    double temperature = 1, p = 1;
    std::string layers = "head";
    Params params = Params::Weights;
    std::map<std::string, std::string> resolved;
};

GradNormOptions read_options(const MethodSpec& spec) {
    OptionReader reader(spec);
    GradNormOptions options;
    options.temperature = reader.temperature(1);
    options.p = read_exponent(reader, 1);
    options.layers = reader.text("layers", "head");
    options.params = read_params(reader);
    options.resolved = reader.finish();
    return options;
}

// dL/dW = a f^T with a_k = (C p_k - 1) / T, and ||a f^T||_p = ||a||_p ||f||_p for every p; the bias' gradient
// is a, so that with it ||f||_p becomes ||(f, 1)||_p. No backward pass, any batch size.
class GradNormHead : public Score {
  public:
    explicit GradNormHead(GradNormOptions options) : options_(std::move(options)) {}

    Request request() const override { return {.logits = true, .features = true}; }

    void compute(const Evidence& evidence, std::span<double> out) const override {
        for (size_t n = 0; n < out.size(); ++n) {
            const auto i = static_cast<int64_t>(n);
            out[n] = logit_norm(evidence.logits.row(i)) * feature_norm(evidence.features.row(i));
        }
    }

    std::map<std::string, std::string> options() const override { return options_.resolved; }

  private:
    GradNormOptions options_;

    double logit_norm(std::span<const float> z) const {
        NormAccumulator norm(options_.p);
        for_each_uniform_gradient(z, options_.temperature, [&](double v) { norm.add(v); });
        return norm.value();
    }

    double feature_norm(std::span<const float> f) const {
        NormAccumulator norm(options_.p);
        for (const float v : f) norm.add(v);
        if (options_.params == Params::All) norm.add(1);
        return norm.value();
    }
};

// The norm over several parameters of one backward pass; no gradient is stored (core/backend.h,
// WeightGradientNorm).
class GradNormLayers : public Score {
  public:
    GradNormLayers(GradNormOptions options, const Net& net, const std::string& method)
        : options_(std::move(options)) {
        cotangent_ = {Cotangent::Kind::UniformCrossEntropy, static_cast<float>(options_.temperature)};
        for (const std::string& name : select_parameters(net, options_.layers, options_.params, method))
            wanted_.push_back({name, options_.p});
    }

    Request request() const override {
        return {.backwards = {{.cotangent = cotangent_, .weight_norms = wanted_}}};
    }

    void compute(const Evidence& evidence, std::span<double> out) const override {
        for (size_t n = 0; n < out.size(); ++n) {
            double sum = 0;
            for (const WeightNorm& norm : wanted_) {
                const double value = evidence.weight_norm(cotangent_, norm, static_cast<int64_t>(n));
                sum = std::isinf(options_.p) ? std::max(sum, value) : sum + value;
            }
            out[n] = root_of_power_sum(sum, options_.p);
        }
    }

    std::map<std::string, std::string> options() const override { return options_.resolved; }

  private:
    GradNormOptions options_;
    Cotangent cotangent_;
    std::vector<WeightNorm> wanted_;
};

}  // namespace

std::unique_ptr<Score> make_gradnorm(const MethodSpec& spec, const ScoreContext& context) {
    GradNormOptions options = read_options(spec);
    if (options.layers == "head") return std::make_unique<GradNormHead>(std::move(options));
    return std::make_unique<GradNormLayers>(std::move(options), context.net, spec.written);
}

}  // namespace gs
