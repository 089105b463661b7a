#include "nets/builder.h"

#include <algorithm>

#include "layers/norm.h"
#include "layers/pointwise.h"
#include "layers/pool.h"
#include "layers/training.h"

namespace gs {

std::string two_digits(int64_t number) {
    const std::string digits = std::to_string(number);
    return digits.size() < 2 ? "0" + digits : digits;
}

NetBuilder::NetBuilder(Backend& backend, WeightReader& weights, const Architecture& architecture,
                       const std::optional<TrainingNet>& training)
    : backend_(backend), weights_(weights), training_(training) {
    net_.architecture = architecture;
    net_.name = name_of(architecture);
    net_.preprocess = default_preprocess(architecture);
}

ValueId NetBuilder::append(std::string name, LayerPtr layer, std::vector<ValueId> inputs, int64_t channels,
                           std::vector<std::string> parameters) {
    const std::vector<Parameter> described = layer->parameters();
    GS_REQUIRE(parameters.size() == described.size());
    const bool has_weight = !described.empty() && described[0].kind == Parameter::Kind::Weight;
    net_.nodes.push_back({.name = std::move(name),
                          .layer = std::move(layer),
                          .inputs = std::move(inputs),
                          .weight = has_weight ? parameters[0] : "",
                          .parameters = std::move(parameters)});
    channels_.push_back(channels);
    const auto value = static_cast<ValueId>(net_.nodes.size());
    if (!net_.nodes.back().name.empty()) tap(net_.nodes.back().name, value);
    return value;
}

ConvolutionWeights NetBuilder::take_conv(ValueId x, const std::string& name, int64_t out,
                                         const Geometry& geometry) {
    const int64_t k = geometry.kernel;
    ConvolutionWeights conv;
    conv.spec = {.in_channels = channels(x),
                 .out_channels = out,
                 .kernel_h = k,
                 .kernel_w = k,
                 .stride = geometry.stride,
                 .pad = k / 2,
                 .groups = geometry.groups};
    conv.weights = weights_.take(name + ".weight", {out, channels(x) / geometry.groups, k, k});
    return conv;
}

FrozenStatistics NetBuilder::take_norm(const std::string& name, int64_t channels) {
    FrozenStatistics norm{.gamma = weights_.take(name + ".weight", {channels}),
                          .beta = weights_.take(name + ".bias", {channels}),
                          .mean = weights_.take(name + ".running_mean", {channels}),
                          .var = weights_.take(name + ".running_var", {channels})};
    if (std::any_of(norm.var.begin(), norm.var.end(), [](float v) { return v < 0; }))
        weights_.note_fault(name + ".running_var has negative values");
    return norm;
}

ValueId NetBuilder::conv_norm(ValueId x, const std::string& conv, const std::string& norm, int64_t out,
                              Geometry geometry) {
    if (training_) return frozen_norm(this->conv(x, conv, out, geometry), norm);
    auto layer = std::make_shared<Conv2d>(backend_, take_conv(x, conv, out, geometry), take_norm(norm, out));
    net_.norms.push_back(norm);
    return append(norm, std::move(layer), {x}, out, {conv + ".weight", norm + ".weight", norm + ".bias"});
}

ValueId NetBuilder::conv(ValueId x, const std::string& name, int64_t out, Geometry geometry) {
    return append(name, std::make_shared<Conv2d>(backend_, take_conv(x, name, out, geometry)), {x}, out,
                  {name + ".weight"});
}

ValueId NetBuilder::standardised_conv(ValueId x, const std::string& name, int64_t out, Geometry geometry) {
    auto layer =
        std::make_shared<Conv2d>(backend_, take_conv(x, name, out, geometry), Conv2d::Standardised{});
    return append(name, std::move(layer), {x}, out, {name + ".weight"});
}

ValueId NetBuilder::frozen_norm(ValueId x, const std::string& name) {
    net_.norms.push_back(name);
    const FrozenStatistics norm = take_norm(name, channels(x));
    LayerPtr layer;
    if (training_) {
        layer = std::make_shared<BatchNorm>(backend_, norm);
    } else {
        layer = std::make_shared<FrozenNorm>(backend_, norm);
    }
    return append(name, std::move(layer), {x}, channels(x), {name + ".weight", name + ".bias"});
}

ValueId NetBuilder::dropout(ValueId x) {
    if (!training_ || training_->dropout == 0) return x;
    return append("", std::make_shared<DropoutLayer>(training_->dropout), {x}, channels(x));
}

ValueId NetBuilder::group_norm(ValueId x, const std::string& name) {
    constexpr int64_t kGroups = 32;
    constexpr float kEps = 1e-5f;
    const int64_t c = channels(x);
    if (c % kGroups != 0)
        throw Error(ErrorKind::Weights, weights_.path() + ": " + name + " has " + std::to_string(c) +
                                            " channels, group norm needs a multiple of 32");
    const auto gamma = weights_.take(name + ".weight", {c});
    const auto beta = weights_.take(name + ".bias", {c});
    net_.norms.push_back(name);
    return append(name, std::make_shared<GroupNorm>(backend_, kGroups, kEps, gamma, beta), {x}, c,
                  {name + ".weight", name + ".bias"});
}

ValueId NetBuilder::relu(ValueId x, Activation activation) {
    return append("", std::make_shared<Relu>(activation), {x}, channels(x));
}

ValueId NetBuilder::add(ValueId a, ValueId b) {
    if (channels(a) != channels(b))
        weights_.note_fault("a shortcut of " + std::to_string(channels(b)) + " channels meets a branch of " +
                            std::to_string(channels(a)));
    return append("", std::make_shared<Add>(), {a, b}, channels(a));
}

ValueId NetBuilder::max_pool(ValueId x, const PoolSpec& spec) {
    return append("", std::make_shared<MaxPool>(spec), {x}, channels(x));
}

ValueId NetBuilder::average_pool(ValueId x, int64_t window) {
    return append("", std::make_shared<AveragePool>(window), {x}, channels(x));
}

ValueId NetBuilder::pad_subsample(ValueId x, int64_t stride, int64_t out) {
    if (out < channels(x) || (out - channels(x)) % 2 != 0)
        weights_.note_fault("a shortcut cannot pad " + std::to_string(channels(x)) + " channels to " +
                            std::to_string(out) + ", as many on either side");
    return append("", std::make_shared<PadSubsample>(stride, out), {x}, out);
}

void NetBuilder::stage(const std::string& name, ValueId value) {
    tap(name, value);
    net_.stages.push_back(name);
}

Net NetBuilder::finish(ValueId x, const std::string& pooled, const std::string& head, bool head_is_conv) {
    const ValueId features = average_pool(x, net_.architecture.pool_window);
    tap(pooled, features);
    net_.pooled = pooled;

    const int64_t classes = net_.architecture.classes, d = channels(features);
    std::vector<int64_t> shape{classes, d};
    if (head_is_conv) shape.insert(shape.end(), {1, 1});
    net_.head = {.classes = classes,
                 .features = d,
                 .weight = weights_.take(head + ".weight", shape),
                 .bias = weights_.take(head + ".bias", {classes})};
    ConvolutionWeights linear{.spec = {.in_channels = d, .out_channels = classes},
                              .weights = net_.head.weight,
                              .bias = net_.head.bias};
    append(head, std::make_shared<Conv2d>(backend_, std::move(linear)), {features}, classes,
           {head + ".weight", head + ".bias"});
    return std::move(net_);
}

}  // namespace gs
