#include "scores/track_loss.h"

#include <cmath>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "core/numbers.h"
#include "scores/softmax.h"

namespace gs {
namespace {

constexpr double kEnergyWeight = 0.1;  // energy_ood CIFAR/train.py

// A loss without a seed of its own in the backend. c = -1: the prediction.
class HostTrackLoss : public HostLoss {
  public:
    HostTrackLoss(const TrackLoss& loss, int64_t c) : loss_(loss), class_(c) {}
    std::string name() const override {
        const bool energy = loss_.kind == TrackLoss::Kind::Energy;
        return (energy ? "cross entropy with energy margin " + shortest(loss_.margin)
                       : "binary cross entropy") +
               (class_ < 0 ? " to the prediction" : "");
    }
    std::string tap() const override { return ""; }
    void gradient(int64_t /*sample*/, std::span<const float> z, std::span<float> dz) const override {
        std::vector<double> wide(z.size());
        loss_.gradient(class_ < 0 ? argmax(z) : class_, z, wide);
        std::transform(wide.begin(), wide.end(), dz.begin(), [](double v) { return static_cast<float>(v); });
    }

  private:
    TrackLoss loss_;
    int64_t class_;
};

// Methods that ask for the same loss share one object, and so one cotangent; programs may make methods in
// several threads.
Cotangent host_cotangent(const TrackLoss& loss, int64_t c) {
    static std::mutex mutex;
    const std::lock_guard<std::mutex> guard(mutex);
    static std::map<std::pair<TrackLoss, int64_t>, std::weak_ptr<const HostLoss>> made;
    std::weak_ptr<const HostLoss>& entry = made[{loss, c}];
    std::shared_ptr<const HostLoss> shared = entry.lock();
    if (shared == nullptr) entry = shared = std::make_shared<const HostTrackLoss>(loss, c);
    Cotangent cotangent;
    cotangent.kind = Cotangent::Kind::Host;
    cotangent.target = c;
    cotangent.loss = std::move(shared);
    return cotangent;
}

void binary_gradient(int64_t c, std::span<const float> z, std::span<double> dz) {
    for (size_t k = 0; k < z.size(); ++k) dz[k] = 1 / (1 + std::exp(-static_cast<double>(z[k])));
    const auto target = static_cast<size_t>(c);
    dz[target] = -1 / (1 + std::exp(static_cast<double>(z[target])));  // sigmoid - 1
}

// scale * p, and at c what `scale` p_c - 1 is, from the other classes' sum: 1 - p_c keeps its digits.
void cross_entropy_gradient(int64_t c, std::span<const float> z, double extra, std::span<double> dz) {
    const double lse = log_sum_exp(z);
    double others = 0;
    for (size_t k = 0; k < z.size(); ++k) {
        const double p = std::exp(z[k] - lse);
        if (static_cast<int64_t>(k) != c) others += p;
        dz[k] = (1 + extra) * p;
    }
    const auto target = static_cast<size_t>(c);
    dz[target] = -others + extra * std::exp(z[target] - lse);
}

}  // namespace

void TrackLoss::gradient(int64_t c, std::span<const float> z, std::span<double> dz) const {
    GS_REQUIRE(c >= 0 && c < static_cast<int64_t>(z.size()) && dz.size() == z.size());
    switch (kind) {
        case Kind::BinaryCrossEntropy:
            return binary_gradient(c, z, dz);
        case Kind::CrossEntropy:
            return cross_entropy_gradient(c, z, 0, dz);
        case Kind::Energy: {
            // d/dz of w relu(E - m)^2 with dE/dz = -p.
            const double above = std::max(0.0, -log_sum_exp(z) - margin);
            return cross_entropy_gradient(c, z, -2 * kEnergyWeight * above, dz);
        }
    }
}

Cotangent TrackLoss::of_class(int64_t c) const {
    if (kind == Kind::Energy) return host_cotangent(*this, c);
    Cotangent cotangent;
    cotangent.kind = kind == Kind::CrossEntropy ? Cotangent::Kind::ClassCrossEntropy
                                                : Cotangent::Kind::ClassBinaryCrossEntropy;
    cotangent.target = c;
    return cotangent;
}

Cotangent TrackLoss::of_prediction() const {
    if (kind != Kind::CrossEntropy) return host_cotangent(*this, -1);
    Cotangent cotangent;
    cotangent.kind = Cotangent::Kind::PredictedCrossEntropy;
    return cotangent;
}

TrackLoss read_track_loss(OptionReader& reader) {
    static constexpr std::string_view kLosses[] = {"ce", "bce", "energy"};
    const std::string loss = reader.choice("loss", "ce", kLosses);
    if (loss == "ce") return {};
    if (loss == "bce") return {.kind = TrackLoss::Kind::BinaryCrossEntropy};
    constexpr double kCifar10Margin = -23;  // m_in of the published CIFAR-10 runs
    return {.kind = TrackLoss::Kind::Energy, .margin = reader.number("margin", kCifar10Margin, -1e30, 1e30)};
}

}  // namespace gs
