// The fit of NAC: o * g of the chosen images, or histograms of their states.
#include <algorithm>

#include "core/join.h"
#include "scores/balanced_subset.h"
#include "scores/factories.h"
#include "scores/nac_coverage.h"
#include "scores/nac_options.h"
#include "scores/nac_products.h"
#include "scores/nac_state.h"

namespace gs {
namespace {

// What is kept, so that fits that differ in it are not merged: alpha and M only where they are frozen.
std::map<std::string, std::string> fit_options(const NacOptions& options) {
    std::map<std::string, std::string> kept;
    std::vector<std::string> keys{"layers", "images", "keep"};
    if (options.keep == NacKeep::Histograms) keys.insert(keys.end(), {"variant", "M", "alpha"});
    for (const std::string& key : keys) kept[key] = options.resolved.at(key);
    return kept;
}

class NacFit : public Fit {
  public:
    NacFit(const MethodSpec& spec, const Net& net)
        : options_(read_nac_options(spec, net,
                                    spec.options.contains("keep") && spec.options.at("keep") == "histogram"
                                        ? NacConstants::Needed
                                        : NacConstants::Optional)),
          products_(net, options_.taps()),
          classes_(net.head.classes) {
        if (options_.keep == NacKeep::Histograms)
            for (const NacLayer& layer : options_.layers) thresholds_.emplace_back(options_.variant, layer.m);
        kept_.resize(options_.layers.size());
        if (options_.keep == NacKeep::Products)
            for (const char* key : {"variant", "M", "O", "alpha"})
                if (spec.options.contains(key)) not_kept_.emplace_back(key);
    }

    Request request() const override { return products_.request(); }

    std::optional<std::vector<int64_t>> select(std::span<const int64_t> labels) const override {
        constexpr uint32_t kSeed = 1;  // as published
        if (options_.images == 0) return std::nullopt;
        try {
            return balanced_subset(labels, options_.images, kSeed);
        } catch (const Error& error) {
            throw Error(error.kind(), std::string("nac: ") + error.what());
        }
    }

    // A label of no class would halve the images of every class, or worse. Without one: balanced_subset().
    void check_label(int64_t label) const override {
        if (options_.images > 0 && label >= classes_)
            throw Error(ErrorKind::Data, "nac: label " + std::to_string(label) +
                                             " is no class of the net (0 to " + std::to_string(classes_ - 1) +
                                             "); images=0 takes all images, whatever their labels");
    }

    std::vector<std::string> notices(std::span<const int64_t> labels) const override {
        std::vector<std::string> notices;
        if (!not_kept_.empty())
            notices.push_back("nac: " + join(not_kept_, ", ") + (not_kept_.size() == 1 ? " is" : " are") +
                              " chosen when scoring: this fit serves any (keep=histogram fixes them)");
        if (options_.images == 0) return notices;
        std::map<int64_t, int64_t> classes;
        for (const int64_t label : labels) ++classes[label];
        if (classes.empty()) return notices;
        const auto least = std::ranges::min_element(classes, {}, [](const auto& c) { return c.second; });
        const auto count = std::ssize(classes);
        if (least->second < options_.images / count)
            notices.push_back("nac: learns from " + std::to_string(least->second * count) + " images, not " +
                              std::to_string(options_.images) + ": class " + std::to_string(least->first) +
                              " has only " + std::to_string(least->second) +
                              ", and every class gives as many; images=0 takes all");
        return notices;
    }

    void add(const Evidence& evidence, std::span<const int64_t> /*labels*/) override {
        const std::vector<Matrix> products = products_.of(evidence);
        for (size_t l = 0; l < products.size(); ++l) {
            require_finite(products[l].values, "nac", "states at " + options_.layers[l].tap);
            if (options_.keep == NacKeep::Products) {
                kept_[l].append(products[l].values, products[l].cols);
                continue;
            }
            if (histograms_.size() == l)
                histograms_.emplace_back(thresholds_[l], options_.layers[l].alpha, products[l].cols);
            histograms_[l].add(products[l].values);
        }
    }

    FitState state() const override {
        FitState state{.method = "nac", .options = fit_options(options_), .arrays = {}};
        for (size_t l = 0; l < options_.layers.size(); ++l) {
            const std::string& tap = options_.layers[l].tap;
            if (options_.keep == NacKeep::Products) {
                state.arrays[kNacProducts + tap] = {{kept_[l].rows, kept_[l].cols}, kept_[l].values};
            } else {
                state.arrays[kNacCounts + tap] = counts(l);
            }
        }
        return state;
    }

  private:
    NacOptions options_;
    NacProducts products_;
    int64_t classes_;
    std::vector<std::string> not_kept_;  // of the options given
    std::vector<NacThresholds> thresholds_;
    std::vector<Matrix> kept_;              // keep=states
    std::vector<NacHistogram> histograms_;  // keep=histogram

    Array counts(size_t l) const {
        if (histograms_.size() <= l) return {{0, thresholds_[l].bins()}, std::vector<float>()};
        const auto counts = histograms_[l].counts();
        return {{histograms_[l].neurons(), thresholds_[l].bins()},
                std::vector<float>(counts.begin(), counts.end())};
    }
};

Array joined(std::span<const FitState> shards, const std::string& name) {
    Array all = shards.front().array(name);
    auto values = all.as<float>();
    for (const FitState& shard : shards.subspan(1)) {
        const Array& more = shard.array(name);
        if (more.shape.size() != 2 || all.shape.size() != 2 ||
            (more.shape[0] > 0 && all.shape[0] > 0 && more.shape[1] != all.shape[1]))
            throw Error(ErrorKind::Data, "statistics of 'nac': shards of '" + name + "' do not fit together");
        const auto& rows = more.as<float>();
        values.insert(values.end(), rows.begin(), rows.end());
        all.shape = {all.shape[0] + more.shape[0], std::max(all.shape[1], more.shape[1])};
    }
    all.values = std::move(values);
    return all;
}

Array summed(std::span<const FitState> shards, const std::string& name) {
    Array all;
    std::vector<float> sums;
    for (const FitState& shard : shards) {
        const Array& counts = shard.array(name);
        const auto& values = counts.as<float>();
        if (values.empty()) continue;  // a shard without any image
        if (sums.empty()) {
            all.shape = counts.shape;
            sums.resize(values.size(), 0);
        }
        if (counts.shape != all.shape || values.size() != sums.size())
            throw Error(ErrorKind::Data, "statistics of 'nac': shards of '" + name + "' do not fit together");
        for (size_t i = 0; i < sums.size(); ++i) sums[i] += values[i];  // exact up to 2^24 images
    }
    if (sums.empty()) return shards.front().array(name);
    all.values = std::move(sums);
    return all;
}

}  // namespace

std::unique_ptr<Fit> make_nac_fit(const MethodSpec& spec, const ScoreContext& context) {
    return std::make_unique<NacFit>(spec, context.net);
}

FitState merge_nac(std::span<const FitState> shards) {
    FitState all{.method = shards.front().method, .options = shards.front().options, .arrays = {}};
    for (const auto& [name, array] : shards.front().arrays)
        all.arrays[name] = name.starts_with(kNacProducts) ? joined(shards, name) : summed(shards, name);
    return all;
}

}  // namespace gs
