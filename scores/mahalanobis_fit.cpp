// The fit of Mahalanobis' score (docs/methods/mahalanobis.md): class means of the spatial means at some
// layers, and the scatter around them. Source: gradnorm_ood utils/mahalanobis_lib.py sample_estimator; ours
// is float64 throughout.
#include <algorithm>

#include "scores/factories.h"
#include "scores/mahalanobis_state.h"

namespace gs {
namespace {

class MahalanobisFit : public Fit {
  public:
    MahalanobisFit(const MethodSpec& spec, const Net& net) : classes_(net.head.classes) {
        OptionReader reader(spec);
        layers_ = read_mahalanobis_options(reader, net).layers;
        options_ = reader.finish();
        sums_.resize(layers_.size(), ClassScatter(classes_, 0));
    }

    Request request() const override {
        Request request;
        for (const std::string& layer : layers_) request.activations.push_back({layer, Reduction::Mean});
        return request;
    }

    void add(const Evidence& evidence, std::span<const int64_t> labels) override {
        for (const int64_t label : labels) check_label(label);
        for (size_t l = 0; l < layers_.size(); ++l) {
            const Matrix& features = evidence.activation({layers_[l], Reduction::Mean});
            if (sums_[l].dims() == 0) sums_[l] = ClassScatter(classes_, features.cols);
            for (size_t n = 0; n < labels.size(); ++n) {
                const std::span<const float> row = features.row(static_cast<int64_t>(n));
                require_finite(row, "mahalanobis", "features at " + layers_[l]);
                sums_[l].add(labels[n], row);
            }
        }
    }

    void check_label(int64_t label) const override {
        if (label < 0)
            throw Error(
                ErrorKind::Data,
                "mahalanobis: an image of the fit has no label; use a folder of class folders, a list, "
                "or a set with labels");
        if (label >= classes_)
            throw Error(ErrorKind::Data, "mahalanobis: label " + std::to_string(label) +
                                             " is no class of the net (0 to " + std::to_string(classes_ - 1) +
                                             ")");
    }
    FitState state() const override {
        FitState state{.method = "mahalanobis", .options = options_, .arrays = {}};
        for (size_t l = 0; l < layers_.size(); ++l) put_scatter(state, layers_[l], sums_[l]);
        return state;
    }

  private:
    int64_t classes_;
    std::vector<std::string> layers_;
    std::map<std::string, std::string> options_;
    std::vector<ClassScatter> sums_;  // one a layer; no dims before the first image
};

}  // namespace

std::unique_ptr<Fit> make_mahalanobis_fit(const MethodSpec& spec, const ScoreContext& context) {
    return std::make_unique<MahalanobisFit>(spec, context.net);
}

FitState merge_mahalanobis(std::span<const FitState> shards) {
    FitState merged{.method = "mahalanobis", .options = shards.front().options, .arrays = {}};
    for (const std::string& layer : layers_of(merged)) {
        ClassScatter sums;
        for (const FitState& shard : shards) {
            ClassScatter more = get_scatter(shard, layer);
            if (more.dims() == 0) continue;  // of no images
            if (sums.dims() == 0)
                sums = std::move(more);
            else if (sums.dims() != more.dims() || sums.classes() != more.classes())
                throw Error(ErrorKind::Usage, "fits of 'mahalanobis' at " + layer +
                                                  " have different sizes and cannot be merged");
            else
                sums.merge(more);
        }
        put_scatter(merged, layer, sums);
    }
    return merged;
}

std::vector<std::string> complete_mahalanobis(FitState& state) {
    put_whitenings(state);
    const std::vector<int64_t>& count = state.array("count").as<int64_t>();
    const auto empty = std::count(count.begin(), count.end(), 0);
    if (empty == 0) return {};
    return {"mahalanobis: " + std::to_string(empty) + " of " + std::to_string(count.size()) +
            " classes have no images; no score is measured from them"};
}

}  // namespace gs
