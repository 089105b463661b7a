// The CIFAR ResNets: those with a 1x1 shortcut (GAIA-OOD networks/resnet.py, OpenOOD resnet18_32x32; three
// stages: chenyaofo/pytorch-cifar-models), and those of He et al. with option A shortcuts and three
// (akamaster/pytorch_resnet_cifar10).
#include "nets/residual.h"

namespace gs {
namespace {

ValueId option_a_block(NetBuilder& net, ValueId x, const std::string& name, int64_t out, int64_t stride) {
    const ValueId r = basic_branch(net, x, name, out, stride);
    const bool pads = stride != 1 || net.channels(x) != out;
    return net.relu(net.add(r, pads ? net.pad_subsample(x, stride, out) : x));
}

ValueId stem(NetBuilder& net, int64_t width) {
    return net.relu(net.conv_norm(NetBuilder::image(), "conv1", "bn1", width, {}));
}

}  // namespace

Net build_resnet_cifar(NetBuilder& net, const Architecture& architecture) {
    ValueId x = stem(net, architecture.base);
    if (architecture.stem_pool) x = net.max_pool(x, {.kernel = 3, .stride = 2, .pad = 1});
    x = residual_stages(net, x, architecture, architecture.shortcut);
    return net.finish(x, "avgpool", architecture.head);
}

Net build_resnet_option_a(NetBuilder& net, const Architecture& architecture) {
    ValueId x = stem(net, architecture.base);
    for (size_t s = 0; s < architecture.units.size(); ++s) {
        const std::string stage = "layer" + std::to_string(s + 1);
        for (int64_t i = 0; i < architecture.units[s]; ++i)
            x = option_a_block(net, x, stage + "." + std::to_string(i), architecture.base << s,
                               s > 0 && i == 0 ? 2 : 1);
        net.stage(stage, x);
    }
    return net.finish(x, "avgpool", architecture.head);
}

}  // namespace gs
