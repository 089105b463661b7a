// MobileNet-v2: inverted residuals with linear bottlenecks (torchvision models/mobilenetv2.py).
#include "nets/builder.h"

namespace gs {
namespace {

ValueId block(NetBuilder& net, ValueId x, const std::string& name, const InvertedResidual& shape) {
    int64_t index = 0;
    ValueId r = x;
    if (shape.expand) {
        r = net.relu(net.conv_norm(r, name + ".conv.0.0", name + ".conv.0.1", shape.hidden, {.kernel = 1}),
                     Activation::Relu6);
        ++index;
    }
    const std::string depthwise = name + ".conv." + std::to_string(index);
    const int64_t channels = net.channels(r);  // those of the expansion, or of the block before
    r = net.relu(net.conv_norm(r, depthwise + ".0", depthwise + ".1", channels,
                               {.kernel = 3, .stride = shape.stride, .groups = channels}),
                 Activation::Relu6);
    // The projection is linear: no activation behind it, nor behind the residual add.
    const std::string projection = name + ".conv." + std::to_string(index + 1);
    const std::string norm = name + ".conv." + std::to_string(index + 2);
    r = net.conv_norm(r, projection, norm, shape.out, {.kernel = 1});
    return shape.stride == 1 && net.channels(x) == shape.out ? net.add(r, x) : r;
}

}  // namespace

Net build_mobilenet_v2(NetBuilder& net, const Architecture& architecture) {
    ValueId x = net.relu(net.conv_norm(NetBuilder::image(), "features.0.0", "features.0.1", architecture.base,
                                       {.kernel = 3, .stride = 2}),
                         Activation::Relu6);
    net.stage("features.0", x);
    for (size_t i = 0; i < architecture.blocks.size(); ++i) {
        const std::string name = "features." + std::to_string(i + 1);
        x = block(net, x, name, architecture.blocks[i]);
        net.stage(name, x);
    }
    const std::string last = "features." + std::to_string(architecture.blocks.size() + 1);
    x = net.relu(net.conv_norm(x, last + ".0", last + ".1", architecture.last_channels, {.kernel = 1}),
                 Activation::Relu6);
    net.stage(last, x);
    return net.finish(x, "avgpool", architecture.head);
}

}  // namespace gs
