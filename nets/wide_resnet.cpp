// WideResNet: pre-activation basic blocks. Source: wetliu/energy_ood CIFAR/models/wrn.py;
// docs/nets/wide-resnet.md.
#include "nets/builder.h"

namespace gs {
namespace {

ValueId block(NetBuilder& net, ValueId x, const std::string& name, int64_t out, int64_t stride) {
    const bool projects = net.channels(x) != out;
    const ValueId a = net.relu(net.frozen_norm(x, name + ".bn1"));
    // Where the width changes the shortcut is a 1x1 convolution of the activated map, else the raw stream.
    const ValueId shortcut =
        projects ? net.conv(a, name + ".convShortcut", out, {.kernel = 1, .stride = stride}) : x;
    ValueId r = net.relu(net.conv_norm(a, name + ".conv1", name + ".bn2", out, {.stride = stride}));
    r = net.conv(net.dropout(r), name + ".conv2", out, {});
    return net.add(r, shortcut);
}

}  // namespace

Net build_wide_resnet(NetBuilder& net, const Architecture& architecture) {
    ValueId x = net.conv(NetBuilder::image(), "conv1", architecture.base, {});
    for (size_t s = 0; s < architecture.units.size(); ++s) {
        const std::string stage = "block" + std::to_string(s + 1);
        const int64_t out = (architecture.base << s) * architecture.widen;
        for (int64_t i = 0; i < architecture.units[s]; ++i)
            x = block(net, x, stage + ".layer." + std::to_string(i), out, s > 0 && i == 0 ? 2 : 1);
        net.stage(stage, x);
    }
    x = net.relu(net.frozen_norm(x, "bn1"));
    return net.finish(x, "avgpool", architecture.head);
}

}  // namespace gs
