// Weight gradients of convolutions: of those that run by the backend, from there to the stored parameters.
#include "core/sums.h"
#include "core/training.h"
#include "layers/convolution.h"

namespace gs {

std::vector<Parameter> Conv2d::parameters() const {
    const Shape w = weight_shape(spec_);
    std::vector<Parameter> all{{"weight", {w.n, w.h, w.w, w.c}, Parameter::Kind::Weight}};
    if (biased_) all.push_back({"bias", {w.n}, Parameter::Kind::Bias});
    if (folded_)
        for (Parameter& parameter : norm_parameters(w.n, "norm.")) all.push_back(std::move(parameter));
    return all;
}

std::vector<float> Conv2d::unit_weights() const {
    std::vector<float> weights = convolution_->weights();
    if (!folded_) return weights;
    const size_t fan_in = weights.size() / scale_.size();
    for (size_t o = 0; o < scale_.size(); ++o) {
        const auto lost = folded_->lost.find(o);
        const double factor = lost == folded_->lost.end() ? folded_->rstd[o] / scale_[o] : folded_->rstd[o];
        for (size_t k = 0; k < fan_in; ++k) {
            float& w = weights[o * fan_in + k];
            w = static_cast<float>((lost == folded_->lost.end() ? w : lost->second[k]) * factor);
        }
    }
    return weights;
}

View Conv2d::scale(Backend& backend) const {
    if (scale_.empty()) return {};
    if (device_.scale.bytes() == 0)
        device_.scale = backend.upload(std::vector<float>(scale_.begin(), scale_.end()));
    return channels(device_.scale);
}

View Conv2d::shift(Backend& backend) const {
    if (device_.shift.bytes() == 0) device_.shift = backend.upload(folded_->shift);
    return channels(device_.shift);
}

View Conv2d::unit(Backend& backend) const {
    if (device_.unit.bytes() == 0) device_.unit = backend.upload(unit_weights());
    return device_.unit.view(weight_shape(spec_));
}

View Conv2d::unit_by_tap(Backend& backend) const {
    const int64_t taps = taps_of(spec_), in = spec_.in_channels / spec_.groups;
    if (device_.unit_by_tap.bytes() == 0) {
        const std::vector<float> weights = unit_weights();
        std::vector<float> by_tap(weights.size());
        for (int64_t o = 0; o < spec_.out_channels; ++o)
            for (int64_t c = 0; c < in; ++c)
                for (int64_t t = 0; t < taps; ++t)
                    by_tap[static_cast<size_t>((o * taps + t) * in + c)] =
                        weights[static_cast<size_t>((o * in + c) * taps + t)];
        device_.unit_by_tap = backend.upload(by_tap);
    }
    return device_.unit_by_tap.view({1, spec_.out_channels, taps, in});
}

View Conv2d::unit_squares(Backend& backend) const {
    if (device_.unit_squares.bytes() == 0) {
        const std::vector<float> weights = unit_weights();
        const size_t fan_in = weights.size() / static_cast<size_t>(spec_.out_channels);
        std::vector<float> squares;
        for (size_t o = 0; o < weights.size(); o += fan_in)
            squares.push_back(static_cast<float>(lane_sum(
                std::span(weights).subspan(o, fan_in), [](float w) { return static_cast<double>(w) * w; })));
        device_.unit_squares = backend.upload(squares);
    }
    return channels(device_.unit_squares);
}

bool Conv2d::norms_read_output(const Backend& backend, const Shape& x) const {
    return standardised_ && !biased_ && backend.squared_norm_reads_output(spec_, x);
}

bool Conv2d::combines_gradients(const Backend& backend) const {
    return spec_.groups == 1 && backend.combines_weight_gradients();
}

void Conv2d::gradient_norms(Backend& backend, const LayerGradientNorms& args) const {
    const size_t norm_at = biased_ ? 2 : 1;
    GS_REQUIRE(args.norms.size() == norm_at + (folded_ ? 2 : 0));
    const bool gamma = folded_ && !args.norms[norm_at].empty();
    if (gamma || !args.norms[0].empty()) {
        WeightGradientNorm weight{.spec = spec_, .x = args.x, .dy = args.dy, .scale = scale(backend)};
        if (standardised_) weight.standardised = unit_by_tap(backend);
        if (args.y) weight.output = {args.y, unit_squares(backend)};
        if (args.coefficients) {
            GS_REQUIRE(!gamma && args.norms[0].size() == 1 && args.norms[0][0].p == 2);
            return backend.combined_gradient_norm({weight, args.coefficients, args.norms[0][0].out});
        }
        weight.norms = args.norms[0];
        if (gamma) weight.gamma = {unit_by_tap(backend), shift(backend), args.beta, args.gamma};
        backend.weight_gradient_norm(weight);
    }
    const auto sums = [&](View x, View factors, size_t parameter) {
        if (!args.norms[parameter].empty()) backend.power_sums(x, factors, args.norms[parameter]);
    };
    if (biased_) sums(args.beta, folded_ ? scale(backend) : View{}, 1);
    if (!folded_) return;
    sums(args.gamma, {}, norm_at);
    sums(args.beta, {}, norm_at + 1);
}

void Conv2d::set_parameters(Backend& backend, std::span<const View> values) {
    GS_REQUIRE(!folded_ && values.size() == (biased_ ? 2 : 1));
    const View bias = biased_ ? values[1].reshaped({1, 1, 1, spec_.out_channels}) : View{};
    const View stored = values[0].reshaped(weight_shape(spec_));
    if (!standardised_) return convolution_->set_weights(stored, bias);
    scale(backend);  // made where nobody has asked yet
    backend.standardise_weights({stored, unit(backend), channels(device_.scale)});
    device_.unit_by_tap = {};
    device_.unit_squares = {};
    convolution_->set_weights(unit(backend), bias);
}

struct Conv2d::Scratch {
    View g;           // weight_shape(spec)
    View sums, beta;  // sum over positions of dy: (n,1,1,o), and over all (1,1,1,o)

