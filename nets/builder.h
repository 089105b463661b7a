// What the families' builders share: they append nodes to a net's list, take weights by name, and name taps.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "layers/convolution.h"
#include "nets/net.h"
#include "nets/weight_reader.h"

namespace gs {

struct Geometry {
    int64_t kernel = 3, stride = 1, groups = 1;  // padding is kernel / 2: every family pads so
};

class NetBuilder {
  public:
    NetBuilder(Backend& backend, WeightReader& weights, const Architecture& architecture,
               const std::optional<TrainingNet>& training = {});

    static constexpr ValueId image() { return 0; }
    int64_t channels(ValueId value) const { return channels_[static_cast<size_t>(value)]; }

    // Convolution NAME.weight followed by the frozen BatchNorm `norm`, folded. The node is named after the
    // norm. In training two nodes.
    ValueId conv_norm(ValueId x, const std::string& conv, const std::string& norm, int64_t out,
                      Geometry geometry);
    ValueId conv(ValueId x, const std::string& name, int64_t out, Geometry geometry);
    ValueId standardised_conv(ValueId x, const std::string& name, int64_t out, Geometry geometry);
    // BatchNorm by running statistics; in training by those of the batch.
    ValueId frozen_norm(ValueId x, const std::string& name);
    ValueId dropout(ValueId x);  // x itself but in training
    ValueId group_norm(ValueId x, const std::string& name);
    ValueId relu(ValueId x, Activation activation = Activation::Relu);
    ValueId add(ValueId a, ValueId b);
    ValueId max_pool(ValueId x, const PoolSpec& spec);
    ValueId average_pool(ValueId x, int64_t window = 0);
    ValueId pad_subsample(ValueId x, int64_t stride, int64_t out);

    void tap(const std::string& name, ValueId value) { net_.taps[name] = {value, false}; }
    void stage(const std::string& name, ValueId value);
    // Pools, and appends the last layer, whose bias is NAME.bias. Its weight is [classes][features] or a 1x1
    // kernel.
    Net finish(ValueId x, const std::string& pooled, const std::string& head, bool head_is_conv = false);

  private:
    Backend& backend_;
    WeightReader& weights_;
    std::optional<TrainingNet> training_;
    Net net_;
    std::vector<int64_t> channels_{3};

    ValueId append(std::string name, LayerPtr layer, std::vector<ValueId> inputs, int64_t channels,
                   std::vector<std::string> parameters = {});
    ConvolutionWeights take_conv(ValueId x, const std::string& name, int64_t out, const Geometry& geometry);
    FrozenStatistics take_norm(const std::string& name, int64_t channels);
};

// One function a family; each reads like the table in the paper.
Net build_resnetv2(NetBuilder& net, const Architecture& architecture);
Net build_resnet_cifar(NetBuilder& net, const Architecture& architecture);
Net build_resnet_option_a(NetBuilder& net, const Architecture& architecture);
Net build_wide_resnet(NetBuilder& net, const Architecture& architecture);
Net build_resnet(NetBuilder& net, const Architecture& architecture);
Net build_mobilenet_v2(NetBuilder& net, const Architecture& architecture);

// "unit01": BiT's two-digit names.
std::string two_digits(int64_t number);

}  // namespace gs
