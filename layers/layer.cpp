#include "layers/layer.h"

#include <algorithm>

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

void Layer::set_parameters(Backend&, std::span<const View> values) {
    GS_REQUIRE(values.empty() && "a layer with parameters takes others");
}

void Layer::train_backward(Backend& backend, const LayerTraining& args) const {
    if (std::any_of(args.gradients.begin(), args.gradients.end(), [](const View& v) { return bool{v}; }))
        backward_weights(backend, {.x = args.x,
                                   .dy = args.terms[0],
                                   .state = args.state,
                                   .gradients = args.gradients,
                                   .mode = args.mode,
                                   .workspace = args.workspace});
    if (args.dx)
        backward(backend, {.terms = args.terms,
                           .x = args.x,
                           .y = args.y,
                           .state = args.state,
                           .activation = args.activation,
                           .addend = args.addend,
                           .dx = args.dx});
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
