#include "nets/residual.h"

namespace gs {
namespace {

// The stride is on the 3x3 convolution, as in torchvision ("v1.5") and both CIFAR sources.
ValueId bottleneck_branch(NetBuilder& net, ValueId x, const std::string& name, int64_t mid, int64_t stride) {
    ValueId r = net.relu(net.conv_norm(x, name + ".conv1", name + ".bn1", mid, {.kernel = 1}));
    r = net.relu(net.conv_norm(r, name + ".conv2", name + ".bn2", mid, {.stride = stride}));
    return net.conv_norm(r, name + ".conv3", name + ".bn3", 4 * mid, {.kernel = 1});
}

ValueId block(NetBuilder& net, ValueId x, const std::string& name, const Architecture& architecture,
              int64_t width, int64_t stride, const std::string& shortcut) {
    const int64_t out = architecture.bottleneck ? 4 * width : width;
    const ValueId r = architecture.bottleneck ? bottleneck_branch(net, x, name, width, stride)
                                              : basic_branch(net, x, name, width, stride);
    const bool projects = stride != 1 || net.channels(x) != out;
    const std::string at = name + "." + shortcut;
    return net.relu(net.add(
        r, projects ? net.conv_norm(x, at + ".0", at + ".1", out, {.kernel = 1, .stride = stride}) : x));
}

}  // namespace

ValueId basic_branch(NetBuilder& net, ValueId x, const std::string& name, int64_t out, int64_t stride) {
    const ValueId r = net.relu(net.conv_norm(x, name + ".conv1", name + ".bn1", out, {.stride = stride}));
    return net.conv_norm(r, name + ".conv2", name + ".bn2", out, {});
}

ValueId residual_stages(NetBuilder& net, ValueId x, const Architecture& architecture,
                        const std::string& shortcut) {
    for (size_t s = 0; s < architecture.units.size(); ++s) {
        const std::string stage = "layer" + std::to_string(s + 1);
        for (int64_t i = 0; i < architecture.units[s]; ++i)
            x = block(net, x, stage + "." + std::to_string(i), architecture, architecture.base << s,
                      s > 0 && i == 0 ? 2 : 1, shortcut);
        net.stage(stage, x);
    }
    return x;
}

}  // namespace gs
