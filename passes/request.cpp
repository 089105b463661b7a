#include "passes/request.h"

#include <algorithm>

#include "core/numbers.h"

namespace gs {
namespace {

template <class T>
void unite(std::vector<T>& into, const std::vector<T>& from) {
    for (const T& item : from)
        if (std::find(into.begin(), into.end(), item) == into.end()) into.push_back(item);
}

}  // namespace

std::string family_of(const Cotangent& cotangent) {
    std::string text;
    switch (cotangent.kind) {
        case Cotangent::Kind::FeatureSum:
            return "sum of features";
        case Cotangent::Kind::MaxLogit:
            return "largest logit";
        case Cotangent::Kind::Host:
            return cotangent.loss->name();
        case Cotangent::Kind::UniformCrossEntropy:
            text = "cross entropy to all classes";
            break;
        case Cotangent::Kind::PredictedCrossEntropy:
            text = "cross entropy to the prediction";
            break;
        case Cotangent::Kind::ClassCrossEntropy:
            text = "cross entropy";
            break;
        case Cotangent::Kind::ClassBinaryCrossEntropy:
            text = "binary cross entropy";
            break;
    }
    std::string t = fixed(cotangent.temperature, 6);
    t.erase(t.find_last_not_of('0') + 1);
    if (t.back() == '.') t.pop_back();
    return text + ", T " + t;
}

std::string to_string(const Cotangent& cotangent) {
    const std::string family = family_of(cotangent);
    return cotangent.target < 0 ? family : family + ", class " + std::to_string(cotangent.target);
}

std::vector<std::string> Request::activation_taps() const {
    std::vector<std::string> taps;
    for (const TapReduction& wanted : activations) taps.push_back(wanted.tap);
    for (const Backward& backward : backwards) {
        taps.push_back(backward.cotangent.start());
        for (const SecondPass& second : backward.second) taps.push_back(second.tap);
    }
    std::erase(taps, "");
    return taps;
}

void Request::merge(const Request& other) {
    logits = logits || other.logits;
    features = features || other.features;
    unite(activations, other.activations);
    for (const Backward& backward : other.backwards) {
        auto same = std::find_if(backwards.begin(), backwards.end(),
                                 [&](const Backward& b) { return b.cotangent == backward.cotangent; });
        if (same == backwards.end()) same = backwards.insert(same, {.cotangent = backward.cotangent});
        unite(same->gradients, backward.gradients);
        unite(same->second, backward.second);
        unite(same->weight_norms, backward.weight_norms);
        same->input_gradient = same->input_gradient || backward.input_gradient;
    }
}

}  // namespace gs
