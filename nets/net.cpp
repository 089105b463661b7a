#include "nets/net.h"

#include <algorithm>
#include <future>
#include <set>

#include "core/join.h"
#include "core/printable.h"
#include "nets/builder.h"

namespace gs {
namespace {

Architecture named_architecture(const std::string& name, int64_t classes) {
    if (auto architecture = architecture_of(name, classes)) return *architecture;
    throw Error(ErrorKind::Usage, "--net " + name + ": no such net; known: " + join(published_names()));
}

// A published name must agree with what the weights hold; the classes are the weights'.
void check_name(const BuildOptions& options, const Architecture& found, const std::string& path) {
    if (options.name == "auto") return;
    if (!is_named(found, named_architecture(options.name, found.classes)))
        throw Error(ErrorKind::Weights, path + ": holds " + name_of(found) + ", not " + options.name +
                                            " (--net auto takes what the weights hold)");
}

// " (pool_window 5)": what the weights cannot tell, and was given another value than theirs. It belongs to
// the name, for with the weights' hash the name stands for the net wherever numbers of two runs meet.
std::string overridden(const Architecture& found, const Architecture& given) {
    std::vector<std::string> changes;
    if (given.pool_window != found.pool_window)
        changes.push_back("pool_window " + std::to_string(given.pool_window));
    if (given.stem_pool != found.stem_pool) changes.emplace_back("stem_pool");
    if (given.blocks != found.blocks)
        changes.push_back("strides " + join(given.blocks, "+", [](const InvertedResidual& block) {
                              return std::to_string(block.stride);
                          }));
    return changes.empty() ? "" : " (" + join(changes) + ")";
}

}  // namespace

std::optional<size_t> Node::parameter(const std::string& full_name) const {
    const auto it = std::find(parameters.begin(), parameters.end(), full_name);
    if (it == parameters.end()) return std::nullopt;
    return static_cast<size_t>(it - parameters.begin());
}

const Tap& Net::tap(const std::string& tap_name) const {
    const auto it = taps.find(tap_name);
    if (it != taps.end()) return it->second;
    throw Error(ErrorKind::Usage, "layer '" + tap_name + "': " + name +
                                      " has no such layer; stages: " + join(stages) + ", pooled: " + pooled);
}

std::vector<int> reader_counts(const Net& net) {
    std::vector<int> counts(net.nodes.size() + 1, 0);
    for (const Node& node : net.nodes)
        for (const ValueId input : node.inputs) ++counts[static_cast<size_t>(input)];
    return counts;
}

Net build_net(Backend& backend, WeightReader& weights, const Architecture& architecture,
              const std::optional<TrainingNet>& training) {
    NetBuilder builder(backend, weights, architecture, training);
    switch (architecture.family) {
        case Family::ResNetV2:
            return build_resnetv2(builder, architecture);
        case Family::CifarResNet:
            return build_resnet_cifar(builder, architecture);
        case Family::CifarOptionA:
            return build_resnet_option_a(builder, architecture);
        case Family::WideResNet:
            return build_wide_resnet(builder, architecture);
        case Family::ResNet:
            return build_resnet(builder, architecture);
        case Family::MobileNetV2:
            return build_mobilenet_v2(builder, architecture);
    }
    GS_REQUIRE(false && "a family without a builder");
    return {};
}

Net build_net(Backend& backend, const WeightFile& weights, const BuildOptions& options) {
    // The hash of a large file takes as long as reading it: both at once.
    auto hash = std::async(std::launch::async, [&] { return weights.sha256(); });
    WeightReader reader(weights);
    try {
        const Architecture found = guess_architecture(reader);
        check_name(options, found, weights.path.string());
        Architecture architecture = found;
        std::set<std::string> given;
        if (!options.overrides.empty()) given = apply_overrides(architecture, options.overrides);
        Net net = build_net(backend, reader, architecture);
        net.name = name_of(found) + overridden(found, architecture);
        if (found.shortcut == "downsample" && found.units.size() == 4 && !given.contains("stem_pool"))
            net.notices.emplace_back(
                "a max pool behind the 3x3 stem is not told by the weights, taken without; "
                R"(--arch with {"stem_pool": true} or false says it)");
        reader.finish(options.allow_nonfinite, " (--allow-nonfinite uses them all the same)");
        net.weights_sha256 = hash.get();
        return net;
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::Weights || weights.notices.empty()) throw;
        // What the reader took, and what not, may be why it does not fit.
        throw Error(ErrorKind::Weights,
                    error.what() + (" (" + printable(join(weights.notices, "; "), 1000) + ")"));
    }
}

Net build_random_net(Backend& backend, const std::string& name, int64_t classes, uint64_t seed) {
    WeightReader reader(seed);
    return build_net(backend, reader, named_architecture(name, classes));
}

}  // namespace gs
