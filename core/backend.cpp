#include "core/backend.h"

namespace gs {
namespace {

int64_t strided_extent(int64_t size, int64_t kernel, int64_t stride, int64_t pad) {
    return (size + 2 * pad - kernel) / stride + 1;
}

}  // namespace

bool ConvSpec::fits(const Shape& x) const {
    return x.h + 2 * pad >= kernel_h && x.w + 2 * pad >= kernel_w;
}

Shape ConvSpec::output_shape(const Shape& x) const {
    GS_REQUIRE(x.c == in_channels && fits(x));
    return {x.n, strided_extent(x.h, kernel_h, stride, pad), strided_extent(x.w, kernel_w, stride, pad),
            out_channels};
}

double ConvSpec::flops(const Shape& x) const {
    const double fan_in = static_cast<double>(in_channels / groups * kernel_h * kernel_w);
    return 2.0 * static_cast<double>(output_shape(x).size()) * fan_in;
}

Shape weight_shape(const ConvSpec& spec) {
    return {spec.out_channels, spec.in_channels / spec.groups, spec.kernel_h, spec.kernel_w};
}

bool PoolSpec::fits(const Shape& x) const {
    return x.h + 2 * pad >= kernel && x.w + 2 * pad >= kernel;
}

Shape PoolSpec::output_shape(const Shape& x) const {
    GS_REQUIRE(fits(x));
    return {x.n, strided_extent(x.h, kernel, stride, pad), strided_extent(x.w, kernel, stride, pad), x.c};
}

Buffer Backend::upload(std::span<const float> host) {
    Buffer buffer = allocate(host.size_bytes());
    upload(host, buffer.view({1, 1, 1, static_cast<int64_t>(host.size())}));
    return buffer;
}

void Backend::combined_gradient_norm(const CombinedGradientNorm& /*args*/) {
    GS_REQUIRE(false && "asked where combines_weight_gradients() says no");
}

}  // namespace gs
