// Depthwise convolution: memory-bound, vectors over channels. Compiled with contraction on.
#include "cpu/kernels/declarations.h"
#include "cpu/kernels/vector.h"

namespace gs::cpu::GS_ISA {

void depthwise(const float* x, const float* weights, const float* bias, const DepthwiseShape& shape,
               int64_t oh, Activation activation, float* y) {
    const int64_t c = shape.c, h0 = oh * shape.stride - shape.pad;
    with_activation(activation, [&](auto tag) {
        for (int64_t ow = 0; ow < shape.ow; ++ow) {
            const int64_t w0 = ow * shape.stride - shape.pad;
            for_lanes(c, [&](int64_t i, auto lanes) {
                Vec sum = bias ? lanes.load(bias + i) : Vec{};
                for (int64_t kh = 0; kh < shape.kernel_h; ++kh) {
                    const int64_t ih = h0 + kh;
                    if (ih < 0 || ih >= shape.h) continue;
                    for (int64_t kw = 0; kw < shape.kernel_w; ++kw) {
                        const int64_t iw = w0 + kw;
                        if (iw < 0 || iw >= shape.w) continue;
                        sum += lanes.load(x + (ih * shape.w + iw) * c + i) *
                               lanes.load(weights + (kh * shape.kernel_w + kw) * c + i);
                    }
                }
                lanes.store(y + (oh * shape.ow + ow) * c + i, activated<tag.value>(sum));
            });
        }
    });
}

void depthwise_backward(const float* dy, const float* weights, const DepthwiseShape& shape, int64_t ih,
                        float* dx) {
    const int64_t c = shape.c, h = ih + shape.pad;
    for (int64_t iw = 0; iw < shape.w; ++iw) {
        const int64_t w = iw + shape.pad;
        for_lanes(c, [&](int64_t i, auto lanes) {
            Vec sum{};
            for (int64_t kh = h % shape.stride; kh < shape.kernel_h && kh <= h; kh += shape.stride) {
                const int64_t oh = (h - kh) / shape.stride;
                if (oh >= shape.oh) continue;
                for (int64_t kw = w % shape.stride; kw < shape.kernel_w && kw <= w; kw += shape.stride) {
                    const int64_t ow = (w - kw) / shape.stride;
                    if (ow >= shape.ow) continue;
                    sum += lanes.load(dy + (oh * shape.ow + ow) * c + i) *
                           lanes.load(weights + (kh * shape.kernel_w + kw) * c + i);
                }
            }
            lanes.store(dx + (ih * shape.w + iw) * c + i, sum);
        });
    }
}

void depthwise_weights(const float* x, const float* dy, const DepthwiseShape& shape, int64_t oh,
                       int64_t channels, float* dw) {
    clear(dw, shape.kernel_h * shape.kernel_w * channels);
    for (int64_t kh = 0; kh < shape.kernel_h; ++kh) {
        const int64_t ih = oh * shape.stride - shape.pad + kh;
        if (ih < 0 || ih >= shape.h) continue;
        for (int64_t kw = 0; kw < shape.kernel_w; ++kw) {
            float* to = dw + (kh * shape.kernel_w + kw) * channels;
            for_lanes(channels, [&](int64_t i, auto lanes) {
                Vec sum{};
                for (int64_t ow = 0; ow < shape.ow; ++ow) {
                    const int64_t iw = ow * shape.stride - shape.pad + kw;
                    if (iw < 0 || iw >= shape.w) continue;
                    sum += lanes.load(dy + (oh * shape.ow + ow) * shape.c + i) *
                           lanes.load(x + (ih * shape.w + iw) * shape.c + i);
                }
                lanes.store(to + i, sum);
            });
        }
    }
}

}  // namespace gs::cpu::GS_ISA
