#include "layers/layer.h"

namespace gs {

void Layer::weight_gradient_norm(Backend&, View, View, double, View) const {
    GS_REQUIRE(has_weight());
}

}  // namespace gs
