#include "scores/mahalanobis_layers.h"

namespace gs {

// 1/2 (f - mu_c)^T P (f - mu_c) of the class c that is nearest before the step, which the gradient holds
// fixed.
class MahalanobisLayers::NearestDistance : public HostLoss {
  public:
    NearestDistance(std::string layer, std::shared_ptr<const ClassGaussians> gaussians)
        : layer_(std::move(layer)), gaussians_(std::move(gaussians)) {}

    std::string name() const override { return "distance to the nearest class at " + layer_; }
    std::string tap() const override { return layer_; }
    void gradient(int64_t, std::span<const float> value, std::span<float> gradient) const override {
        of_channels(static_cast<int64_t>(value.size())).distance_gradient(value, gradient);
    }

    const ClassGaussians& of_channels(int64_t channels) const {
        if (!gaussians_)
            throw Error(ErrorKind::Usage, "'mahalanobis' needs statistics: --stats FILE of gradscore fit");
        if (channels != gaussians_->dims())
            throw Error(ErrorKind::Data, "statistics of 'mahalanobis': " + layer_ + " has " +
                                             std::to_string(channels) + " channels, not " +
                                             std::to_string(gaussians_->dims()));
        return *gaussians_;
    }

  private:
    std::string layer_;
    std::shared_ptr<const ClassGaussians> gaussians_;
};

MahalanobisLayers::MahalanobisLayers(std::vector<std::string> layers) : layers_(std::move(layers)) {
    for (const std::string& layer : layers_)
        losses_.push_back(std::make_shared<const NearestDistance>(layer, nullptr));
}

MahalanobisLayers::MahalanobisLayers(const FitState& state) : layers_(layers_of(state)) {
    for (const std::string& layer : layers_)
        losses_.push_back(std::make_shared<const NearestDistance>(layer, get_gaussians(state, layer)));
}

Cotangent MahalanobisLayers::cotangent(size_t layer) const {
    return {.kind = Cotangent::Kind::Host, .loss = losses_[layer]};
}

SecondPass MahalanobisLayers::step(size_t layer, double eta) const {
    return {.epsilon = static_cast<float>(eta), .scale = {}, .tap = layers_[layer]};
}

Request MahalanobisLayers::request(std::span<const double> etas) const {
    Request request;
    for (const double eta : etas)
        for (size_t l = 0; l < layers_.size(); ++l) {
            if (eta == 0)
                request.merge({.activations = {{layers_[l], Reduction::Mean}}});
            else
                request.merge({.backwards = {{.cotangent = cotangent(l), .second = {step(l, eta)}}}});
        }
    return request;
}

std::vector<std::vector<double>> MahalanobisLayers::scores(const Evidence& evidence, double eta) const {
    std::vector<std::vector<double>> scores;
    for (size_t l = 0; l < layers_.size(); ++l) {
        const Matrix& features = eta == 0 ? evidence.activation({layers_[l], Reduction::Mean})
                                          : evidence.second(cotangent(l), step(l, eta));
        scores.push_back(losses_[l]->of_channels(features.cols).best_scores(features));
    }
    return scores;
}

}  // namespace gs
