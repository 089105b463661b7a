// Families of nets and their sizes: read off the weights, or off a published name. Names and constants are
// data here, not code elsewhere.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "data/image.h"

namespace gs {

class WeightReader;

enum class Family : uint8_t {
    ResNetV2,      // BiT ResNetv2: GroupNorm, weight standardisation; gradnorm_ood resnetv2.py
    CifarResNet,   // CIFAR ResNet-18/34/50: layer1..4; GAIA-OOD networks/resnet.py, OpenOOD resnet18_32x32
    CifarOptionA,  // CIFAR ResNet-20/32/44/56/110 of He et al., option A shortcuts;
                   // akamaster/pytorch_resnet_cifar10
    WideResNet,    // WRN-d-k; energy_ood CIFAR/models/wrn.py, GAIA-OOD
    ResNet,        // torchvision ResNet-18/34/50/101/152
    MobileNetV2,   // torchvision MobileNet-v2
};
std::string to_string(Family family);

// One inverted residual of MobileNet-v2.
struct InvertedResidual {
    int64_t hidden = 0, out = 0, stride = 1;
    bool expand = true;  // false: no 1x1 expansion (features.1)
    bool operator==(const InvertedResidual&) const = default;
};

struct Architecture {
    Family family = Family::ResNetV2;
    std::vector<int64_t> units;  // units a stage (all but MobileNet-v2)
    int64_t base = 64;  // channels of the first stage's 3x3 convolutions; MobileNet-v2: of features.0
    bool bottleneck = false;
    int64_t widen = 1;  // WideResNet: k
    int64_t classes = 1000;
    std::string head = "fc";               // module name of the last layer
    std::vector<InvertedResidual> blocks;  // MobileNet-v2
    int64_t last_channels = 1280;          // MobileNet-v2: features before the pooling
    int64_t pool_window = 0;               // average pool of the top-left window; 0: global
    std::string shortcut = "shortcut";     // CifarResNet: module name of the 1x1 shortcuts, or "downsample"
    bool stem_pool = false;                // CifarResNet: a 3x3 max pool, stride 2, behind the stem

    bool operator==(const Architecture&) const = default;
};

// "bit-r101x1", "resnet34-cifar", "resnet56-cifar", "wrn-40-2", "resnet50", "mobilenet-v2"; family and sizes
// where no name fits.
std::string name_of(const Architecture& architecture);
// The architecture of a published name (also "BiT-S-R101x1"); nothing for unknown ones.
std::optional<Architecture> architecture_of(const std::string& name, int64_t classes);
// Names that architecture_of knows, for messages and --help; "wrn-D-K" stands for any.
std::vector<std::string> published_names();

// Family, depth, width and classes from names and shapes. Throws Error(Weights) where no family fits.
Architecture guess_architecture(const WeightReader& weights);
// Whether `found` is the net `named` as weights have it, which call modules and pool as they do: head,
// shortcut and pool_window are theirs.
bool is_named(const Architecture& found, Architecture named);
// Replaces fields by those of a JSON object: strides (MobileNet-v2, one a block), pool_window, stem_pool
// (CifarResNet). Returns which are there. Throws Error(Usage).
std::set<std::string> apply_overrides(Architecture& architecture, const std::string& json);

// Side of the square input the net is made for: what bench and plan use.
int64_t default_input_size(const Architecture& architecture);
Preprocess default_preprocess(const Architecture& architecture);

}  // namespace gs
