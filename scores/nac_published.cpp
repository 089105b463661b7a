#include "scores/nac_published.h"

#include <algorithm>

namespace gs {
namespace {

struct LayerRow {
    int64_t o, m;
    double alpha;
    NacGrid grid;
};

// Layer 0 is the pooled features, layer k the k-th stage before the last: avgpool, layer3, layer2, layer1.
struct Row {
    NacVariant variant;
    const char* net;
    int64_t classes;
    std::vector<LayerRow> layers;
};

// For v1 no grid is published; for layers without constants there is none to take.
NacGrid v1_grid() {
    return {{1, 5, 10, 50}, {1000, 10000, 30000}, {100, 1000, 3000}};
}

NacGrid wide_grid() {
    return {{5, 10, 50, 100, 500}, {50, 500}, {0.001, 0.01, 0.1, 1, 10, 100, 1000}};
}

// v15: ood_coverage configs/postprocessors/nac/resnet; v1: README of commit 434ee7c.
const std::vector<Row>& rows() {
    using enum NacVariant;
    static const std::vector<Row> table = {
        {V15,
         "resnet18-cifar",
         10,
         {{50, 50, 100, {{10, 50}, {50}, {100}}},
          {100, 500, 1000, {{100}, {50, 500}, {1000, 5000}}},
          {5, 50, 0.001, {{5, 10}, {50}, {0.001}}},
          {100, 500, 0.001, {{5, 10, 50, 100}, {50, 500}, {0.001, 0.005}}}}},
        {V15,
         "resnet18-cifar",
         100,
         {{50, 50, 50, {{50}, {50, 500}, {1, 50}}},
          {500, 1000, 10, {{500}, {50, 500, 1000}, {10, 50, 100}}},
          {500, 50, 1, {{100, 500}, {50, 500}, {1}}},
          {5, 50, 0.005, {{5, 50}, {50}, {0.005}}}}},
        {V15,
         "resnet50",
         1000,
         {{10, 50, 3000, {{10, 50, 500}, {50, 500}, {3000}}},
          {500, 50, 300, {{100, 500}, {50, 500}, {50, 100, 300}}},
          {50, 500, 0.01, {{50, 500}, {500}, {0.01}}},
          {5000, 1000, 1, {{5000}, {500, 1000}, {0.1, 1}}}}},
        {V1, "resnet50", 1000, {{5, 10000, 1000, v1_grid()}}},
        {V1, "mobilenet-v2", 1000, {{1, 30000, 1000, v1_grid()}}},
        {V1, "bit-r101x1", 1000, {{5, 10000, 1000, v1_grid()}}},
    };
    return table;
}

bool is_of_cifar(Family family) {
    return family == Family::CifarResNet || family == Family::CifarOptionA || family == Family::WideResNet;
}

bool is_nearest(const Row& row, const Net& net) {
    const Family family = net.architecture.family;
    const std::string name = row.net;
    if (row.variant == NacVariant::V15 && is_of_cifar(family))
        return name == "resnet18-cifar" && (row.classes == 10) == (net.head.classes <= 10);
    if (row.variant == NacVariant::V1 && family == Family::MobileNetV2) return name == "mobilenet-v2";
    if (row.variant == NacVariant::V1 && family == Family::ResNetV2) return name == "bit-r101x1";
    return name == "resnet50";
}

// No constants are published for stages of MobileNet-v2 and BiT, and those of ResNets' are not near.
size_t usual_layers(const Net& net) {
    const Family family = net.architecture.family;
    return family == Family::MobileNetV2 || family == Family::ResNetV2 ? 1 : net.stages.size();
}

template <class Matches>
const Row* find_row(NacVariant variant, const Matches& matches) {
    const auto row = std::find_if(rows().begin(), rows().end(),
                                  [&](const Row& r) { return r.variant == variant && matches(r); });
    return row == rows().end() ? nullptr : &*row;
}

}  // namespace

NacDefaults nac_defaults(const Net& net, NacVariant variant) {
    const Row* row =
        find_row(variant, [&](const Row& r) { return r.net == net.name && r.classes == net.head.classes; });
    NacDefaults defaults{.published = row != nullptr, .layers = {}, .grids = {}};
    if (row == nullptr) row = find_row(variant, [&](const Row& r) { return is_nearest(r, net); });
    GS_REQUIRE(row != nullptr);
    const size_t count = std::min(row->layers.size(), usual_layers(net));
    for (size_t k = 0; k < count; ++k) {
        const LayerRow& layer = row->layers[k];
        defaults.layers.push_back(
            {k == 0 ? net.pooled : net.stages[net.stages.size() - 1 - k], layer.o, layer.m, layer.alpha});
        defaults.grids.push_back(layer.grid);
    }
    return defaults;
}

NacLayer NacDefaults::layer(const std::string& tap) const {
    const auto it =
        std::find_if(layers.begin(), layers.end(), [&](const NacLayer& l) { return l.tap == tap; });
    return it == layers.end() ? NacLayer{.tap = tap} : *it;
}

NacGrid NacDefaults::grid(const std::string& tap) const {
    const auto it =
        std::find_if(layers.begin(), layers.end(), [&](const NacLayer& l) { return l.tap == tap; });
    return it == layers.end() ? wide_grid() : grids[static_cast<size_t>(it - layers.begin())];
}

}  // namespace gs