    Scratch(Workspace& workspace, const ConvSpec& spec, int64_t n)
        : g(workspace.take(weight_shape(spec))),
          sums(workspace.take({n, 1, 1, spec.out_channels})),
          beta(workspace.take({1, 1, 1, spec.out_channels})) {}
};

int64_t Conv2d::backward_weights_workspace(int64_t n) const {
    Workspace counted;
    Scratch(counted, spec_, n);
    return counted.floats();
}

void Conv2d::backward_weights(Backend& backend, const LayerBackwardWeights& args) const {
    const size_t norm_at = biased_ ? 2 : 1;
    GS_REQUIRE(args.gradients.size() == norm_at + (folded_ ? 2 : 0));
    const auto vector = [&](size_t i) {
        const View& out = args.gradients[i];
        return out ? out.reshaped({1, 1, 1, spec_.out_channels}) : View{};
    };
    const View dw = args.gradients[0] ? args.gradients[0].reshaped(weight_shape(spec_)) : View{};
    const View db = biased_ ? vector(1) : View{}, dgamma = folded_ ? vector(norm_at) : View{},
               dbeta = folded_ ? vector(norm_at + 1) : View{};
    Workspace workspace(args.workspace);
    const Scratch scratch(workspace, spec_, args.dy.shape.n);
    if (db || dgamma || dbeta) {
        const TapSink sum{Reduction::Sum, scratch.sums};
        backend.reduce(args.dy, {&sum, 1});
        backend.sum_rows(scratch.sums, {}, Grad::Overwrite, scratch.beta);
        if (dbeta) backend.sum_rows(scratch.beta, {}, args.mode, dbeta);
        if (db) backend.sum_rows(scratch.beta, folded_ ? scale(backend) : View{}, args.mode, db);
    }
    if (!dw && !dgamma) return;
    const View g = dw && args.mode == Grad::Overwrite ? dw : scratch.g;
    convolution_->backward_weights(args.x, args.dy, g);
    if (g.data == dw.data && scale_.empty()) return;  // the weights that run are the stored ones
    StoredWeightGradient stored{.g = g, .scale = scale(backend), .dw = dw, .mode = args.mode};
    if (standardised_) stored.standardised = unit(backend);
    if (dgamma) stored.gamma = {unit(backend), shift(backend), scratch.beta, dgamma};
    backend.stored_weight_gradient(stored);
}

}  // namespace gs
