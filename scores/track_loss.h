// The losses of gradient tracking (docs/methods/track.md), one for each candidate label c.
#pragma once

#include <cstdint>
#include <span>

#include "passes/request.h"
#include "scores/options.h"

namespace gs {

struct TrackLoss {
    enum class Kind : uint8_t {
        CrossEntropy,        // CE(z, c)
        BinaryCrossEntropy,  // sum_j softplus(z_j) - z_c
        Energy               // CE(z, c) + 0.1 relu(E - margin)^2, E = -logsumexp(z)
    };
    Kind kind = Kind::CrossEntropy;
    double margin = 0;

    // d loss_c / dz [classes], in float64 and without cancellation at confident candidates; overwritten.
    void gradient(int64_t c, std::span<const float> z, std::span<double> dz) const;
    Cotangent of_class(int64_t c) const;
    Cotangent of_prediction() const;  // c = argmax z
    auto operator<=>(const TrackLoss&) const = default;
};

// Reads loss=ce|bce|energy, and margin=M of the latter.
TrackLoss read_track_loss(OptionReader& reader);

}  // namespace gs
