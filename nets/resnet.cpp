// torchvision's ResNet-18/34/50/101/152 (torchvision models/resnet.py): the stride is on the 3x3 convolution.
#include "nets/builder.h"

namespace gs {
namespace {

ValueId branch(NetBuilder& net, ValueId x, const std::string& name, bool bottleneck, int64_t mid,
               int64_t stride) {
    if (!bottleneck) {
        const ValueId r = net.relu(net.conv_norm(x, name + ".conv1", name + ".bn1", mid, {.stride = stride}));
        return net.conv_norm(r, name + ".conv2", name + ".bn2", mid, {});
    }
    ValueId r = net.relu(net.conv_norm(x, name + ".conv1", name + ".bn1", mid, {.kernel = 1}));
    r = net.relu(net.conv_norm(r, name + ".conv2", name + ".bn2", mid, {.stride = stride}));
    return net.conv_norm(r, name + ".conv3", name + ".bn3", 4 * mid, {.kernel = 1});
}

ValueId block(NetBuilder& net, ValueId x, const std::string& name, bool bottleneck, int64_t mid,
              int64_t stride) {
    const int64_t out = bottleneck ? 4 * mid : mid;
    const ValueId r = branch(net, x, name, bottleneck, mid, stride);
    const bool projects = stride != 1 || net.channels(x) != out;
    const ValueId shortcut = projects ? net.conv_norm(x, name + ".downsample.0", name + ".downsample.1", out,
                                                      {.kernel = 1, .stride = stride})
                                      : x;
    return net.relu(net.add(r, shortcut));
}

}  // namespace

Net build_resnet(NetBuilder& net, const Architecture& architecture) {
    ValueId x = net.relu(
        net.conv_norm(NetBuilder::image(), "conv1", "bn1", architecture.base, {.kernel = 7, .stride = 2}));
    x = net.max_pool(x, {.kernel = 3, .stride = 2, .pad = 1});
    for (size_t s = 0; s < architecture.units.size(); ++s) {
        const std::string stage = "layer" + std::to_string(s + 1);
        for (int64_t i = 0; i < architecture.units[s]; ++i)
            x = block(net, x, stage + "." + std::to_string(i), architecture.bottleneck,
                      architecture.base << s, s > 0 && i == 0 ? 2 : 1);
        net.stage(stage, x);
    }
    return net.finish(x, "avgpool", architecture.head);
}

}  // namespace gs
