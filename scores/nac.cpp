// NAC-UE, neuron activation coverage (docs/methods/nac.md). Source: Liu et al. 2024; BierOne/ood_coverage.
#include <algorithm>

#include "core/join.h"
#include "scores/factories.h"
#include "scores/nac_coverage.h"
#include "scores/nac_options.h"
#include "scores/nac_products.h"
#include "scores/nac_state.h"
#include "scores/statistics.h"

namespace gs {
namespace {

// The fit's arrays as coverage of the score's layers.
class NacScore : public Score {
  public:
    NacScore(const MethodSpec& spec, const ScoreContext& context)
        : written_(spec.written),
          options_(read_nac_options(spec, context.net, NacConstants::Needed)),
          products_(context.net, options_.taps()) {
        for (const NacLayer& layer : options_.layers) thresholds_.emplace_back(options_.variant, layer.m);
        if (context.statistics == nullptr) return;
        const FitState& state = find_nac_fit(*context.statistics, spec, options_);
        options_.resolved["stats"] = context.statistics->file(options_.stats).string();
        for (const std::string key : {"images", "keep"}) options_.resolved[key] = nac_fit_option(state, key);
        for (size_t l = 0; l < options_.layers.size(); ++l) coverage_.push_back(coverage_of(state, l));
    }

    Request request() const override { return products_.request(); }

    void compute(const Evidence& evidence, std::span<double> out) const override {
        if (coverage_.empty())
            throw Error(ErrorKind::Usage, "method '" + written_ +
                                              "': needs a fit; run gradscore fit --methods " + written_ +
                                              " and give its file as --stats");
        const std::vector<Matrix> products = products_.of(evidence);
        std::fill(out.begin(), out.end(), 0.0);
        for (size_t l = 0; l < products.size(); ++l) {
            if (products[l].cols != coverage_[l].neurons()) fail_fit("of another number of neurons", l);
            for (size_t n = 0; n < out.size(); ++n)
                out[n] += coverage_[l].score(products[l].row(static_cast<int64_t>(n))) /
                          static_cast<double>(products.size());
        }
    }

    std::map<std::string, std::string> options() const override { return options_.resolved; }

  private:
    std::string written_;
    NacOptions options_;
    NacProducts products_;
    std::vector<NacThresholds> thresholds_;
    std::vector<NacCoverage> coverage_;

    [[noreturn]] void fail_fit(const std::string& what, size_t l) const {
        throw Error(ErrorKind::Data, "method '" + written_ + "': the statistics of layer '" +
                                         options_.layers[l].tap + "' are " + what);
    }

    NacCoverage coverage_of(const FitState& state, size_t l) const {
        const NacLayer& layer = options_.layers[l];
        if (nac_fit_option(state, "keep") == "states") {
            const Array& products = nac_array(state, kNacProducts, layer.tap, written_);
            NacHistogram histogram(thresholds_[l], layer.alpha, products.shape[1]);
            histogram.add(products.as<float>());
            return {thresholds_[l], layer, histogram.counts()};
        }
        const Array& counts = nac_array(state, kNacCounts, layer.tap, written_);
        require_frozen(state, l);
        const auto& values = counts.as<float>();
        if (counts.shape[1] != thresholds_[l].bins()) fail_fit("of another M", l);
        if (std::any_of(values.begin(), values.end(), [](float t) { return !(t >= 0); }))
            fail_fit("no counts", l);
        return {thresholds_[l], layer, std::span(values)};
    }

    void require_frozen(const FitState& state, size_t l) const {
        if (!nac_histograms_serve(state, options_, l))
            throw Error(ErrorKind::Usage,
                        "method '" + written_ + "': the statistics are histograms of variant=" +
                            nac_fit_option(state, "variant") + ":M=" + nac_fit_option(state, "M") +
                            ":alpha=" + nac_fit_option(state, "alpha") +
                            "; use these, or fit with keep=states, which serves all");
    }
};

}  // namespace

std::unique_ptr<Score> make_nac(const MethodSpec& spec, const ScoreContext& context) {
    return std::make_unique<NacScore>(spec, context);
}

}  // namespace gs
