// torchvision's ResNet-18/34/50/101/152 (torchvision models/resnet.py).
#include "nets/residual.h"

namespace gs {

Net build_resnet(NetBuilder& net, const Architecture& architecture) {
    ValueId x = net.relu(
        net.conv_norm(NetBuilder::image(), "conv1", "bn1", architecture.base, {.kernel = 7, .stride = 2}));
    x = net.max_pool(x, {.kernel = 3, .stride = 2, .pad = 1});
    x = residual_stages(net, x, architecture, "downsample");
    return net.finish(x, "avgpool", architecture.head);
}

}  // namespace gs
