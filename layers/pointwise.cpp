#include "layers/pointwise.h"

namespace gs {

void Relu::forward(Backend& backend, const LayerForward& args) const {
    backend.activate(args.x[0], activation_, args.y);
}

void Relu::backward(Backend& backend, const LayerBackward& args) const {
    // The gradient at this layer's output has no activation of its own, so the sinks reduce it unmasked.
    if (!args.sinks.empty()) backend.pointwise_backward({.terms = args.terms, .sinks = args.sinks});
    if (!args.dx) return;
    backend.pointwise_backward(
        {.terms = args.terms, .activation = activation_, .y = args.y, .addend = args.addend, .dx = args.dx});
}

Shape Add::output_shape(std::span<const Shape> x) const {
    GS_REQUIRE(x.size() == 2 && x[0] == x[1]);
    return x[0];
}

void Add::forward(Backend& backend, const LayerForward& args) const {
    backend.add(args.x[0], args.x[1], args.activation, args.y);
}

void Add::backward(Backend&, const LayerBackward&) const {
    GS_REQUIRE(false && "Add passes its gradient on");
}

Shape PadSubsample::output_shape(std::span<const Shape> x) const {
    GS_REQUIRE(x[0].c <= out_channels_ && (out_channels_ - x[0].c) % 2 == 0);
    return {x[0].n, (x[0].h + stride_ - 1) / stride_, (x[0].w + stride_ - 1) / stride_, out_channels_};
}

void PadSubsample::forward(Backend& backend, const LayerForward& args) const {
    backend.pad_subsample(args.x[0], stride_, args.y);
}

void PadSubsample::backward(Backend& backend, const LayerBackward& args) const {
    GS_REQUIRE(args.terms.size() == 1);
    backend.pad_subsample_backward(args.terms[0], stride_, args.dx);
}

}  // namespace gs
