#include "layers/norm.h"

namespace gs {
namespace {

View channels_view(const Buffer& buffer, int64_t channels) {
    return buffer.view({1, 1, 1, channels});
}

}  // namespace

FrozenNorm::FrozenNorm(Backend& backend, const FrozenStatistics& norm)
    : channels_(static_cast<int64_t>(norm.gamma.size())) {
    const std::vector<double> scale = norm.scale();
    scale_ = backend.upload(std::vector<float>(scale.begin(), scale.end()));
    shift_ = backend.upload(norm.shift(scale));
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
                                .sinks = args.sinks});
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
                                 .sinks = args.sinks},
                                params());
}

}  // namespace gs
