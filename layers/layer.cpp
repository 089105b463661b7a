#include "layers/layer.h"

namespace gs {

int64_t element_count(const Parameter& parameter) {
    int64_t count = 1;
    for (const int64_t extent : parameter.shape) count *= extent;
    return count;
}

void Layer::backward_weights(Backend&, const LayerBackwardWeights&) const {
    GS_REQUIRE(false && "a layer with parameters has backward_weights");
}

void Layer::gradient_norms(Backend&, const LayerGradientNorms&) const {
    GS_REQUIRE(false && "a layer with parameters has gradient_norms");
}

View Workspace::take(const Shape& shape) {
    constexpr int64_t kAlignment = 16;  // floats: a view starts at 64 bytes
    const int64_t size = (shape.size() + kAlignment - 1) / kAlignment * kAlignment;
    used_ += size;
    if (!memory_) return {};
    GS_REQUIRE(used_ <= memory_.shape.size());
    return {memory_.f32() + used_ - size, shape};
}

}  // namespace gs
