#include "layers/norm.h"

namespace gs {
namespace {

View channels_view(const Buffer& buffer, int64_t channels) {
    return buffer.view({1, 1, 1, channels});
}

// Sums over positions of each row's gradients of gamma and beta.
struct AffineSums {
    View gamma, beta;  // (n,1,1,c)

    AffineSums(Workspace& workspace, int64_t n, int64_t channels)
        : gamma(workspace.take({n, 1, 1, channels})), beta(workspace.take({n, 1, 1, channels})) {}

    // Over rows, into what was asked for.
    void finish(Backend& backend, std::span<const View> gradients, Grad mode) const {
        const View sums[] = {gamma, beta};
        for (size_t i = 0; i < 2; ++i)
            if (const View out = gradients[i])
                backend.sum_rows(sums[i], {}, mode, out.reshaped(gamma.shape.with_n(1)));
    }
    static int64_t floats(int64_t n, int64_t channels) {
        Workspace counted;
        AffineSums(counted, n, channels);
        return counted.floats();
    }
};

void norms_of_sums(Backend& backend, const LayerGradientNorms& args) {
    GS_REQUIRE(args.norms.size() == 2);
    if (!args.norms[0].empty()) backend.power_sums(args.gamma, {}, args.norms[0]);
    if (!args.norms[1].empty()) backend.power_sums(args.beta, {}, args.norms[1]);
}

}  // namespace

std::vector<Parameter> norm_parameters(int64_t channels, const std::string& prefix) {
    return {{prefix + "weight", {channels}, Parameter::Kind::Gamma},
            {prefix + "bias", {channels}, Parameter::Kind::Beta}};
}

FrozenNorm::FrozenNorm(Backend& backend, const FrozenStatistics& norm)
    : channels_(static_cast<int64_t>(norm.gamma.size())) {
    const std::vector<double> scale = norm.scale();
    const std::vector<double> rstd = norm.rstd();
    scale_ = backend.upload(std::vector<float>(scale.begin(), scale.end()));
    shift_ = backend.upload(norm.shift(scale));
    mean_ = backend.upload(norm.mean);
    rstd_ = backend.upload(std::vector<float>(rstd.begin(), rstd.end()));
}

Shape FrozenNorm::output_shape(std::span<const Shape> x) const {
    GS_REQUIRE(x[0].c == channels_);
    return x[0];
}

void FrozenNorm::forward(Backend& backend, const LayerForward& args) const {
    backend.channel_affine(args.x[0], channels_view(scale_, channels_), channels_view(shift_, channels_),
                           args.activation, args.y);
}

void FrozenNorm::backward(Backend& backend, const LayerBackward& args) const {
    backend.pointwise_backward({.terms = args.terms,
                                .activation = args.activation,
                                .y = args.y,
                                .scale = channels_view(scale_, channels_),
                                .addend = args.addend,
                                .dx = args.dx,
                                .sinks = args.sinks,
                                .gamma = gamma_sum(args.x, args.dgamma)});
}

NormalisedSum FrozenNorm::gamma_sum(View x, View out) const {
    if (!out) return {};
    return {x, channels_view(mean_, channels_), channels_view(rstd_, channels_), out};
}

int64_t FrozenNorm::backward_weights_workspace(int64_t n) const {
    return AffineSums::floats(n, channels_);
}

void FrozenNorm::backward_weights(Backend& backend, const LayerBackwardWeights& args) const {
    GS_REQUIRE(args.gradients.size() == 2);
    Workspace workspace(args.workspace);
    const AffineSums sums(workspace, args.dy.shape.n, channels_);
    const TapSink beta{Reduction::Sum, sums.beta};
    backend.pointwise_backward(
        {.terms = {&args.dy, 1}, .sinks = {&beta, 1}, .gamma = gamma_sum(args.x, sums.gamma)});
    sums.finish(backend, args.gradients, args.mode);
}

void FrozenNorm::gradient_norms(Backend& backend, const LayerGradientNorms& args) const {
    norms_of_sums(backend, args);
}

GroupNorm::GroupNorm(Backend& backend, int64_t groups, float eps, std::span<const float> gamma,
                     std::span<const float> beta)
    : groups_(groups),
      channels_(static_cast<int64_t>(gamma.size())),
      eps_(eps),
      gamma_(backend.upload(gamma)),
      beta_(backend.upload(beta)) {
    GS_REQUIRE(gamma.size() == beta.size() && channels_ % groups_ == 0);
}

GroupNormParams GroupNorm::params() const {
    return {.groups = groups_,
            .eps = eps_,
            .gamma = channels_view(gamma_, channels_),
            .beta = channels_view(beta_, channels_)};
}

Shape GroupNorm::output_shape(std::span<const Shape> x) const {
    GS_REQUIRE(x[0].c == channels_);
    return x[0];
}

void GroupNorm::forward(Backend& backend, const LayerForward& args) const {
    if (!args.state_is_ready) backend.group_norm_stats(args.x[0], params(), args.state);
    backend.group_norm(args.x[0], args.state, params(), args.activation, args.y);
}

void GroupNorm::backward(Backend& backend, const LayerBackward& args) const {
    backend.group_norm_backward({.terms = args.terms,
                                 .x = args.x,
                                 .stats = args.state,
                                 .activation = args.activation,
                                 .addend = args.addend,
                                 .dx = args.dx,
                                 .sinks = args.sinks,
                                 .dgamma = args.dgamma},
                                params());
}

int64_t GroupNorm::backward_weights_workspace(int64_t n) const {
    return AffineSums::floats(n, channels_);
}

void GroupNorm::backward_weights(Backend& backend, const LayerBackwardWeights& args) const {
    GS_REQUIRE(args.gradients.size() == 2);
    Workspace workspace(args.workspace);
    const AffineSums sums(workspace, args.dy.shape.n, channels_);
    const TapSink beta{Reduction::Sum, sums.beta};
    backend.group_norm_backward(
        {.terms = {&args.dy, 1}, .x = args.x, .stats = args.state, .sinks = {&beta, 1}, .dgamma = sums.gamma},
        params());
    sums.finish(backend, args.gradients, args.mode);
}

void GroupNorm::gradient_norms(Backend& backend, const LayerGradientNorms& args) const {
    norms_of_sums(backend, args);
}

void GroupNorm::set_parameters(Backend& backend, std::span<const View> values) {
    GS_REQUIRE(values.size() == 2);
    for (size_t i = 0; i < 2; ++i)
        backend.copy(values[i].reshaped({1, 1, 1, channels_}),
                     channels_view(i == 0 ? gamma_ : beta_, channels_));
}

void GroupNorm::train_backward(Backend& backend, const LayerTraining& args) const {
    GS_REQUIRE(args.gradients.size() == 2);
    Workspace workspace(args.workspace);
    const AffineSums sums(workspace, args.x.shape.n, channels_);
    const bool learns = args.gradients[0] || args.gradients[1];
    const TapSink beta{Reduction::Sum, sums.beta};
    backend.group_norm_backward({.terms = args.terms,
                                 .x = args.x,
                                 .stats = args.state,
                                 .activation = args.activation,
                                 .addend = args.addend,
                                 .dx = args.dx,
                                 .sinks = {&beta, learns ? size_t{1} : size_t{0}},
                                 .dgamma = learns ? sums.gamma : View{}},
                                params());
    if (learns) sums.finish(backend, args.gradients, args.mode);
}

}  // namespace gs
