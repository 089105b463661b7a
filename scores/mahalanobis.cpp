// Mahalanobis' score (docs/methods/mahalanobis.md): at each layer the largest M_c of the image moved by eta
// against the sign of the nearest class' distance, combined over layers. Source: Lee et al. 2018;
// gradnorm_ood utils/mahalanobis_lib.py. Its MDS form: OpenOOD postprocessors/mds_postprocessor.py.
#include <cmath>

#include "core/join.h"
#include "core/numbers.h"
#include "scores/factories.h"
#include "scores/mahalanobis_layers.h"
#include "scores/statistics.h"

namespace gs {
namespace {

enum class Combine : uint8_t { Logistic, Sum, Last };  // of the layers' scores

Combine parse_combine(const std::string& text) {
    if (text == "logistic") return Combine::Logistic;
    return text == "sum" ? Combine::Sum : Combine::Last;
}

class Mahalanobis : public Score {
  public:
    Mahalanobis(const MethodSpec& spec, const ScoreContext& context) {
        static constexpr std::string_view kCombine[] = {"logistic", "sum", "last"};
        OptionReader reader(spec);
        const MahalanobisOptions given = read_mahalanobis_options(reader, context.net);
        const std::string path = reader.text("stats", "");
        layers_ = MahalanobisLayers(given.layers);
        mds_ = given.mds;
        eta_ = reader.number_from_zero("eta", 0);
        combine_ = parse_combine(reader.choice("combine", "sum", kCombine));
        options_ = reader.finish();
        if (context.statistics == nullptr) return;
        read(spec, context.statistics->find(spec, path, wanted(spec)));
        options_["stats"] = context.statistics->file(path).string();
    }

    Request request() const override { return layers_.request(std::span(&eta_, 1)); }

    void compute(const Evidence& evidence, std::span<double> out) const override {
        const std::vector<std::vector<double>> scores = layers_.scores(evidence, eta_);
        for (size_t n = 0; n < out.size(); ++n) out[n] = combined(scores, n);
    }

    std::map<std::string, std::string> options() const override { return options_; }

  private:
    MahalanobisLayers layers_{std::vector<std::string>{}};
    bool mds_ = false;
    double eta_ = 0;
    Combine combine_ = Combine::Sum;
    std::map<std::string, std::string> options_;
    std::optional<MahalanobisTuning> tuning_;

    // What the statistics must have been fitted with: the layers only where they are given.
    std::map<std::string, std::string> wanted(const MethodSpec& spec) const {
        std::map<std::string, std::string> wanted{{"form", options_.at("form")}};
        if (spec.options.contains("layers")) wanted["layers"] = options_.at("layers");
        return wanted;
    }

    void read(const MethodSpec& spec, const FitState& state) {
        layers_ = MahalanobisLayers(state);
        options_["layers"] = join(layers_.names(), "+");
        tuning_ = get_tuning(state);
        if (tuning_ && !spec.options.contains("eta")) eta_ = tuning_->eta;
        options_["eta"] = shortest(eta_);
        if (tuning_ && !spec.options.contains("combine")) {
            combine_ = Combine::Logistic;
            options_["combine"] = "logistic";
        }
        if (combine_ == Combine::Logistic && !tuning_)
            throw Error(
                ErrorKind::Usage,
                "method '" + spec.written + "': combine=logistic needs tuned statistics (gradscore search)");
    }

    double combined(const std::vector<std::vector<double>>& scores, size_t n) const {
        if (combine_ == Combine::Logistic) return logistic(scores, n);
        double sum = 0;
        for (const std::vector<double>& layer : scores)
            sum = combine_ == Combine::Last ? layer[n] : sum + layer[n];
        return (mds_ ? 2 : 1) * sum;  // MDS has no 1/2
    }

    double logistic(const std::vector<std::vector<double>>& scores, size_t n) const {
        double t = tuning_->bias;
        for (size_t l = 0; l < scores.size(); ++l) t += tuning_->weight[l] * scores[l][n];
        return -1 / (1 + std::exp(-t));
    }
};

}  // namespace

std::unique_ptr<Score> make_mahalanobis(const MethodSpec& spec, const ScoreContext& context) {
    return std::make_unique<Mahalanobis>(spec, context);
}

}  // namespace gs
