#include "layers/pool.h"

namespace gs {

void MaxPool::forward(Backend& backend, const LayerForward& args) const {
    backend.max_pool(args.x[0], spec_, args.y, args.state);
}

void MaxPool::backward(Backend& backend, const LayerBackward& args) const {
    GS_REQUIRE(args.terms.size() == 1);
    backend.max_pool_backward(args.terms[0], args.state, spec_, args.dx);
}

// A map of two windows or more would give several features a channel, which no head here takes.
bool AveragePool::fits(const Shape& x) const {
    return window_ == 0 || (x.h / window_ == 1 && x.w / window_ == 1);
}

Shape AveragePool::output_shape(std::span<const Shape> x) const {
    GS_REQUIRE(fits(x[0]));
    return {x[0].n, 1, 1, x[0].c};
}

void AveragePool::forward(Backend& backend, const LayerForward& args) const {
    const Shape& x = args.x[0].shape;
    backend.average_pool(args.x[0], extent(x.h), extent(x.w), args.y);
}

void AveragePool::backward(Backend& backend, const LayerBackward& args) const {
    GS_REQUIRE(args.terms.size() == 1);
    const Shape& dx = args.dx.shape;
    backend.average_pool_backward(args.terms[0], extent(dx.h), extent(dx.w), args.dx);
}

}  // namespace gs
