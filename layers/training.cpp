#include "layers/training.h"

namespace gs {

BatchNorm::BatchNorm(Backend& backend, const FrozenStatistics& norm)
    : channels_(static_cast<int64_t>(norm.gamma.size())),
      eps_(norm.eps),
      gamma_(backend.upload(norm.gamma)),
      beta_(backend.upload(norm.beta)),
      mean_(backend.upload(norm.mean)),
      var_(backend.upload(norm.var)) {
    GS_REQUIRE(norm.beta.size() == norm.gamma.size() && norm.mean.size() == norm.gamma.size() &&
               norm.var.size() == norm.gamma.size());
}

Shape BatchNorm::output_shape(std::span<const Shape> x) const {
    GS_REQUIRE(x[0].c == channels_ && x.size() <= 2 && (x.size() == 1 || x[0] == x[1]));
    return x[0];
}

void BatchNorm::forward(Backend& backend, const LayerForward& args) const {
    backend.batch_norm_stats({.x = args.x[0],
                              .stats = args.state,
                              .running_mean = running_mean(),
                              .running_var = running_var(),
                              .eps = eps_});
    backend.batch_norm({.x = args.x[0],
                        .stats = args.state,
                        .gamma = channels(gamma_),
                        .beta = channels(beta_),
                        .addend = args.x.size() > 1 ? args.x[1] : View{},
                        .activation = args.activation,
                        .y = args.y});
}

void BatchNorm::backward(Backend&, const LayerBackward&) const {
    GS_REQUIRE(false && "a batch norm has train_backward");
}

void BatchNorm::set_parameters(Backend& backend, std::span<const View> values) {
    GS_REQUIRE(values.size() == 2);
    backend.copy(values[0].reshaped({1, 1, 1, channels_}), channels(gamma_));
    backend.copy(values[1].reshaped({1, 1, 1, channels_}), channels(beta_));
}

void BatchNorm::train_backward(Backend& backend, const LayerTraining& args) const {
    GS_REQUIRE(args.gradients.size() == 2 && args.mode == Grad::Overwrite);
    const auto vector = [&](const View& out) { return out ? out.reshaped({1, 1, 1, channels_}) : View{}; };
    backend.batch_norm_backward({.terms = args.terms,
                                 .x = args.x,
                                 .stats = args.state,
                                 .gamma = channels(gamma_),
                                 .beta = channels(beta_),
                                 .activation = args.activation,
                                 .y = args.g ? args.y : View{},
                                 .g = args.g,
                                 .addend = args.addend,
                                 .dx = args.dx,
                                 .dgamma = vector(args.gradients[0]),
                                 .dbeta = vector(args.gradients[1])});
}

void DropoutLayer::forward(Backend& backend, const LayerForward& args) const {
    backend.dropout({args.x[0], rate_, args.draw, args.y});
}

void DropoutLayer::backward(Backend&, const LayerBackward&) const {
    GS_REQUIRE(false && "dropout has train_backward");
}

void DropoutLayer::train_backward(Backend& backend, const LayerTraining& args) const {
    GS_REQUIRE(args.terms.size() == 1);
    if (args.dx) backend.dropout({args.terms[0], rate_, args.draw, args.dx});
}

}  // namespace gs
