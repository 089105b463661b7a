// Reading family, depth, width and classes off names and shapes, so that a small net of a family is as good
// as a famous one.
#include "nets/architecture.h"
#include "nets/weight_reader.h"

namespace gs {
namespace {

int64_t dim(const WeightReader& weights, const std::string& name, size_t axis) {
    const auto shape = weights.shape(name);
    return shape && axis < shape->size() ? (*shape)[axis] : 0;
}

// Units of the stages PREFIX1, PREFIX2 …; `inside` stands between the stage's name and the unit's number.
std::vector<int64_t> count_units(const WeightReader& weights, const std::string& prefix,
                                 const std::string& inside) {
    std::vector<int64_t> units;
    for (int stage = 1;; ++stage) {
        const int64_t count = weights.count(prefix + std::to_string(stage) + inside);
        if (count == 0) return units;
        units.push_back(count);
    }
}

std::vector<int64_t> count_bit_units(const WeightReader& weights) {
    std::vector<int64_t> units;
    for (int block = 1;; ++block) {
        int64_t count = 0;
        const auto unit_exists = [&](int64_t u) {
            const std::string digits = (u < 10 ? "0" : "") + std::to_string(u);
            return weights.has("body.block" + std::to_string(block) + ".unit" + digits + ".conv1.weight");
        };
        while (unit_exists(count + 1)) ++count;
        if (count == 0) return units;
        units.push_back(count);
    }
}

Architecture guess_bit(const WeightReader& weights) {
    return {.family = Family::ResNetV2,
            .units = count_bit_units(weights),
            .base = dim(weights, "root.conv.weight", 0),
            .bottleneck = true,
            .classes = dim(weights, "head.conv.weight", 0),
            .head = "head.conv",
            .blocks = {}};
}

Architecture guess_wrn(const WeightReader& weights) {
    const int64_t base = dim(weights, "conv1.weight", 0);
    const int64_t first = dim(weights, "block1.layer.0.conv1.weight", 0);
    return {.family = Family::WideResNet,
            .units = count_units(weights, "block", ".layer."),
            .base = base,
            .widen = base > 0 ? first / base : 0,
            .classes = dim(weights, "fc.weight", 0),
            .head = "fc",
            .blocks = {}};
}

Architecture guess_resnet(const WeightReader& weights) {
    Architecture a;
    a.units = count_units(weights, "layer", ".");
    a.base = dim(weights, "conv1.weight", 0);
    a.bottleneck = weights.has("layer1.0.conv3.weight");
    a.head = weights.has("linear.weight") ? "linear" : "fc";
    a.classes = dim(weights, a.head + ".weight", 0);
    const bool large_stem = dim(weights, "conv1.weight", 2) == 7;
    const auto projects = [&](const std::string& name) {
        for (size_t s = 2; s <= a.units.size(); ++s)
            if (weights.has("layer" + std::to_string(s) + ".0." + name + ".0.weight")) return true;
        return false;
    };
    a.family = Family::CifarOptionA;
    if (large_stem) {
        a.family = Family::ResNet;
    } else if (projects("shortcut")) {
        a.family = Family::CifarResNet;
        // GAIA's net of four stages ends in avg_pool2d(4); OpenOOD's (head "fc") pools the whole map.
        if (a.head == "linear" && a.units.size() == 4) a.pool_window = 4;
    } else if (projects("downsample")) {  // torchvision's names, as those have who began with its code
        a.family = Family::CifarResNet;
        a.shortcut = "downsample";
    }
    return a;
}

// The published table where there are 17 blocks; otherwise a stage begins where expansion or output width
// changes.
void infer_strides(std::vector<InvertedResidual>& blocks, int64_t stem) {
    const auto published = architecture_of("mobilenet-v2", 1)->blocks;
    constexpr int64_t kStageStrides[] = {1, 2, 2, 2, 1, 2, 1};
    if (blocks.size() == published.size()) {
        for (size_t i = 0; i < blocks.size(); ++i) blocks[i].stride = published[i].stride;
        return;
    }
    int64_t in = stem, previous_expansion = 0, previous_out = 0;
    size_t stage = 0;
    for (InvertedResidual& block : blocks) {
        const int64_t expansion = in > 0 ? block.hidden / in : 0;
        const bool begins = expansion != previous_expansion || block.out != previous_out;
        block.stride = begins ? kStageStrides[std::min(stage, std::size(kStageStrides) - 1)] : 1;
        if (begins) ++stage;
        previous_expansion = expansion;
        previous_out = block.out;
        in = block.out;
    }
}

Architecture guess_mobilenet(const WeightReader& weights) {
    Architecture a{.family = Family::MobileNetV2,
                   .units = {},
                   .base = dim(weights, "features.0.0.weight", 0),
                   .classes = dim(weights, "classifier.1.weight", 0),
                   .head = "classifier.1",
                   .blocks = {}};
    const int64_t features = weights.count("features.");
    for (int64_t i = 1; i + 1 < features; ++i) {
        const std::string name = "features." + std::to_string(i) + ".conv.";
        // With an expansion the depthwise convolution is conv.1.0, without one it is conv.0.0.
        const bool expand = weights.has(name + "1.0.weight");
        a.blocks.push_back({.hidden = dim(weights, name + "0.0.weight", 0),
                            .out = dim(weights, name + (expand ? "2.weight" : "1.weight"), 0),
                            .stride = 1,
                            .expand = expand});
    }
    infer_strides(a.blocks, a.base);
    a.last_channels = dim(weights, "features." + std::to_string(features - 1) + ".0.weight", 0);
    return a;
}

// Bounds that no real net comes near keep a hostile file from asking for absurd amounts of memory.
void check(const Architecture& a, const WeightReader& weights) {
    constexpr int64_t kMaxWidth = 1 << 14, kMaxUnits = 1000, kMaxStages = 8;
    const auto within = [](int64_t value, int64_t limit) { return value > 0 && value <= limit; };
    bool sane = within(a.base, kMaxWidth) && within(a.classes, 1 << 20) && within(a.widen, kMaxWidth) &&
                within(a.last_channels, kMaxWidth) && a.units.size() <= kMaxStages &&
                (!a.units.empty() || !a.blocks.empty());
    for (const int64_t units : a.units) sane = sane && within(units, kMaxUnits);
    for (const InvertedResidual& block : a.blocks)
        sane = sane && within(block.hidden, kMaxWidth) && within(block.out, kMaxWidth);
    if (!sane)
        throw Error(ErrorKind::Weights, weights.path() + ": looks like a " + to_string(a.family) +
                                            ", but its stem, blocks or head '" + a.head +
                                            "' are missing or of absurd size");
}

}  // namespace

Architecture guess_architecture(const WeightReader& weights) {
    Architecture a;
    if (weights.has("root.conv.weight")) {
        a = guess_bit(weights);
    } else if (weights.has("features.0.0.weight")) {
        a = guess_mobilenet(weights);
    } else if (weights.has("block1.layer.0.conv1.weight")) {
        a = guess_wrn(weights);
    } else if (weights.has("conv1.weight") && weights.has("layer1.0.conv1.weight")) {
        a = guess_resnet(weights);
    } else {
        const auto names = weights.names();
        throw Error(ErrorKind::Weights,
                    weights.path() + ": no known net has tensors of these names (first: " +
                        (names.empty() ? "none" : names.front()) +
                        "); known: BiT ResNetv2, CIFAR ResNet, WideResNet, torchvision ResNet, MobileNet-v2");
    }
    check(a, weights);
    return a;
}

}  // namespace gs
