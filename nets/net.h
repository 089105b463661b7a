// A net: a flat list of nodes in execution order. There is no forward or backward code for a net; passes/
// walks the list. Built by one function a family, which reads like the table in the paper (nets/resnetv2.cpp
// …).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/image.h"
#include "layers/layer.h"
#include "nets/architecture.h"
#include "weights/weight_file.h"

namespace gs {

class WeightReader;

// Value 0 is the image batch; value i + 1 is the output of node i.
using ValueId = int;

struct Node {
    std::string name;  // the reference's module name ("layer1.0.bn1"), or empty
    LayerPtr layer;
    std::vector<ValueId> inputs;
    std::string weight{};  // the parameter that the layer's weight is, "layer1.0.conv1.weight", or empty
    std::vector<std::string> parameters{};     // names of layer->parameters(), in that order
    Activation activation = Activation::None;  // fused behind the layer (passes/fuse.h)
    int stats_of = -1;                         // node whose group statistics this node leaves (passes/fuse.h)

    // Its index in `parameters`, or nothing.
    std::optional<size_t> parameter(const std::string& full_name) const;
};

// A named place in a net. before_activation: the value of node `value - 1` before its fused activation, of
// which only the gradient exists.
struct Tap {
    ValueId value = 0;
    bool before_activation = false;
};

// The last layer on the host: logits = W f + b. Closed forms of scores read it.
struct Head {
    int64_t classes = 0, features = 0;
    std::vector<float> weight;  // [classes][features]
    std::vector<float> bias;    // [classes]
};

struct Net {
    Architecture architecture;
    std::string name;  // "bit-r101x1", "resnet34-cifar" …; the family and its sizes where no name is
                       // published; what was overridden follows, "resnet34-cifar (pool_window 5)"
    std::string weights_sha256;
    Preprocess preprocess;    // default of these weights (docs/nets/README.md)
    std::vector<Node> nodes;  // the last one is the head
    std::map<std::string, Tap> taps;
    std::vector<std::string> norms;   // taps of all norms' outputs, in modules() order
    std::vector<std::string> stages;  // taps of the stages' outputs: "layer1" … or "block1" …
    std::string pooled;               // tap of the pooled features: "avgpool" or "before_head"
    Head head;
    std::vector<std::string> notices;

    ValueId logits() const { return static_cast<ValueId>(nodes.size()); }
    ValueId features() const { return nodes.back().inputs[0]; }
    // Throws Error(Usage) naming the taps there are.
    const Tap& tap(const std::string& tap_name) const;
};

// How many inputs of nodes read each value, by ValueId.
std::vector<int> reader_counts(const Net& net);

struct BuildOptions {
    std::string name = "auto";     // or a name of docs/nets, checked against the weights
    std::string overrides{};       // a JSON text that replaces fields of the architecture (--arch)
    bool allow_nonfinite = false;  // weights may be NaN or infinite
};
// Builds the net that the weights describe. Throws Error(Weights) where tensors are missing, of a wrong
// shape, left over, or not finite: it names up to eight of a kind and the number of the rest.
Net build_net(Backend& backend, const WeightFile& weights, const BuildOptions& options = {});

// A net in training: BatchNorm takes the batch's statistics and moves the running ones (layers/training.h),
// no norm is folded, and parameters can be set.
struct TrainingNet {
    float dropout = 0;  // of WideResNet, between a block's convolutions
};
// A net of known sizes, its weights from `weights`, whose faults are noted there and not thrown.
Net build_net(Backend& backend, WeightReader& weights, const Architecture& architecture,
              const std::optional<TrainingNet>& training = {});

// A published net with seeded random weights, for benchmarks and plans: He initialisation, norms near the
// identity.
Net build_random_net(Backend& backend, const std::string& name, int64_t classes, uint64_t seed);

}  // namespace gs
