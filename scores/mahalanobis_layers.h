// The layer scores m_l of Mahalanobis (docs/methods/mahalanobis.md): what they ask of a net, and their
// values. Private to scores/, and to the search in tools/ that tunes the step.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "scores/mahalanobis_state.h"

namespace gs {

class MahalanobisLayers {
  public:
    // For requests alone; scores() throws Error(Usage).
    explicit MahalanobisLayers(std::vector<std::string> layers);
    // Of a fit; errors as get_gaussians().
    explicit MahalanobisLayers(const FitState& state);

    const std::vector<std::string>& names() const { return layers_; }
    // Each eta > 0 takes a second forward pass to each layer, on the image moved by eta against the sign of
    // the gradient of its distance at that layer to the nearest class; the gradients are shared.
    Request request(std::span<const double> etas) const;
    // max_c M_c at each layer, [layer][sample]. Throws Error(Data) where the fit is of other layers than the
    // net's.
    std::vector<std::vector<double>> scores(const Evidence& evidence, double eta) const;

  private:
    class NearestDistance;
    std::vector<std::string> layers_;
    std::vector<std::shared_ptr<const NearestDistance>> losses_;  // one a layer

    Cotangent cotangent(size_t layer) const;
    SecondPass step(size_t layer, double eta) const;
};

}  // namespace gs
