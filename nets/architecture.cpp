#include "nets/architecture.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <regex>

#include "core/ascii.h"
#include "nets/weight_reader.h"

namespace gs {
namespace {

struct Published {
    const char* name;
    Family family;
    std::vector<int64_t> units;
    int64_t base;
    bool bottleneck;
};

const std::vector<Published>& published() {
    static const std::vector<Published> table = {
        {"bit-r50x1", Family::ResNetV2, {3, 4, 6, 3}, 64, true},
        {"bit-r50x3", Family::ResNetV2, {3, 4, 6, 3}, 192, true},
        {"bit-r101x1", Family::ResNetV2, {3, 4, 23, 3}, 64, true},
        {"bit-r101x3", Family::ResNetV2, {3, 4, 23, 3}, 192, true},
        {"bit-r152x2", Family::ResNetV2, {3, 8, 36, 3}, 128, true},
        {"bit-r152x4", Family::ResNetV2, {3, 8, 36, 3}, 256, true},
        {"resnet18-cifar", Family::CifarResNet, {2, 2, 2, 2}, 64, false},
        {"resnet34-cifar", Family::CifarResNet, {3, 4, 6, 3}, 64, false},
        {"resnet50-cifar", Family::CifarResNet, {3, 4, 6, 3}, 64, true},
        {"resnet20-cifar", Family::CifarOptionA, {3, 3, 3}, 16, false},
        {"resnet32-cifar", Family::CifarOptionA, {5, 5, 5}, 16, false},
        {"resnet44-cifar", Family::CifarOptionA, {7, 7, 7}, 16, false},
        {"resnet56-cifar", Family::CifarOptionA, {9, 9, 9}, 16, false},
        {"resnet110-cifar", Family::CifarOptionA, {18, 18, 18}, 16, false},
        {"resnet18", Family::ResNet, {2, 2, 2, 2}, 64, false},
        {"resnet34", Family::ResNet, {3, 4, 6, 3}, 64, false},
        {"resnet50", Family::ResNet, {3, 4, 6, 3}, 64, true},
        {"resnet101", Family::ResNet, {3, 4, 23, 3}, 64, true},
        {"resnet152", Family::ResNet, {3, 8, 36, 3}, 64, true},
    };
    return table;
}

// (t, c, n, s) of the paper's table 2, width 1.
std::vector<InvertedResidual> published_mobilenet_blocks() {
    constexpr int64_t kSettings[][4] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                                        {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
    std::vector<InvertedResidual> blocks;
    int64_t in = 32;
    for (const auto& [t, c, n, s] : kSettings) {
        for (int64_t i = 0; i < n; ++i) {
            blocks.push_back({.hidden = in * t, .out = c, .stride = i == 0 ? s : 1, .expand = t != 1});
            in = c;
        }
    }
    return blocks;
}

std::string sizes(const Architecture& a) {
    std::string text;
    for (const int64_t u : a.units) text += (text.empty() ? "" : "-") + std::to_string(u);
    text += " units, base " + std::to_string(a.base);
    if (a.widen != 1) text += ", widened by " + std::to_string(a.widen);
    return text + (a.bottleneck && a.family != Family::ResNetV2 ? ", bottleneck" : "");
}

std::string head_of(Family family) {
    switch (family) {
        case Family::ResNetV2:
            return "head.conv";
        case Family::CifarResNet:
        case Family::CifarOptionA:
            return "linear";
        case Family::MobileNetV2:
            return "classifier.1";
        case Family::WideResNet:
        case Family::ResNet:
            break;
    }
    return "fc";
}

Architecture wide_resnet(int64_t depth, int64_t widen, int64_t classes) {
    const int64_t n = (depth - 4) / 6;
    return {.family = Family::WideResNet,
            .units = {n, n, n},
            .base = 16,
            .widen = widen,
            .classes = classes,
            .head = head_of(Family::WideResNet),
            .blocks = {}};
}

Architecture option_a(int64_t n, int64_t classes) {
    return {.family = Family::CifarOptionA,
            .units = {n, n, n},
            .base = 16,
            .classes = classes,
            .head = head_of(Family::CifarOptionA),
            .blocks = {}};
}

}  // namespace

std::string to_string(Family family) {
    switch (family) {
        case Family::ResNetV2:
            return "BiT ResNetv2";
        case Family::CifarResNet:
            return "CIFAR ResNet";
        case Family::CifarOptionA:
            return "CIFAR ResNet (option A)";
        case Family::WideResNet:
            return "WideResNet";
        case Family::ResNet:
            return "ResNet";
        case Family::MobileNetV2:
            return "MobileNet-v2";
    }
    return "?";
}

std::string name_of(const Architecture& a) {
    const auto equal_units = [&] {
        return std::all_of(a.units.begin(), a.units.end(), [&](int64_t u) { return u == a.units[0]; });
    };
    if (a.family == Family::WideResNet && a.units.size() == 3 && equal_units() && a.base == 16)
        return "wrn-" + std::to_string(6 * a.units.at(0) + 4) + "-" + std::to_string(a.widen);
    if (a.family == Family::MobileNetV2)
        return a.blocks == published_mobilenet_blocks() ? "mobilenet-v2"
                                                        : "MobileNet-v2 (" + std::to_string(a.blocks.size()) +
                                                              " blocks, stem " + std::to_string(a.base) + ")";
    for (const Published& p : published())
        if (p.family == a.family && p.units == a.units && p.base == a.base && p.bottleneck == a.bottleneck)
            return p.name;
    if (a.family == Family::CifarOptionA && a == option_a(a.units.at(0), a.classes)) {
        // 6n + 2 layers, as He et al. count; 18, 34 and 50 are names of the other family.
        std::string name = "resnet" + std::to_string(6 * a.units[0] + 2) + "-cifar";
        if (architecture_of(name, a.classes) == a) return name;
    }
    return to_string(a.family) + " (" + sizes(a) + ")";
}

std::optional<Architecture> architecture_of(const std::string& name, int64_t classes) {
    std::string key = ascii_lower(name);
    if (key.starts_with("bit-s-") || key.starts_with("bit-m-")) key.erase(4, 2);
    static const std::regex wrn(R"(wrn-(\d{1,4})-(\d{1,3}))");
    std::smatch match;
    if (std::regex_match(key, match, wrn)) {
        const int64_t depth = std::stoll(match[1].str()), widen = std::stoll(match[2].str());
        if (depth < 10 || (depth - 4) % 6 != 0 || widen < 1) return std::nullopt;
        return wide_resnet(depth, widen, classes);
    }
    if (key == "mobilenet-v2" || key == "mobilenet_v2")
        return Architecture{.family = Family::MobileNetV2,
                            .units = {},
                            .base = 32,
                            .classes = classes,
                            .head = head_of(Family::MobileNetV2),
                            .blocks = published_mobilenet_blocks()};
    for (const Published& p : published()) {
        if (key != p.name) continue;
        Architecture a{.family = p.family,
                       .units = p.units,
                       .base = p.base,
                       .bottleneck = p.bottleneck,
                       .classes = classes,
                       .head = head_of(p.family),
                       .blocks = {}};
        if (p.family == Family::CifarResNet) a.pool_window = 4;
        return a;
    }
    static const std::regex small(R"(resnet(\d{1,3})-cifar)");
    if (std::regex_match(key, match, small)) {
        const int64_t depth = std::stoll(match[1].str());
        if (depth >= 8 && (depth - 2) % 6 == 0) return option_a((depth - 2) / 6, classes);
    }
    return std::nullopt;
}

std::vector<std::string> published_names() {
    std::vector<std::string> names;
    for (const Published& p : published()) names.emplace_back(p.name);
    names.insert(names.end(), {"wrn-D-K", "mobilenet-v2"});
    return names;
}

bool is_named(const Architecture& found, Architecture named) {
    named.head = found.head;
    named.shortcut = found.shortcut;
    named.pool_window = found.pool_window;
    return named == found;
}

std::set<std::string> apply_overrides(Architecture& architecture, const std::string& json) {
    const auto fail = [](const std::string& what) { throw Error(ErrorKind::Usage, "--arch: " + what); };
    const nlohmann::json fields = nlohmann::json::parse(json, nullptr, false);
    if (!fields.is_object()) fail("not a JSON object");
    std::set<std::string> given;
    for (const auto& [key, value] : fields.items()) {
        given.insert(key);
        if (key == "strides" && architecture.family == Family::MobileNetV2) {
            if (!value.is_array() || value.size() != architecture.blocks.size())
                fail("strides must list " + std::to_string(architecture.blocks.size()) +
                     " numbers, one a block");
            for (size_t i = 0; i < value.size(); ++i) {
                if (value[i] != 1 && value[i] != 2) fail("strides are 1 or 2");
                architecture.blocks[i].stride = value[i].get<int64_t>();
            }
        } else if (key == "pool_window" && value.is_number_integer() && value.get<int64_t>() >= 0) {
            architecture.pool_window = value.get<int64_t>();
        } else if (key == "stem_pool" && architecture.family == Family::CifarResNet && value.is_boolean()) {
            architecture.stem_pool = value.get<bool>();
        } else {
            fail("'" + key + "' is not a field of " + to_string(architecture.family) +
                 ", or not of the right type; fields: strides (MobileNet-v2), pool_window, stem_pool (CIFAR "
                 "ResNet)");
        }
    }
    return given;
}

int64_t default_input_size(const Architecture& architecture) {
    switch (architecture.family) {
        case Family::ResNetV2:
            return 480;
        case Family::ResNet:
        case Family::MobileNetV2:
            return 224;
        case Family::CifarResNet:
        case Family::CifarOptionA:
        case Family::WideResNet:
            break;
    }
    return 32;
}

namespace {

using Rgb = std::array<float, 3>;

// Of 255, as PyTorch has it: divided as doubles, then rounded.
float levels(double value) {
    return static_cast<float>(value / 255);
}

// By whom the nets are, as names and shapes of their weights tell.
void set_cifar_resnet_constants(const Architecture& architecture, Preprocess& p) {
    const bool hundred = architecture.classes == 100;
    if (architecture.shortcut == "downsample" &&
        architecture.units.size() == 3) {  // chenyaofo/pytorch-cifar-models
        p.short_side = 32;
        p.mean = hundred ? Rgb{.5070f, .4865f, .4409f} : Rgb{.4914f, .4822f, .4465f};
        p.std = hundred ? Rgb{.2673f, .2564f, .2761f} : Rgb{.2023f, .1994f, .2010f};
        return;
    }
    const bool openood = architecture.head == "fc";
    if (openood) p.short_side = 32;
    p.mean = hundred ? Rgb{.5071f, .4867f, .4408f} : Rgb{.4914f, .4822f, .4465f};
    p.std = hundred   ? Rgb{.2675f, .2565f, .2761f}
            : openood ? Rgb{.2470f, .2435f, .2616f}
                      : Rgb{.2023f, .1994f, .2010f};
}

}  // namespace

Preprocess default_preprocess(const Architecture& architecture) {
    constexpr Rgb kImageNetMean{.485f, .456f, .406f}, kImageNetStd{.229f, .224f, .225f};
    Preprocess p;
    switch (architecture.family) {
        case Family::ResNetV2:
            p.resize = Size{480, 480};
            return p;  // mean and std .5: Preprocess' defaults
        case Family::ResNet:
        case Family::MobileNetV2:
            p.short_side = 256;
            p.crop = Size{224, 224};
            p.mean = kImageNetMean;
            p.std = kImageNetStd;
            return p;
        case Family::CifarOptionA:  // these checkpoints were trained with ImageNet's constants
            p.short_side = 32;
            p.mean = kImageNetMean;
            p.std = kImageNetStd;
            break;
        case Family::WideResNet:
            p.short_side = 32;
            p.mean = {levels(125.3), levels(123.0), levels(113.9)};
            p.std = {levels(63.0), levels(62.1), levels(66.7)};
            break;
        case Family::CifarResNet:
            set_cifar_resnet_constants(architecture, p);
            break;
    }
    p.crop = Size{32, 32};
    return p;
}

}  // namespace gs
