// BiT ResNetv2: pre-activation bottlenecks, group norm, weight standardisation.
// Source: deeplearning-wisc/gradnorm_ood resnetv2.py; docs/nets/bit.md.
#include "nets/builder.h"

namespace gs {
namespace {

ValueId unit(NetBuilder& net, ValueId x, const std::string& name, int64_t mid, int64_t stride) {
    const int64_t out = 4 * mid;
    const ValueId a = net.relu(net.group_norm(x, name + ".gn1"));
    // The shortcut's convolution reads the activated map; without one the raw stream goes on.
    const bool projects = stride != 1 || net.channels(x) != out;
    const ValueId shortcut =
        projects ? net.standardised_conv(a, name + ".downsample", out, {.kernel = 1, .stride = stride}) : x;
    ValueId r = net.standardised_conv(a, name + ".conv1", mid, {.kernel = 1});
    r = net.relu(net.group_norm(r, name + ".gn2"));
    r = net.standardised_conv(r, name + ".conv2", mid, {.kernel = 3, .stride = stride});
    r = net.relu(net.group_norm(r, name + ".gn3"));
    r = net.standardised_conv(r, name + ".conv3", out, {.kernel = 1});
    return net.add(r, shortcut);
}

}  // namespace

Net build_resnetv2(NetBuilder& net, const Architecture& architecture) {
    ValueId x = net.standardised_conv(NetBuilder::image(), "root.conv", architecture.base,
                                      {.kernel = 7, .stride = 2});
    // ConstantPad2d(1, 0) and an unpadded pool: the border's zeros take part in the maximum.
    x = net.max_pool(x, {.kernel = 3, .stride = 2, .pad = 1, .zero_padding = true});
    net.stage("root", x);
    for (size_t b = 0; b < architecture.units.size(); ++b) {
        const std::string block = "block" + std::to_string(b + 1);
        for (int64_t u = 1; u <= architecture.units[b]; ++u)
            x = unit(net, x, "body." + block + ".unit" + two_digits(u), architecture.base << b,
                     b > 0 && u == 1 ? 2 : 1);
        net.stage(block, x);
    }
    x = net.relu(net.group_norm(x, "before_head.gn"));
    return net.finish(x, "before_head", "head.conv", true);
}

}  // namespace gs
